import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

@testable import CredentialStore

/// A cache learns which of its answers have become invalid.
@Suite(.timeLimit(.minutes(10))) struct `A poll for changes` {
    @Test func `returns each change after a number, without secrets and owners`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let start = try await server.end(client, caller)
            let key = try await server.key(KeyRequest(owner: "alice@example.com"))
            let other = try await server.issuer.createClient(ClientRequest(name: "app", grants: ["client_credentials"]))
            _ = try await server.issuer.editKey(key.id, KeyEdit(name: .set("laptop")))
            let rotated = try await server.issuer.rotate(key.id, overlapSeconds: 60)
            _ = try await server.issuer.revoke([key.id], chain: false)
            _ = try await server.issuer.revokeOwner("alice@example.com", issuedBefore: nil)
            _ = try await server.issuer.revokeClient(other.summary.clientID)
            let answer = try await client.ask(changes("?after=\(start)", caller.authorization))
            #expect(answer.status == 200 && answer["Content-Type"] == "application/json")
            #expect(answer["Cache-Control"] == "no-store")
            let told = try answer.changes()
            #expect(
                told.map { $0["event"] as? String } == [
                    "client_changed", "edited", "rotated", "revoked", "owner_revoked", "client_revoked",
                    "client_changed",
                ])
            for change in told[1...3] {
                #expect(change["kind"] as? String == "api_key" && change["id"] as? String == key.id.description)
            }
            #expect(told[4]["flush"] as? Bool == true && Set(told[4].keys) == ["number", "event", "flush"])
            #expect(told[5]["client_id"] as? String == other.summary.clientID && told[5]["flush"] == nil)
            #expect(!answer.text.contains("alice") && !answer.text.contains(rotated.secret.reveal()))
            #expect(try answer.incarnation() == String(server.fixture.store.incarnation))
            #expect(try answer.next() == (try server.fixture.journal().last?.number))
            // With issuance: the complete journal.
            let all = try await client.ask(changes("?after=\(start)&issued=true", caller.authorization))
            #expect(try all.numbers() == server.fixture.journal(after: start).map(\.number))
            #expect(try all.changes().count { $0["event"] as? String == "issued" } == 3)
        }
    }

    /// A read looks at 4,096 entries. One that found only issuances among them must not look like the end.
    @Test func `says that there is more behind a page without changes`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let start = try await server.end(client, caller)
            let key = try await server.key()
            for _ in 0..<5 { _ = try await server.issuer.createKeys(KeyRequest(owner: "bulk", count: 1_000)) }
            _ = try await server.issuer.revoke([key.id], chain: false)
            let first = try await client.ask(changes("?after=\(start)", caller.authorization))
            #expect(try first.changes().isEmpty && first.json()["more"] as? Bool == true)
            let last = try await client.ask(changes("?after=\(try first.next())", caller.authorization))
            #expect(try last.changes().map { $0["event"] as? String } == ["revoked"])
            #expect(try last.json()["more"] as? Bool == false)
        }
    }

    @Test func `names the family that introspection names, and the limit of a bulk revocation`() async throws {
        try await withServer { server in
            let caller = try await server.caller(rights: ["changes", "introspect"])
            let client = try await server.connect()
            let start = try await server.end(client, caller)
            let token = try await server.plant(.accessToken) { $0.record.family = 77 }
            let about = introspection("token=\(token.secret)", caller.authorization)
            let family = try #require(try await client.ask(about).json()["family"] as? String)
            try await server.fixture.store.write(creates: false) { writer, transaction in
                _ = try writer.raiseWatermark(of: .family(77), issuedBefore: nil, in: transaction)
            }
            _ = try await server.issuer.revokeOwner("bob", issuedBefore: UnixSeconds(1_000))
            let told = try await client.ask(changes("?after=\(start)", caller.authorization)).changes()
            #expect(told[0]["event"] as? String == "family_revoked" && told[0]["family"] as? String == family)
            #expect(told[1]["issued_before"] as? Int == 1_000 && told[1]["flush"] as? Bool == true)
            #expect(try await client.ask(about).isInactive)
        }
    }

    @Test func `returns a revocation as soon as it has returned, and the credential is then inactive`() async throws {
        try await withServer { server in
            let caller = try await server.caller(rights: ["changes", "introspect"])
            let client = try await server.connect()
            var after = try await server.end(client, caller)
            for _ in 0..<200 {
                let key = try await server.key()
                let about = introspection("token=\(key.secret)", caller.authorization)
                #expect(try await client.ask(about).isActive)
                let revoking = Task { try await server.issuer.revoke([key.id], chain: false) }
                // In the meantime: a cache that learns of it and verifies again never gets "active".
                var told: [[String: Any]] = []
                while told.isEmpty {
                    let answer = try await client.ask(changes("?after=\(after)&wait=60", caller.authorization))
                    (told, after) = (try answer.changes(), try answer.next())
                }
                #expect(try await client.ask(about).isInactive)
                #expect(told.map { $0["id"] as? String } == [key.id.description])
                _ = try await revoking.value
            }
            let last = try await server.key()
            _ = try await server.issuer.revoke([last.id], chain: false)
            #expect(
                try await client.ask(changes("?after=\(after)", caller.authorization)).changes()
                    .map { $0["id"] as? String } == [last.id.description])
        }
    }

    @Test func `returns no commit that readers do not know yet`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let store = server.fixture.store
            let end = try await server.end(client, caller)
            // A commit without the writer, which publishes nothing: the state between a commit and its publication.
            let entry = JournalEntry(number: end + 1, event: .revoked, kind: .apiKey, time: server.now, id: .random())
            _ = try write(entry, to: store)
            let early = try await client.ask(changes("?after=\(end)", caller.authorization))
            #expect(try early.changes().isEmpty && early.next() == end)
            store.published.changes.publish(newest: end + 1, other: end + 1)
            #expect(try await client.ask(changes("?after=\(end)", caller.authorization)).numbers() == [end + 1])
        }
    }

    private func write(_ entry: JournalEntry, to store: CredentialStore) throws -> Bool {
        store.noteTampering()
        return try store.environment.write { transaction in
            try store.schema.journal.put(entry.number, entry.row, append: true, in: transaction)
        }.value
    }

    @Test func `loses and repeats nothing over many polls with many concurrent writers`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let start = try await server.end(client, caller)
            let fixture = server.fixture
            let keys = try await server.issuer.createKeys(KeyRequest(owner: "alice", count: 400))
            let writing = Task {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for part in 0..<8 {
                        group.addTask {
                            for index in stride(from: part, to: 400, by: 8) {
                                _ = try await fixture.issuer.revoke([keys[index].summary.id], chain: false)
                                if index % 5 == 0 { _ = try await fixture.key() }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            var numbers: [UInt64] = []
            var ids: Set<String> = []
            var after = start
            while ids.count < 400 {
                let answer = try await client.ask(changes("?after=\(after)&limit=7&wait=60", caller.authorization))
                let told = try answer.changes()
                #expect(told.count <= 7)
                numbers += try answer.numbers()
                ids.formUnion(told.compactMap { $0["id"] as? String })
                after = try answer.next()
            }
            try await writing.value
            #expect(ids == Set(keys.map { $0.summary.id.description }))
            #expect(try numbers == server.revocations(after: start))
        }
    }

    @Test func `starts at the end of the journal`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let answer = try await client.ask(changes("", caller.authorization))
            #expect(try answer.changes().isEmpty)
            #expect(try answer.next() == (try server.fixture.journal().last?.number))
            // Pages, and the same end repeatedly.
            let all = try await client.ask(changes("?after=0&issued=true&limit=1", caller.authorization))
            #expect(try all.numbers() == [1] && all.next() == 1)
            let end = try answer.next()
            #expect(try await client.ask(changes("?after=\(end)", caller.authorization)).changes().isEmpty)
        }
    }

    @Test func `is 410 for a number that was removed, never existed, or is of another incarnation`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let store = server.fixture.store
            for _ in 0..<5 { _ = try await server.key() }
            let end = try await server.end(client, caller)
            try await store.write(creates: false) { writer, transaction in
                try writer.perform(.forgetJournal(through: 3), in: transaction)
            }
            for query in ["after=0", "after=2&issued=true", "after=\(end + 1)", "after=\(UInt64.max)"] {
                let answer = try await client.ask(changes("?\(query)&wait=60", caller.authorization))
                #expect(answer.status == 410 && answer["Content-Type"] == "application/problem+json", "\(query)")
                #expect(try answer.next() == end && answer.incarnation() == String(store.incarnation))
            }
            // Issuance that was not requested may be missing.
            #expect(try await client.ask(changes("?after=2", caller.authorization)).status == 200)
            let own = "&incarnation=\(store.incarnation)"
            #expect(try await client.ask(changes("?after=3\(own)", caller.authorization)).status == 200)
            let other = try await client.ask(changes("?after=3&incarnation=1&wait=60", caller.authorization))
            #expect(other.status == 410)
            // An empty journal still has its end.
            try await store.write(creates: false) { writer, transaction in
                try writer.perform(.forgetJournal(through: end), in: transaction)
            }
            #expect(try await client.ask(changes("?after=\(end)", caller.authorization)).status == 200)
            #expect(try await client.ask(changes("?after=3&issued=true", caller.authorization)).status == 410)
        }
    }

    @Test func `needs a caller with the right`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let stranger = try await server.caller()
            let client = try await server.connect()
            let nobody = try await client.ask(changes())
            #expect(nobody.status == 401 && nobody["WWW-Authenticate"]?.hasPrefix("Basic ") == true)
            #expect(try await client.ask(changes("", stranger.authorization)).status == 403)
            #expect(try await client.ask(changes("", basic(caller.id, stranger.secret))).status == 401)
            #expect(try await client.ask(changes("", bearer("nonsense"))).status == 401)
            #expect(try await client.ask(changes("", caller.authorization, caller.authorization)).status == 400)
            // The right to follow changes does not include the right to introspect.
            #expect(try await client.ask(introspection("token=x", caller.authorization)).status == 403)
            let key = try await server.key(KeyRequest(owner: "gateway", scope: ["countersign:changes"]))
            #expect(try await client.ask(changes("", apiKey(key.secret))).status == 200)
            _ = try await server.issuer.revoke([key.id], chain: false)
            #expect(try await client.ask(changes("", apiKey(key.secret))).status == 401)
        }
    }

    @Test func `is accepted on a Unix socket with the right`() async throws {
        let folder = try TemporaryFolder()
        let listeners = ["unix:\(folder("a"))?may=changes", "unix:\(folder("b"))?may=introspect"]
        try await withServer(listeners) { server in
            let following = try await server.connect(0)
            #expect(try await following.ask(changes()).status == 200)
            #expect(try await following.ask(introspection("token=x")).status == 401)
            let introspecting = try await server.connect(1)
            #expect(try await introspecting.ask(changes()).status == 401)
        }
    }

    @Test(arguments: [
        "after=", "after=-1", "after=+1", "after=1.0", "after=x", "after=0x1", "after=1&after=1", "after=%31%zz",
        "after=18446744073709551616", "after=99999999999999999999999999", "limit=0", "limit=1001", "limit=-1",
        "limit=1&limit=2", "wait=61", "wait=-1", "wait=1s", "wait=", "wait=0&wait=0", "incarnation=x",
        "incarnation=1&incarnation=1", "issued=1", "issued=true&issued=true",
    ])
    func `is 400 with an invalid parameter`(_ query: String) async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let answer = try await server.connect().ask(changes("?" + query, caller.authorization))
            #expect(answer.status == 400 && answer["Content-Type"] == "application/problem+json")
        }
    }

    @Test func `must use GET`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            for method in ["HEAD", "POST", "PUT", "DELETE"] {
                let line = request("\(method) /v1/changes?after=0", [caller.authorization])
                let answer = try await client.ask(line, isHead: method == "HEAD")
                #expect(answer.status == 405 && answer["Allow"] == "GET")
            }
        }
    }

    @Test func `is 503 for a damaged entry, and never an empty list`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            _ = try await server.issuer.revoke([try await server.key().id], chain: false)
            let store = server.fixture.store
            try await store.tamper { _, transaction in
                _ = try transaction.put(store.schema.journal.database, key: end + 2, value: [99, 1].octets)
            }
            let answer = try await client.ask(changes("?after=\(end)", caller.authorization))
            #expect(answer.status == 503 && answer["Retry-After"] == "1")
        }
    }
}

extension RunningServer {
    /// Numbers of the journal's revocations.
    func revocations(after number: UInt64) throws -> [UInt64] {
        try fixture.journal(after: number).filter { $0.event == .revoked }.map(\.number)
    }
}
