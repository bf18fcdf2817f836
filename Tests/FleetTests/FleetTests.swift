import ChildProcess
import Cluster
import CredentialModel
import CredentialStore
@testable import EtcdEngine
import Foundation
@testable import Issuance
import TestSupport
import Testing
import Verification

@Suite(.timeLimit(.minutes(5)), .serialized) struct `A fleet on etcd` {
    @Test func `accepts on every node what one has issued, and nowhere what one has revoked`() async throws {
        try await withFleet { fleet in
            let (one, two, three) = (fleet.nodes[0], fleet.nodes[1], fleet.nodes[2])
            for _ in 0..<20 {
                let key = try await one.issuer.createKeys(KeyRequest(owner: "alice", scope: ["read"]))[0]
                #expect(try await two.reaches(one))
                #expect(try two.accepts(key.secret))
                // The id is one that this node has not made.
                _ = try await three.issuer.revoke([key.summary.id], chain: false)
                for node in fleet.nodes { #expect(try !node.accepts(key.secret)) }
            }
        }
    }

    @Test func `revokes what was issued elsewhere a moment before, whether or not it has heard of it`() async throws {
        try await withFleet(of: 2) { fleet in
            for _ in 0..<50 {
                let key = try await fleet.nodes[0].issuer.createKeys(KeyRequest(owner: "alice"))[0]
                let report = try await fleet.nodes[1].issuer.revoke([key.summary.id], chain: false)
                #expect(report.revoked == [key.summary.id])
                #expect(try !fleet.nodes[0].accepts(key.secret))
            }
        }
    }

    @Test func `gives out what every node accepts already, if that is asked for`() async throws {
        try await withFleet { fleet in
            for _ in 0..<20 {
                let issuer = fleet.nodes[0].issuer.reaching(RequestReach(wanted: .everywhere))
                let key = try await issuer.createKeys(KeyRequest(owner: "alice"))[0]
                for node in fleet.nodes { #expect(try node.accepts(key.secret)) }
            }
        }
    }

    @Test func `has one history, although all nodes write at once`() async throws {
        try await withFleet { fleet in
            let made = Mutable<[(CredentialID, [String])]>([])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for node in fleet.nodes {
                    for number in 0..<10 {
                        group.addTask {
                            // New texts on all nodes at once, which get numbers.
                            for round in 0..<5 {
                                let scopes = ["s\(number)", "\(node.name)-\(round)"]
                                let key = try await node.issuer.createKeys(
                                    KeyRequest(owner: "o\(number)", scope: scopes))[0]
                                made.append((key.summary.id, scopes.sorted()))
                                if round == 2 { _ = try await node.issuer.revoke([key.summary.id], chain: false) }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let last = fleet.nodes.max { $0.member.applied.number < $1.member.applied.number }
            for node in fleet.nodes { #expect(try await node.reaches(#require(last))) }
            let contents = try fleet.nodes.map { try StoreContents($0.store) }
            #expect(contents[1].differences(from: contents[0]) == [])
            #expect(contents[2].differences(from: contents[0]) == [])
            #expect(contents[0].tables["credentials"]?.count == 150)
            // Readers have the texts, too.
            for node in fleet.nodes {
                #expect(try Self.scopes(of: made.value.map(\.0), at: node) == made.value.map(\.1))
            }
        }
    }

    private static func scopes(of ids: [CredentialID], at node: FleetNode) throws -> [[String]] {
        try ids.map { id in try node.store.credential(id).map { node.issuer.summary($0).scope.sorted() } ?? [] }
    }

    @Test func `waits for the lease of a node that has died, and names one whose clock proves nothing`() async throws {
        for isPausable in [false, true] {
            try await withFleet(of: 2, lease: 3_000_000_000, isPausable: isPausable) { fleet in
                let (one, two) = (fleet.nodes[0], fleet.nodes[1])
                let keys = try await one.issuer.createKeys(KeyRequest(owner: "alice", count: 2))
                #expect(try await two.reaches(one))
                two.fallSilent()
                let reach = RequestReach()
                let begun = ContinuousClock.now
                _ = try await one.issuer.reaching(reach).revoke([keys[0].summary.id], chain: false)
                #expect(reach.unconfirmed == (isPausable ? ["n1"] : nil))
                // Its last renewal is at most a quarter of the lease old.
                #expect(.now - begun > .milliseconds(2_000))
                #expect(try !one.accepts(keys[0].secret))
                guard isPausable else { return }
                // Whoever does not ask how far it got must not take it for done.
                await #expect(throws: IssuanceError.self) {
                    try await one.issuer.revoke([keys[1].summary.id], chain: false)
                }
                #expect(try !one.accepts(keys[1].secret))
                // Whoever does not want to wait gets an answer at once.
                let quorum = RequestReach(wanted: .node)
                _ = try await one.issuer.reaching(quorum).revoke([keys[1].summary.id], chain: false)
                #expect(quorum.unconfirmed == nil)
            }
        }
    }

    @Test func `speaks to etcd over TLS, and both show certificates`() async throws {
        let folder = try TemporaryFolder()
        try openssl(folder, "ca", ["-addext", "basicConstraints=critical,CA:TRUE"])
        for name in ["etcd", "node"] {
            try openssl(
                folder, name,
                ["-CA", folder("ca.pem"), "-CAkey", folder("ca.key"), "-addext", "subjectAltName=IP:127.0.0.1"])
        }
        let etcd = try EtcdServer(
            options: ["--cert-file", folder("etcd.pem"), "--key-file", folder("etcd.key")]
                + ["--client-cert-auth", "--trusted-ca-file", folder("ca.pem")])
        func query(_ name: String, ca: String = "ca") -> String {
            "?ca=\(folder(ca + ".pem"))&cert=\(folder(name + ".pem"))&key=\(folder(name + ".key"))"
        }
        try await withFleet(of: 2, on: etcd, query: query("node")) { fleet in
            let key = try await fleet.nodes[0].issuer.createKeys(KeyRequest(owner: "alice"))[0]
            _ = try await fleet.nodes[1].issuer.revoke([key.summary.id], chain: false)
            #expect(try !fleet.nodes[0].accepts(key.secret))
        }
        // Without a certificate that etcd trusts, and to an etcd that shows one of somebody else.
        try openssl(folder, "other", ["-addext", "basicConstraints=critical,CA:TRUE"])
        for query in [query("other"), query("node", ca: "other")] {
            let engine = try EtcdEngine(etcd.address(fleet: "x", query: query))
            let connections = Task { await engine.run() }
            await #expect(throws: EngineRefusal.self) { try await engine.check() }
            connections.cancel()
        }
    }

    @Test func `goes on where a node left off, when that starts again`() async throws {
        try await withFleet(of: 2) { fleet in
            let (one, two) = (fleet.nodes[0], fleet.nodes[1])
            await two.close()
            let key = try await one.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            let again = try FleetNode("n1", folder: fleet.folder, address: fleet.etcd.address(fleet: fleet.name))
            #expect(try await again.becomesFresh())
            #expect(try again.accepts(key.secret))
            await again.close()
        }
    }

    @Test func `learns a new pepper from each node's own file, and the schemes of imported keys`() async throws {
        try await withFleet(of: 2) { fleet in
            let (one, two) = (fleet.nodes[0], fleet.nodes[1])
            // Not generated on one node: the others could verify nothing that moves to it.
            await #expect(throws: IssuanceError.self) { try await one.issuer.addPepper() }
            let file = try #require(PepperFileOnDisk.read(fleet.folder("n0-peppers")).addingPepper(above: 1))
            try FixtureFile.replace(fleet.folder("n0-peppers"), file.serialized())
            _ = try await one.issuer.addPepper()
            #expect(try await two.reaches(one))
            // Not in its file yet.
            #expect(two.store.peppers.newest.number == 1)
            try FixtureFile.replace(
                fleet.folder("n1-peppers"), Array(Data(contentsOf: URL(filePath: fleet.folder("n0-peppers")))))
            #expect(try await eventually { two.store.peppers.newest.number == 2 })
            let key = try await one.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            #expect(try await two.reaches(one))
            #expect(try two.accepts(key.secret))
        }
    }
}

@Suite(.timeLimit(.minutes(5)), .serialized) struct `The log in etcd` {
    @Test func `loses what is old and what all nodes have; one that was away too long stops`() async throws {
        try await withFleet(of: 2) { fleet in
            let (one, two) = (fleet.nodes[0], fleet.nodes[1])
            await two.close()
            for _ in 0..<20 { _ = try await one.issuer.createKeys(KeyRequest(owner: "alice")) }
            // What a node that has just ended cannot have is not held back for it.
            let engine = try EtcdEngine(fleet.etcd.address(fleet: fleet.name))
            let connections = Task { await engine.run() }
            defer { connections.cancel() }
            var retention = LogRetention()
            retention.seconds = 100
            var upkeep = EtcdUpkeep(engine, retention: retention)
            #expect(try await upkeep.round(at: 1_000).first == 1)
            for _ in 0..<5 { _ = try await one.issuer.createKeys(KeyRequest(owner: "alice")) }
            #expect(try await upkeep.round(at: 1_050).first == 1)
            let old = one.member.applied.number - 5
            #expect(try await eventually { try await upkeep.round(at: 1_101).first == old })
            try await engine.compact()

            let again = try FleetNode("n1", folder: fleet.folder, address: fleet.etcd.address(fleet: fleet.name))
            #expect(try await eventually { again.member.stopped == .behind })
            #expect(!again.isFresh)
            await again.close()
            // The other goes on.
            let key = try await one.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            #expect(try one.accepts(key.secret))
        }
    }
}

@Suite(.timeLimit(.minutes(5)), .serialized) struct `A fleet whose etcd fails` {
    @Test func `refuses writes at once and verifications when leases are over, and goes on when it is back`()
        async throws
    {
        let etcd = try EtcdServer()
        try await withFleet(of: 2, on: etcd, lease: 3_000_000_000) { fleet in
            let (one, two) = (fleet.nodes[0], fleet.nodes[1])
            let key = try await one.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            #expect(try await two.reaches(one))
            etcd.pause()
            // The first one waits for the outcome, which nobody can know; those behind it are refused.
            async let first = Result.of { try await one.issuer.revoke([key.summary.id], chain: false) }
            try await Task.sleep(for: .milliseconds(300))
            let second = await Result.of { try await one.issuer.createKeys(KeyRequest(owner: "bob")) }
            #expect(second.failure == .unavailable(reason: SharedLogFailure.away.description))
            #expect(try await eventually { !one.isFresh && !two.isFresh })
            etcd.resume()
            #expect(await first.failure == nil)
            #expect(try await eventually { one.isFresh && two.isFresh })
            #expect(try !one.accepts(key.secret) && !two.accepts(key.secret))
        }
    }

    @Test func `stops when etcd has lost what it had`() async throws {
        let etcd = try EtcdServer()
        try await withFleet(of: 2, on: etcd) { fleet in
            let one = fleet.nodes[0]
            _ = try await one.issuer.createKeys(KeyRequest(owner: "alice"))
            etcd.stop()
            try etcd.wipe()
            try etcd.start()
            #expect(try await eventually { one.member.stopped != nil || !one.isFresh })
            await #expect(throws: IssuanceError.self) { try await one.issuer.createKeys(KeyRequest(owner: "bob")) }
        }
    }
}

@Suite struct `A store of a fleet` {
    @Test func `is not opened without its fleet, nor by another one`() throws {
        let folder = try TemporaryFolder()
        _ = try FleetNode.beginFleet("ours", in: folder, pepperLines: [])
        let peppers = try PepperFileOnDisk.read(folder("peppers"))
        #expect(throws: StoreFailure.shared(.belongsToFleet(name: "ours"))) {
            try CredentialStore.open(in: folder("begun"), peppers: peppers, options: Fixture.smallOptions)
        }
        var options = Fixture.smallOptions
        options.fleet = FleetOptions(name: "theirs", pepperPath: folder("peppers"))
        #expect(throws: StoreFailure.shared(.notOfFleet(name: "theirs", other: "ours"))) {
            try CredentialStore.open(in: folder("begun"), peppers: peppers, options: options)
        }
        let own = try Fixture()
        own.store.close()
        #expect(throws: StoreFailure.shared(.notOfFleet(name: "theirs", other: nil))) {
            try CredentialStore.open(
                in: own.directory, peppers: PepperFileOnDisk.read(own.pepperPath), options: options)
        }
    }

    @Test func `is not verified by from another process, which does not know of the lease`() throws {
        let folder = try TemporaryFolder()
        _ = try FleetNode.beginFleet("ours", in: folder, pepperLines: [])
        let followed = try FollowedStore.open(in: folder("begun"), pepperPath: folder("peppers"))
        #expect(throws: StoreFailure.shared(.notFollowed(fleet: "ours"))) { try Verifier(store: followed) }
    }

    @Test func `tells followers of no change while it is not up to date, and not that there was none`() throws {
        let folder = try TemporaryFolder()
        _ = try FleetNode.beginFleet("ours", in: folder, pepperLines: [])
        var options = Fixture.smallOptions
        let fleet = FleetOptions(name: "ours", pepperPath: folder("peppers"))
        options.fleet = fleet
        let store = try CredentialStore.open(
            in: folder("begun"), peppers: PepperFileOnDisk.read(folder("peppers")), options: options)
        defer { store.close() }
        let reader = try store.makeJournalReader()
        #expect(throws: StoreFailure.shared(.notFresh)) { try reader.read(after: 0, issued: true, limit: 10) }
        #expect(fleet.freshness.refusals == 1)
        // A lease that no clock reaches.
        fleet.freshness.extend(to: .max)
        _ = try reader.read(after: 0, issued: true, limit: 10)
        fleet.freshness.end()
        #expect(throws: StoreFailure.shared(.notFresh)) { try reader.read(after: 0, issued: true, limit: 10) }
    }

    @Test func `writes nothing before it has joined`() async throws {
        let folder = try TemporaryFolder()
        _ = try FleetNode.beginFleet("ours", in: folder, pepperLines: [])
        var options = Fixture.smallOptions
        options.fleet = FleetOptions(name: "ours", pepperPath: folder("peppers"))
        let store = try CredentialStore.open(
            in: folder("begun"), peppers: PepperFileOnDisk.read(folder("peppers")), options: options)
        #expect(throws: StoreFailure.shared(.notFresh)) {
            try Verifier(store: store).verdict("x", at: store.clock.now())
        }
        await #expect(throws: IssuanceError.unavailable(reason: SharedLogFailure.away.description)) {
            try await Issuer(store: store).createKeys(KeyRequest(owner: "alice"))
        }
        await FleetNode.close(store)
    }
}

extension Result where Success: Sendable, Failure == any Error {
    fileprivate static func of(_ body: () async throws -> Success) async -> Result {
        do {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }

    fileprivate var failure: IssuanceError? {
        if case .failure(let error) = self { error as? IssuanceError } else { nil }
    }
}
