import Cluster
import AdministrationAPI
import CredentialModel
import CredentialStore
import Dispatch
import EtcdEngine
import Foundation
import Issuance
import Verification

/// A store with its issuer: one of a fleet, or alone.
final class FigureNode: Sendable {
    let store: CredentialStore
    let issuer: Issuer
    let member: ClusterMember?
    private let freshness: Freshness
    private let tasks: [Task<Void, Never>]

    static let options = StoreOptions(mapBytes: 8 << 30, cacheBytes: 64 << 20, readersMax: 64)

    struct Failed: Error { let reason: String }

    /// Makes a store in `folder`, which must not exist.
    static func makeStore(_ folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let peppers = try PepperFileOnDisk.create(folder + "/peppers")
        try CredentialStore.create(in: folder + "/store", vendor: .iiniit, peppers: peppers, options: options).close()
    }

    /// Begins a fleet with the store in `folder`.
    static func begin(_ address: EtcdAddress, _ folder: String) async throws {
        let position = try beginStore(address, folder)
        let engine = try EtcdEngine(address)
        let connections = Task { await engine.run() }
        defer { connections.cancel() }
        for _ in 0..<30 {
            let isBegun: Result<Bool, EngineFault> = await Result { () async throws(EngineFault) in
                try await engine.begin(at: position)
            }
            if case .success(true) = isBegun { return }
        }
        throw Failed(reason: "etcd does not answer")
    }

    // Not in `begin`: the store's function must not be called from an async one.
    private static func beginStore(_ address: EtcdAddress, _ folder: String) throws -> LogPosition {
        try CredentialStore.beginFleet(
            address.fleet, in: folder + "/store", peppers: PepperFileOnDisk.read(folder + "/peppers"), options: options)
    }

    /// Gives another node the data of the first one.
    static func copyStore(from folder: String, to other: String) throws {
        try FileManager.default.createDirectory(
            atPath: other + "/store", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        for name in ["store/data.mdb", "peppers"] {
            try FileManager.default.copyItem(atPath: folder + "/" + name, toPath: other + "/" + name)
        }
    }

    /// - Parameter address: of the fleet; nil: alone.
    init(_ name: String, _ folder: String, _ address: EtcdAddress?) throws {
        var options = Self.options
        let fleet = address.map { FleetOptions(name: $0.fleet, pepperPath: folder + "/peppers") }
        freshness = fleet?.freshness ?? Freshness()
        options.fleet = fleet
        store = try CredentialStore.open(
            in: folder + "/store", peppers: PepperFileOnDisk.read(folder + "/peppers"), options: options)
        issuer = Issuer(store: store, policy: LifetimePolicy(), pepperPath: folder + "/peppers")
        guard let address, let position = try store.logPosition() else {
            (member, tasks) = (nil, [])
            return
        }
        let engine = try EtcdEngine(address)
        let member = ClusterMember(
            name: name, position: position, times: ClusterTimes(lease: 10_000_000_000, poll: 4_000_000),
            isPausable: false, engine: engine, freshness: freshness)
        member.attach(store, at: position)
        self.member = member
        tasks = [Task { await engine.run() }, Task { await member.run() }]
    }

    func becomesFresh() async throws {
        for _ in 0..<400 {
            if member == nil || !freshness.isOver() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failed(reason: "a node is not up to date after 20 s")
    }

    func close() async {
        member?.close()
        await member?.leave()
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        await withCheckedContinuation { done in
            Thread.detachNewThread { [store] in
                store.close()
                done.resume()
            }
        }
    }

    // MARK: Tokens

    /// A new client that gets tokens for itself.
    func client() async throws -> ClientProof {
        let client = try await issuer.createClient(
            ClientRequest(name: "figures", grants: ["client_credentials"], scope: ["a:b"]))
        guard let definition = store.published.clients.client(id: client.summary.clientID),
            let secret = client.secret, let proof = try proof(secret, definition)
        else { throw Failed(reason: "there is no client") }
        return proof
    }

    // Not in `client`: the verifier must not be used in an async function.
    private func proof(_ secret: SecretText, _ client: ClientDefinition) throws -> ClientProof? {
        let verifier = try Verifier(store: store)
        let text = secret.revealBytes()
        guard case .active(let record) = try verifier.verify(text.span.bytes, at: store.clock.now()) else { return nil }
        return ClientProof(of: client, secret: record)
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
