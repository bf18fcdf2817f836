import ChildProcess
import Cluster
import CredentialModel
import FleetPeers
import Foundation
import Glibc
import Issuance
import TestSupport
import Testing

@testable import CredentialStore
@testable import EtcdEngine

@Suite(.timeLimit(.minutes(5)), .serialized) struct `A node that begins with nothing` {
    /// Serves copies of a node on a port of its own.
    private static func withPeer(
        of node: FleetNode, fleet: String, identity: PeerIdentity? = nil, unready: String? = nil,
        _ body: (PeerAddress) async throws -> Void
    ) async throws {
        let scheme = identity == nil ? "http" : "https"
        let address = try PeerAddress("\(scheme)://127.0.0.1:\(try EtcdServer.freePort())")
        let store = node.store
        let server = try PeerServer(
            address, identity: identity, fleet: fleet, lookup: store.lookup, folder: node.directory,
            copy: { try store.backup(toFile: $0) }, unready: { unready })
        let serving = Task { try? await server.run() }
        do {
            try await body(address)
        } catch {
            server.stop()
            throw error
        }
        server.stop()
        await serving.value
    }

    /// Repeats while the server does not listen yet.
    private static func copy(_ client: PeerClient, _ address: PeerAddress, to path: String) async throws -> UInt64 {
        var attempts = 100
        while true {
            do throws(PeerFailure) {
                return try await client.copyStore(of: address, to: path)
            } catch {
                attempts -= 1
                guard error.reason.contains("cannot be reached"), attempts > 0 else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    @Test(arguments: [false, true])
    func `copies another one, and goes on from there`(_ isEncrypted: Bool) async throws {
        try await withFleet(of: 2) { fleet in
            let (one, two) = (fleet.nodes[0], fleet.nodes[1])
            let early = try await one.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            let identity = isEncrypted ? try PeerIdentity.make(in: fleet.folder, "fleet") : nil
            try await Self.withPeer(of: one, fleet: fleet.name, identity: identity) { address in
                let client = PeerClient(fleet: fleet.name, identity: identity, lookup: one.store.lookup)
                try FileManager.default.createDirectory(
                    atPath: fleet.folder("n9"), withIntermediateDirectories: false,
                    attributes: [.posixPermissions: 0o700])
                let bytes = try await Self.copy(client, address, to: fleet.folder("n9/joining"))
                #expect(bytes > 0)
            }
            let late = try await two.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            try FileManager.default.copyItem(atPath: fleet.folder("peppers"), toPath: fleet.folder("n9-peppers"))
            let (folder, name) = (fleet.folder, fleet.name)
            try await offThread {
                _ = try CredentialStore.joinFleet(
                    name, from: folder("n9/joining"), takesFile: true, to: folder("n9"),
                    peppers: PepperFileOnDisk.read(folder("peppers")), options: Fixture.smallOptions)
            }
            #expect(!FileManager.default.fileExists(atPath: fleet.folder("n9/joining")))
            let nine = try FleetNode("n9", folder: fleet.folder, address: fleet.etcd.address(fleet: fleet.name))
            #expect(try await nine.becomesFresh())
            #expect(try await nine.reaches(two))
            #expect(try nine.accepts(early.secret) && nine.accepts(late.secret))
            await nine.close()
        }
    }

    @Test func `gets nothing without the pepper file, a certificate of the fleet, or of another fleet`() async throws {
        try await withFleet(of: 2) { fleet in
            let one = fleet.nodes[0]
            let identity = try PeerIdentity.make(in: fleet.folder, "fleet")
            let stranger = try PeerIdentity.make(in: fleet.folder, "stranger")
            let other = try PepperFileOnDisk.create(fleet.folder("other-peppers"))
            try await Self.withPeer(of: one, fleet: fleet.name, identity: identity) { address in
                let path = fleet.folder("copy")
                let right = PeerClient(fleet: fleet.name, identity: identity, lookup: one.store.lookup)
                _ = try await Self.copy(right, address, to: path)
                try FileManager.default.removeItem(atPath: path)
                for (client, reason) in [
                    (PeerClient(fleet: fleet.name, identity: identity, lookup: other.lookup), "refuses"),
                    (PeerClient(fleet: "other", identity: identity, lookup: one.store.lookup), "refuses"),
                    (PeerClient(fleet: fleet.name, identity: stranger, lookup: one.store.lookup), "cannot be reached"),
                    (PeerClient(fleet: fleet.name, identity: nil, lookup: one.store.lookup), "needs ca"),
                ] {
                    let failure = await #expect(throws: PeerFailure.self) {
                        try await client.copyStore(of: address, to: path)
                    }
                    #expect(failure?.reason.contains(reason) == true, "\(failure?.reason ?? "")")
                    #expect(!FileManager.default.fileExists(atPath: path))
                }
            }
            try await Self.withPeer(of: one, fleet: fleet.name, unready: "it is behind") { address in
                let client = PeerClient(fleet: fleet.name, identity: nil, lookup: one.store.lookup)
                let failure = await #expect(throws: PeerFailure.self) {
                    try await Self.copy(client, address, to: fleet.folder("copy"))
                }
                #expect(failure?.reason.hasSuffix("it is behind") == true)
            }
            // Nothing is left of the copies that were made.
            let names = try FileManager.default.contentsOfDirectory(atPath: one.directory)
            #expect(!names.contains { $0.hasPrefix("copy") })
        }
    }

    @Test(arguments: ["", "node", "https://", "http://10.0.0.1:1", "https://a/b", "https://a", "ftp://a:1"])
    func `is not told to listen at what is no address`(_ text: String) {
        #expect(throws: PeerAddress.Fault.self) { try PeerAddress(text) }
    }
}

@Suite(.timeLimit(.minutes(5)), .serialized) struct `The stores of a fleet` {
    @Test func `are compared at one entry while they change, and a row that differs is found`() async throws {
        try await withFleet { fleet in
            let engine = try EtcdEngine(fleet.etcd.address(fleet: fleet.name))
            let connections = Task { await engine.run() }
            defer { connections.cancel() }
            let writing = Task {
                while !Task.isCancelled { _ = try? await fleet.nodes[1].issuer.createKeys(KeyRequest(owner: "bob")) }
            }
            defer { writing.cancel() }
            func compared() async throws -> [FleetNodeDigest] {
                let id = try await fleet.nodes[0].store.beginComparison()
                let areAll = try await eventually { try await engine.digests(for: id).count == fleet.nodes.count }
                #expect(areAll)
                return try await engine.digests(for: id)
            }
            for _ in 0..<5 {
                let digests = try await compared()
                #expect(Set(digests.map(\.position.number)).count == 1)
                #expect(digests.allSatisfy { $0.tables == digests[0].tables && $0.tables?.isEmpty == false })
            }
            // A row that no operation has written.
            let two = fleet.nodes[2]
            try await two.store.write(creates: false, reach: .own) { writer, transaction in
                try writer.changeLocally(in: transaction) { () throws(StoreFailure) in
                    try MetaTable(writer.schema).put(.withdrawals, [1, 2, 3], in: transaction)
                }
            }
            let digests = try await compared()
            let (own, others) = (
                digests.first { $0.node == two.member.node }, digests.filter { $0.node != two.member.node }
            )
            #expect(others.count == 2 && others[0].tables == others[1].tables)
            let differing = zip(own?.tables ?? [], others[0].tables ?? []).filter { $0 != $1 }.map(\.0.name)
            #expect(differing == ["meta"])
            two.store.noteTampering()
        }
    }

    @Test func `issue one code for a sign-in, on whichever nodes it is finished`() async throws {
        try await withFleet(of: 2) { fleet in
            let (one, two) = (fleet.nodes[0], fleet.nodes[1])
            let client = try await one.issuer.createClient(
                ClientRequest(
                    name: "app", grants: ["authorization_code"], redirectURIs: ["https://app.example/cb"],
                    scope: ["read"], isPublic: true))
            #expect(try await two.reaches(one))
            for round in 0..<10 {
                let decision = try await one.issuer.decideSignIn(
                    for: client.summary.clientID, subject: "alice", scope: ["read"], remember: false)
                #expect(try await two.reaches(one))
                let request = AuthorizationRequest(
                    clientID: client.summary.clientID, redirectURI: "https://app.example/cb", namesRedirectURI: true,
                    scope: ["read"], audience: [],
                    challenge: try #require(CodeChallenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")))
                async let first = one.issuer.authorize(request, by: decision, signIn: "sign-in-\(round)")
                async let second = two.issuer.authorize(request, by: decision, signIn: "sign-in-\(round)")
                let codes = try await [first, second]
                #expect(codes.count { $0 != nil } == 1)
            }
        }
    }

    @Test func `begin a new log when etcd has lost it, which the others do not take for their own`() async throws {
        let etcd = try EtcdServer()
        try await withFleet(of: 2, on: etcd) { fleet in
            let (one, two) = (fleet.nodes[0], fleet.nodes[1])
            let key = try await one.issuer.createKeys(KeyRequest(owner: "alice"))[0]
            #expect(try await two.reaches(one))
            await one.close()
            etcd.stop()
            try etcd.wipe()
            try etcd.start()
            let (name, folder) = (fleet.name, fleet.folder)
            let old = try await offThread {
                try CredentialStore.fleetState(
                    name, in: folder("n0"), peppers: PepperFileOnDisk.read(folder("peppers")),
                    options: Fixture.smallOptions
                ).position
            }
            let begun = try await offThread {
                let peppers = try PepperFileOnDisk.read(folder("peppers"))
                _ = try CredentialStore.leaveFleet(in: folder("n0"), peppers: peppers, options: Fixture.smallOptions)
                return try CredentialStore.beginFleet(
                    name, in: folder("n0"), peppers: peppers, options: Fixture.smallOptions)
            }
            #expect(begun.epoch != old.epoch)
            let engine = try EtcdEngine(etcd.address(fleet: name))
            let connections = Task { await engine.run() }
            defer { connections.cancel() }
            let pausable = NodeRecord(
                node: 77, name: "paused", applied: LogPosition(epoch: 0, number: 0, hash: []),
                leaseNanoseconds: 1_000_000_000, isPausable: true)
            #expect(
                try await eventually {
                    (try? await engine.beginAnew(at: begun, replacing: nil, pausable: [pausable])) == true
                })
            // Closed: nobody gets a lease by it, nor can write.
            let again = try FleetNode("n0", folder: folder, address: etcd.address(fleet: name))
            await #expect(throws: IssuanceError.self) { try await again.issuer.createKeys(KeyRequest(owner: "bob")) }
            #expect(!again.isFresh)
            #expect(try await engine.open(at: begun))
            #expect(try await again.becomesFresh())
            #expect(try again.accepts(key.secret))
            #expect(
                try await eventually { two.member.stopped == .otherEpoch || two.member.stopped == .engineLostHistory })
            #expect(!two.isFresh)
            // The paused node may still accept something: it is named until people say that it has ended.
            let reach = RequestReach()
            _ = try await again.issuer.reaching(reach).revoke([key.summary.id], chain: false)
            #expect(reach.unconfirmed == ["paused"])
            try await engine.remove(77)
            let other = try await again.issuer.createKeys(KeyRequest(owner: "bob"))[0]
            // Upkeep that was decided for the log before touches nothing of this one.
            #expect(try await !engine.trim(old.epoch, from: 1, to: 3))
            #expect(try await !engine.removeEntries(notOf: old.epoch))
            guard case .entries(_, let page) = try await engine.perform(.entries(after: begun)) else {
                throw FleetNode.NotFresh()
            }
            #expect(page.first == 1 && page.entries.count == Int(again.member.applied.number))
            let confirmed = RequestReach()
            _ = try await again.issuer.reaching(confirmed).revoke([other.summary.id], chain: false)
            #expect(confirmed.unconfirmed == nil)
            await again.close()
        }
    }
}

@Suite(.timeLimit(.minutes(5)), .serialized) struct `A node of a fleet, beside its log` {
    @Test func `changes nothing with a clock that is far ahead, and takes nobody's time over that is`() async throws {
        let nodes = try TwoNodes()
        let now = nodes.writer.store.clock.now().rawValue
        nodes.writerLog.setClockOfOthers(now - 3_600)
        await #expect(throws: IssuanceError.self) { try await nodes.writer.key() }
        nodes.writerLog.setClockOfOthers(now - 30)
        _ = try await nodes.writer.key()
        // The log has a later time by now: one clock that is behind stops nobody.
        nodes.writerLog.setClockOfOthers(now - 3_600)
        _ = try await nodes.writer.key()
        try await nodes.handOver()
        #expect(nodes.readerLog.clocksAhead == 0)
    }

    @Test func `does not keep a clock that was far ahead at one start`() async throws {
        let nodes = try TwoNodes()
        let store = nodes.writer.store
        let now = store.clock.now().rawValue
        func mark() throws -> UInt64? {
            try store.reading { transaction in try MetaTable(store.schema).number(.time, in: transaction) }
        }
        let begun = try #require(try mark())
        // Nothing is known of the fleet's clocks yet.
        try await store.noteTime()
        try await store.remember(start: 7)
        #expect(try mark() == begun)
        nodes.writerLog.setClockOfOthers(now - 3_600)
        try await store.noteTime()
        #expect(try mark().map { $0 <= UInt64(now - 3_540 + 5) || $0 == begun } == true)
        nodes.writerLog.setClockOfOthers(now + 10)
        try await store.noteTime()
        #expect(try #require(try mark()) >= UInt64(now))
    }

    @Test func `knows by its own store which start came before it, and not by a copy`() async throws {
        let nodes = try TwoNodes()
        #expect(try nodes.writer.store.lastStart() == nil)
        try await nodes.writer.store.remember(start: 7)
        #expect(try nodes.writer.store.lastStart() == 7)
        let (store, folder) = (nodes.writer.store, nodes.writer.folder)
        try await offThread { try store.backup(toFile: folder("copy.mdb")) }
        let copied = try await offThread {
            _ = try CredentialStore.joinFleet(
                "two", from: folder("copy.mdb"), to: folder("joined"),
                peppers: PepperFileOnDisk.read(folder("peppers")), options: Fixture.smallOptions)
            var options = Fixture.smallOptions
            options.fleet = FleetOptions(name: "two", pepperPath: folder("peppers"))
            let joined = try CredentialStore.open(
                in: folder("joined"), peppers: PepperFileOnDisk.read(folder("peppers")), options: options)
            defer { joined.close() }
            return try joined.lastStart()
        }
        #expect(copied == nil)
    }

    @Test func `tells all others of clocks that may stand still, and remembers the longest lease`() async throws {
        let nodes = try TwoNodes()
        try await nodes.writer.store.announce(pausableNode: 5, name: "n5")
        try await nodes.writer.store.announce(pausableNode: 6, name: "n6")
        try await nodes.writer.store.announce(pausableNode: 5, name: nil)
        try await nodes.handOver()
        #expect(try nodes.reader.store.fleetMemory() == FleetMemory(longestLease: 0, pausableNodes: [6: "n6"]))
        try await nodes.reader.store.remember(longestLease: 12)
        #expect(try nodes.reader.store.fleetMemory().longestLease == 12)
        #expect(try nodes.writer.store.fleetMemory().longestLease == 0)
    }
}

/// Runs what blocks on a thread of its own.
private func offThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { done in
        Thread.detachNewThread { done.resume(with: Result { try body() }) }
    }
}

extension PeerIdentity {
    /// An authority of its own, and a certificate of it.
    fileprivate static func make(in folder: TemporaryFolder, _ name: String) throws -> PeerIdentity {
        try openssl(folder, name + "-ca", ["-addext", "basicConstraints=critical,CA:TRUE"])
        try openssl(
            folder, name,
            [
                "-CA", folder(name + "-ca.pem"), "-CAkey", folder(name + "-ca.key"), "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
        return PeerIdentity(
            authorities: folder(name + "-ca.pem"), certificate: folder(name + ".pem"), key: folder(name + ".key"))
    }
}

/// Makes a certificate NAME.pem with NAME.key.
func openssl(_ folder: TemporaryFolder, _ name: String, _ arguments: [String]) throws {
    _ = try ChildProcess.output(
        of: ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            + ["-days", "2", "-subj", "/CN=\(name)", "-out", folder(name + ".pem")]
            + ["-keyout", folder(name + ".key")] + arguments)
}
