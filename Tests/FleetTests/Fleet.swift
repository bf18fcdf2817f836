import Cluster
import CredentialModel
import CredentialStore
import EtcdEngine
import Foundation
import Issuance
import TestSupport
import Verification

/// Several nodes in this process, each with a store of its own, on one etcd.
struct Fleet {
    let name: String
    let folder: TemporaryFolder
    let nodes: [FleetNode]
    let etcd: EtcdServer

    struct Exists: Error {}
}

/// - Returns: nil if etcd does not answer yet.
private func eventuallyBegins(_ engine: EtcdEngine, at position: LogPosition) async throws -> Bool? {
    let result = await Result { () async throws(EngineFault) in try await engine.begin(at: position) }
    switch result {
    case .success(true): return true
    case .success(false): throw Fleet.Exists()
    case .failure(.unavailable): return nil
    case .failure(let fault): throw fault
    }
}

extension Result {
    fileprivate init(_ body: () async throws(Failure) -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}

/// Runs a test with a fleet.
func withFleet(
    of count: Int = 3, on server: EtcdServer? = nil, lease: UInt64 = 10_000_000_000, isPausable: Bool = false,
    pepperLines: [String] = [], query: String = "",
    _ body: (Fleet) async throws -> Void
) async throws {
    let etcd = try server ?? EtcdServer.shared.get()
    let folder = try TemporaryFolder()
    let name = "fleet-" + UUID().uuidString
    let names = (0..<count).map { "n\($0)" }
    let first = try FleetNode.beginFleet(name, in: folder, pepperLines: pepperLines)
    let engine = try EtcdEngine(etcd.address(fleet: name, query: query))
    let connections = Task { await engine.run() }
    var attempts = 30
    while try await eventuallyBegins(engine, at: first) == nil, attempts > 0 { attempts -= 1 }
    connections.cancel()
    for node in names { try FleetNode.copyStore(in: folder, to: node) }
    var nodes: [FleetNode] = []
    for node in names {
        nodes.append(
            try FleetNode(
                node, folder: folder, address: etcd.address(fleet: name, query: query), lease: lease,
                isPausable: isPausable))
    }
    let fleet = Fleet(name: name, folder: folder, nodes: nodes, etcd: etcd)
    do {
        for node in nodes { guard try await node.becomesFresh() else { throw FleetNode.NotFresh() } }
        try await body(fleet)
        for node in nodes { await node.close() }
    } catch {
        for node in nodes { await node.close() }
        throw error
    }
}

/// One node.
final class FleetNode: Sendable {
    let name: String
    let store: CredentialStore
    let issuer: Issuer
    let member: ClusterMember
    private let freshness: Freshness
    private let tasks: [Task<Void, Never>]
    let directory: String
    private let pepperPath: String

    struct NotFresh: Error {}

    static func beginFleet(_ name: String, in folder: TemporaryFolder, pepperLines: [String]) throws -> LogPosition {
        var peppers = try PepperFileOnDisk.create(folder("peppers"))
        if !pepperLines.isEmpty {
            let text = peppers.serialized() + Array(pepperLines.map { $0 + "\n" }.joined().utf8)
            try FixtureFile.replace(folder("peppers"), text)
            peppers = try PepperFileOnDisk.read(folder("peppers"))
        }
        try CredentialStore.create(
            in: folder("begun"), vendor: .iiniit, peppers: peppers, options: Fixture.smallOptions
        ).close()
        return try CredentialStore.beginFleet(
            name, in: folder("begun"), peppers: peppers, options: Fixture.smallOptions)
    }

    /// Gives a node the data of the first one.
    static func copyStore(in folder: TemporaryFolder, to node: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder(node), withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try FileManager.default.copyItem(atPath: folder("begun/data.mdb"), toPath: folder(node + "/data.mdb"))
        try FileManager.default.copyItem(atPath: folder("peppers"), toPath: folder(node + "-peppers"))
    }

    init(
        _ name: String, folder: TemporaryFolder, address: EtcdAddress, lease: UInt64 = 10_000_000_000,
        isPausable: Bool = false
    ) throws {
        self.name = name
        directory = folder(name)
        pepperPath = folder(name + "-peppers")
        var options = Fixture.smallOptions
        let fleet = FleetOptions(name: address.fleet, pepperPath: pepperPath)
        freshness = fleet.freshness
        options.fleet = fleet
        store = try CredentialStore.open(
            in: directory, peppers: PepperFileOnDisk.read(pepperPath), options: options)
        guard let position = try store.logPosition() else { throw NotFresh() }
        let engine = try EtcdEngine(address, about: NodeAbout(region: "here", version: "test"))
        member = ClusterMember(
            name: name, position: position, times: ClusterTimes(lease: lease, poll: 4_000_000), isPausable: isPausable,
            engine: engine, freshness: freshness)
        member.attach(store, at: position)
        issuer = Issuer(store: store, policy: LifetimePolicy(), pepperPath: pepperPath)
        let (member, store) = (member, store)
        if isPausable {
            Task {
                while (try? await store.announce(pausableNode: member.node, name: name)) == nil {
                    try? await Task.sleep(for: .milliseconds(50))
                }
                member.announced()
            }
        }
        tasks = [Task { await engine.run() }, Task { await member.run() }]
    }

    var isFresh: Bool { !freshness.isOver() }

    func becomesFresh() async throws -> Bool { try await eventually { self.isFresh } }

    /// Waits until it has what another node has.
    func reaches(_ other: FleetNode) async throws -> Bool {
        let position = other.member.applied
        return try await eventually { self.member.applied.number >= position.number }
    }

    func accepts(_ secret: SecretText) throws -> Bool {
        do {
            return try Verifier(store: store).verdict(secret.revealBytes(), at: store.clock.now()).isActive
        } catch StoreFailure.shared(.notFresh) {
            return false
        }
    }

    /// Stops taking part without a word, as if it were paused.
    func fallSilent() { member.close() }

    func close() async {
        member.close()
        await member.leave()
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        await Self.close(store)
    }

    static func close(_ store: CredentialStore) async {
        await withCheckedContinuation { done in
            Thread.detachNewThread {
                store.close()
                done.resume()
            }
        }
    }
}
