import CredentialModel
import Issuance
import LMDB
import TestSupport
import Testing

@testable import CredentialStore

extension Fixture {
    func audit(after number: UInt64 = 0, limit: Int = .max) throws -> [AuditEntry] {
        try store.auditEntries(after: number, limit: limit).entries
    }

    func verifiedAudit(recorded: AuditHead? = nil) throws -> AuditReport { try store.verifyAudit(recorded: recorded) }

    /// Changes rows of the log like an attacker who can write the store's file.
    func tamper(_ body: (Schema, borrowing WriteTransaction) throws -> Void) throws {
        store.noteTampering()
        _ = try store.environment.write { transaction in try body(store.schema, transaction) }
    }

    func put(_ row: [UInt8], _ number: UInt64, _ schema: Schema, _ transaction: borrowing WriteTransaction) throws {
        try transaction.put(schema.audit, key: number, value: row.octets)
    }

    func row(ofEntry number: UInt64) throws -> [UInt8] {
        let schema = store.schema
        return try store.environment.read { try $0.get(schema.audit, key: number) { $0.copied() } ?? [] }
    }

    /// Writes eight entries.
    func makeHistory() async throws {
        for owner in ["a", "b", "c", "d"] {
            let key = try await key(owner: owner)
            _ = try await issuer.revoke([key.summary.id], chain: false)
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct `The audit log` {
    private struct Spoilt: Error {}

    @Test func `names a changed description but does not contain it`() async throws {
        let fixture = try Fixture()
        var request = KeyRequest(owner: "alice")
        request.properties.description = .set("SECOND-FLOOR")
        let id = try await fixture.issuer.createKeys(request)[0].summary.id
        var edit = KeyEdit(name: .set("n"))
        edit.properties.description = .set("THIRD-FLOOR")
        _ = try await fixture.issuer.editKey(id, edit)
        var client = ClientRequest(name: "app")
        client.description = "FOURTH-FLOOR"
        _ = try await fixture.issuer.createClient(client)
        #expect(try fixture.audit().map(\.audited.changed) == [[], ["name", "description"], []])
        for number in 1...3 {
            #expect(!String(decoding: try fixture.row(ofEntry: UInt64(number)), as: UTF8.self).contains("FLOOR"))
        }
    }

    @Test func `has one entry for each mutation, with the actor, the action and its object`() async throws {
        let fixture = try Fixture()
        let issuer = fixture.issuer.acting(as: .unlimited(.controlSocket(user: 1_000)))
        let key = try await issuer.createKeys(KeyRequest(owner: "alice", count: 3)).map(\.summary.id)
        _ = try await issuer.editKey(key[0], KeyEdit(name: .set("laptop"), scope: ["read"]))
        let rotated = try await issuer.rotate(key[0], overlapSeconds: 60)
        _ = try await issuer.revoke([key[1], key[2]], chain: false)
        let client = try await issuer.createClient(
            ClientRequest(name: "app", grants: ["client_credentials"], scope: ["read"])
        ).summary
        let token = try await issuer.issueToken(TokenRequest(clientID: client.clientID, subject: "bob"))
        _ = try await issuer.acting(as: .unlimited(.client(client.clientID))).revoke([token.summary.id], chain: false)
        _ = try await issuer.revokeClientCredentials(client.clientID, issuedBefore: UnixSeconds(1_000))
        _ = try await issuer.revokeClient(client.clientID)
        let id = CredentialID.random()
        _ = try await issuer.acting(as: .unlimited(.credential(id))).revokeOwner("alice", issuedBefore: nil)
        let pepper = try await issuer.addPepper()
        let entries = try fixture.audit()
        #expect(entries.map(\.number) == Array(1...UInt64(entries.count)))
        let actions = [
            AuditedAction(.keysCreated, credentials: entries[0].audited.credentials, owner: "alice"),
            AuditedAction(.keyEdited, credentials: [key[0]], changed: ["name", "scope"]),
            AuditedAction(.credentialRotated, credentials: [key[0], rotated.summary.id]),
            AuditedAction(.credentialsRevoked, credentials: [key[1], key[2]]),
            AuditedAction(.clientCreated, credentials: client.secrets.map(\.id), clientID: client.clientID),
            AuditedAction(.tokenIssued, credentials: [token.summary.id], clientID: client.clientID, owner: "bob"),
            AuditedAction(.credentialsRevoked, credentials: [token.summary.id]),
            AuditedAction(.clientCredentialsRevoked, clientID: client.clientID, issuedBefore: UnixSeconds(1_000)),
            AuditedAction(.clientRevoked, clientID: client.clientID),
            AuditedAction(.ownerRevoked, owner: "alice"),
            AuditedAction(.pepperAdded, pepper: UInt16(pepper.number)),
        ]
        #expect(entries.map(\.audited) == actions)
        #expect(Set(entries[0].audited.credentials) == Set(key))
        for (index, entry) in entries.enumerated() {
            let actor: AuditActor =
                switch index {
                case 6: .client(client.clientID)
                case 9: .credential(id)
                default: .controlSocket(user: 1_000)
                }
            #expect(entry.actor == actor)
        }
        // The entry has the journal number of the change.
        let journal = try fixture.journal()
        #expect(entries.map(\.journalNumber).sorted() == entries.map(\.journalNumber))
        #expect(entries.last?.journalNumber == journal.last?.number)
        let report = try fixture.verifiedAudit()
        #expect(report.fault == nil && report.entries == UInt64(actions.count) && report.head == entries.last?.head)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `names every key of a bulk creation and of an import`() async throws {
        let fixture = try Fixture()
        let creation = try fixture.issuer.bulkCreation(of: KeyRequest(owner: "alice", count: 2_500))
        var ids: [CredentialID] = []
        try await creation.run { chunk in ids += chunk.keys.map(\.id) }
        let lines = (0..<3).map { index in
            ImportLine(
                key: SecretText(Array("foreign-key-number-\(index)-0123456789".utf8)), request: KeyRequest(owner: "b"))
        }
        let imported = try await fixture.issuer.importKeys(lines + lines.prefix(1))
        let entries = try fixture.audit()
        #expect(entries.dropLast().flatMap(\.audited.credentials) == ids)
        #expect(entries.count == 4)
        #expect(entries.last?.audited == AuditedAction(.keysImported, credentials: imported.imported))
        // Each entry names a thousand credentials, so a page has fewer entries.
        #expect(try fixture.audit(limit: 2).count == 2)
        #expect(try fixture.verifiedAudit().fault == nil)
    }

    @Test func `has no entry for refused requests, and one for each request in a batch that runs again`() async throws {
        let fixture = try Fixture()
        let store = fixture.store
        let key = try await fixture.key().summary.id
        await #expect(throws: IssuanceError.self) { _ = try await fixture.issuer.rotate(.random(), overlapSeconds: 5) }
        _ = try await fixture.issuer.revoke([.random()], chain: false)
        let gate = WriterGate(store)
        let first = Task { try await fixture.issuer.editKey(key, KeyEdit(name: .set("first"))) }
        try await gate.waitUntilQueued(1)
        // Fails after it has written, so the rest of the batch runs again without it.
        let spoiling = Task {
            try await store.write(creates: false) { writer, transaction in
                try writer.audit(AuditedAction(.keyEdited), by: .program, in: transaction)
                throw Spoilt()
            }
        }
        try await gate.waitUntilQueued(2)
        let second = Task { try await fixture.issuer.revokeOwner("alice", issuedBefore: nil) }
        try await gate.waitUntilQueued(3)
        gate.open()
        _ = try await first.value
        _ = try await second.value
        await #expect(throws: Spoilt.self) { try await spoiling.value }
        #expect(try fixture.audit().map(\.audited.action) == [.keysCreated, .keyEdited, .ownerRevoked])
        #expect(try fixture.verifiedAudit().fault == nil)
    }

    @Test func `is one chain over concurrent writers, restarts and a restored backup`()
        async throws
    {
        let fixture = try Fixture()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for owner in 0..<16 {
                group.addTask { for _ in 0..<10 { _ = try await fixture.key(owner: "\(owner)") } }
            }
            try await group.waitForAll()
        }
        let head = try #require(try fixture.verifiedAudit().head)
        #expect(head.number == 160)
        let again = try fixture.reopened()
        _ = try await again.key()
        #expect(try again.verifiedAudit(recorded: AuditHead(head.description)).fault == nil)
        let backup = again.folder("backup")
        try again.backup(toFile: backup)
        _ = try await again.key()
        let lost = try #require(try again.verifiedAudit().head)
        again.close()
        _ = try Replacing.restore(backup, again, try PepperFileOnDisk.read(again.pepperPath), nil)
        let restored = try again.reopened()
        #expect(try restored.audit().last?.audited == AuditedAction(.storeRestored))
        #expect(try restored.audit().last?.actor == .command)
        #expect(try restored.verifiedAudit(recorded: head).fault == nil)
        // The restored log lacks the entries after the backup, which a head recorded later reveals.
        #expect(try restored.verifiedAudit(recorded: lost).fault?.number == lost.number)
    }

    @Test func `contains no secret`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let client = try await fixture.client()
        let rows = try (1...2).map { String(decoding: try fixture.row(ofEntry: $0), as: UTF8.self) }.joined()
        for secret in [key.secret.reveal(), client.secret?.reveal() ?? ""] {
            #expect(!rows.contains(secret.dropFirst(17).prefix(20)))
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct `A chain of entries` {
    @Test func `breaks where any byte was changed`() async throws {
        let fixture = try Fixture()
        try await fixture.makeHistory()
        let row = try fixture.row(ofEntry: 5)
        #expect(row.count > 60)
        for index in row.indices {
            var changed = row
            changed[index] ^= 1
            try fixture.tamper { try fixture.put(changed, 5, $0, $1) }
            #expect(try fixture.verifiedAudit().fault?.number == 5, "byte \(index)")
        }
        #expect(try fixture.check().contains { $0.hasPrefix("audit 5: ") })
        try fixture.tamper { try fixture.put(row, 5, $0, $1) }
        #expect(try fixture.verifiedAudit().fault == nil)
    }

    @Test func `breaks where a row was removed, added, repeated or moved`() async throws {
        let fixture = try Fixture()
        try await fixture.makeHistory()
        let rows = try (1...8).map { try fixture.row(ofEntry: $0) }
        func fault(_ change: (Schema, borrowing WriteTransaction) throws -> Void) throws -> UInt64? {
            try fixture.tamper(change)
            let number = try fixture.verifiedAudit().fault?.number
            try fixture.tamper { schema, transaction in
                try transaction.scanDeleting(schema.audit) { _, _ in .delete }
                for (index, row) in rows.enumerated() {
                    try fixture.put(row, UInt64(index + 1), schema, transaction)
                }
            }
            #expect(try fixture.verifiedAudit().fault == nil)
            return number
        }
        #expect(try fault { _ = try $1.delete($0.audit, key: 3) } == 3)
        #expect(try fault { _ = try $1.delete($0.audit, key: 1) } == 1)
        #expect(try fault { try fixture.put(rows[0], 0, $0, $1) } == 1)
        #expect(try fault { try fixture.put(rows[7], 9, $0, $1) } == 9)
        #expect(try fault { try fixture.put(rows[1], 4, $0, $1) } == 4)
        let swapped = try fault { schema, transaction in
            try fixture.put(rows[5], 4, schema, transaction)
            try fixture.put(rows[3], 6, schema, transaction)
        }
        #expect(swapped == 4)
        // A row is removed and all later ones are moved up.
        let moved = try fault { schema, transaction in
            for index in 2..<7 { try fixture.put(rows[index + 1], UInt64(index + 1), schema, transaction) }
            _ = try transaction.delete(schema.audit, key: 8)
        }
        #expect(moved == 3)
    }

    @Test func `breaks where its end was cut off, and the gap remains when more is written`() async throws {
        let fixture = try Fixture()
        try await fixture.makeHistory()
        try fixture.tamper { schema, transaction in _ = try transaction.delete(schema.audit, key: 8) }
        #expect(try fixture.verifiedAudit().fault?.number == 8)
        _ = try await fixture.key()
        #expect(try fixture.verifiedAudit().fault?.number == 8)
    }

    @Test func `is found to be an older log by a recorded head, even if the end in meta was set back too`() async throws
    {
        let fixture = try Fixture()
        try await fixture.makeHistory()
        let old = try #require(try fixture.verifiedAudit().head)
        let meta = try metaRow(fixture)
        _ = try await fixture.key()
        let recorded = try #require(try fixture.verifiedAudit().head)
        // The log and the head of an earlier time are consistent: nothing in the store reveals it.
        try fixture.tamper { schema, transaction in
            _ = try transaction.delete(schema.audit, key: 9)
            try transaction.put(schema.meta.database, key: MetaName.auditHead.key.octets, value: meta.octets)
        }
        #expect(try fixture.verifiedAudit().fault == nil)
        #expect(try fixture.verifiedAudit(recorded: old).fault == nil)
        #expect(try fixture.verifiedAudit(recorded: recorded).fault?.number == 9)
        // Also if other entries are written in their place.
        _ = try await fixture.key(owner: "other")
        #expect(try fixture.verifiedAudit().fault == nil)
        #expect(try fixture.verifiedAudit(recorded: recorded).fault?.number == 9)
    }

    @Test func `cannot be continued without the secret`() async throws {
        let fixture = try Fixture()
        try await fixture.makeHistory()
        let rows = try (1...8).map { try fixture.row(ofEntry: $0) }
        // An end that names an earlier entry, but was written without the secret.
        var meta = try metaRow(fixture)
        meta.replaceSubrange(0..<40, with: [7, 0, 0, 0, 0, 0, 0, 0] + rows[6].prefix(32))
        try fixture.tamper { schema, transaction in
            _ = try transaction.delete(schema.audit, key: 8)
            try transaction.put(schema.meta.database, key: MetaName.auditHead.key.octets, value: meta.octets)
        }
        #expect(try fixture.verifiedAudit().fault?.number == 8)
        try fixture.tamper { schema, transaction in
            _ = try transaction.delete(schema.meta.database, key: MetaName.auditHead.key.octets)
        }
        #expect(try fixture.verifiedAudit().fault?.number == 8)
        // Administration continues, and the fault remains.
        _ = try await fixture.key()
        #expect(try fixture.verifiedAudit().fault != nil)
    }

    private func metaRow(_ fixture: Fixture) throws -> [UInt8] {
        let schema = fixture.store.schema
        return try fixture.store.environment.read {
            try $0.get(schema.meta.database, key: MetaName.auditHead.key.octets) { $0.copied() } ?? []
        }
    }

    @Test(arguments: ["", "1", "1:", ":", "1:zz", "x:00", "1:00", "-1:00"])
    func `has no head that is spelled otherwise`(_ text: String) {
        #expect(AuditHead(text) == nil)
    }
}
