import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `Upgrading a store` {
    /// Converts the fixture's store to an earlier schema, and closes it: rows without codes, longer
    /// journal entries, and, in the first schema, no origin.
    private func makeSchema(_ version: UInt64, _ fixture: Fixture) async throws {
        let schema = fixture.store.schema
        try await fixture.store.tamper { writer, transaction in
            var tokens: [(UInt64, [UInt8])] = []
            try transaction.scan(schema.tokens.database, from: 0) { (key: UInt64, value: RawSpan) in
                tokens.append((key, value.copied()))
                return .next
            }
            for (key, value) in tokens {
                try transaction.delete(schema.tokens.database, key: key)
                try transaction.put(schema.credentials.database, key: key, value: value.octets)
            }
            for table in [schema.credentials, schema.clients, schema.journal] {
                var rows: [(UInt64, [UInt8])] = []
                try transaction.scan(table.database, from: 0) { (key: UInt64, value: RawSpan) in
                    var row = Array(value.copied().dropLast(AuthenticatedTable.codeBytes))
                    if table.name == .journal { row.insert(contentsOf: [0, 0, 0, 0], at: 6) }
                    rows.append((key, row))
                    return .next
                }
                for (key, row) in rows { try transaction.put(table.database, key: key, value: row.octets) }
            }
            for table in [schema.aliases, schema.interned, schema.watermarks, schema.consents, schema.meta] {
                var rows: [([UInt8], [UInt8])] = []
                try transaction.scan(table.database, from: nil) { key, value in
                    let isPlain = MetaName.plainNames.contains(String(decoding: key.copied(), as: UTF8.self))
                    if table.name == .meta, isPlain { return .next }
                    rows.append((key.copied(), value.copied().dropLast(AuthenticatedTable.codeBytes)))
                    return .next
                }
                for (key, row) in rows { try transaction.put(table.database, key: key.octets, value: row.octets) }
            }
            let meta = schema.meta.database
            try transaction.delete(meta, key: MetaName.watermarkSum.key.octets)
            if version == 1 { try transaction.delete(meta, key: MetaName.origin.key.octets) }
            var number: [UInt8] = []
            number.append(word64: version)
            try transaction.put(meta, key: MetaName.schema.key.octets, value: number.octets)
        }
        fixture.close()
    }

    @Test func `of the last schema keeps everything and adds row codes`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let (key, revoked, bulk) = (
            try await fixture.key(), try await fixture.key(), try await fixture.key(owner: "bob")
        )
        _ = try await fixture.issuer.revoke([revoked.summary.id], chain: false)
        _ = try await fixture.issuer.revokeOwner("bob", issuedBefore: nil)
        _ = try await fixture.issuer.rememberConsent(
            subject: "carol", clientID: client.summary.clientID, scope: ["read"])
        let imported = SecretText(Array("legacy-key-0123456789".utf8))
        _ = try await fixture.issuer.importKeys([ImportLine(key: imported, request: KeyRequest(owner: "dora"))])
        // As earlier versions issued them: with a random id and index entries.
        let token = try await fixture.plant(.accessToken, owner: "erna") {
            $0.record.expiresAt = $0.record.issuedAt.adding(600)
        }
        let journal = try fixture.journal()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        try await makeSchema(4, fixture)
        guard case .upgraded(from: 4, to: Schema.version, _) = try Replacing.upgrade(fixture, peppers) else {
            Issue.record("it was not upgraded")
            return
        }
        let again = try fixture.reopened()
        #expect(try again.check().isEmpty)
        #expect(try again.verdict(key.secret).isActive && again.verdict(imported).isActive)
        #expect(try again.verdict(revoked.secret).reason == .revoked)
        #expect(try again.verdict(bulk.secret).reason == .revoked)
        #expect(try again.verdict(token.secret).isActive && again.statistic("tokens") == 1)
        #expect(try again.pages(owner: "erna", limit: 10) == [[token.id]])
        #expect(try again.journal() == journal)
        // New ids are in order, although the old one may be above all of them; the old one is swept by its index entry.
        let new = try await again.issuer.issueToken(TokenRequest(clientID: client.summary.clientID))
        #expect(new.summary.id.orderedSecond <= again.store.clock.now().rawValue)
        #expect(try again.check().isEmpty)
        let now = TrustedClock.Reading.current
        let later = TrustedClock.Reading(wall: now.wall + 1_700, boot: now.boot + 1_700)
        #expect(try await Sweep.run(on: again.store, reading: later).credentials == 1)
        #expect(try again.row(token.id) == nil && again.row(new.summary.id) != nil)
        #expect(again.store.published.clients.client(id: client.summary.clientID)?.metadata.scope == ["read", "write"])
        #expect(try await again.issuer.consents(of: "carol").map(\.scope) == [["read"]])
        _ = try await again.issuer.revokeOwner("alice", issuedBefore: nil)
        #expect(try again.reopened().verdict(key.secret).reason == .revoked)
    }

    @Test func `fails under a wrong lookup secret, and changes nothing`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        try await makeSchema(4, fixture)
        let other = try #require(PepperFile.random())
        #expect(throws: StoreFailure.lookupSecretDiffers) { _ = try Replacing.upgrade(fixture, other) }
        _ = try Replacing.upgrade(fixture, peppers)
        #expect(try fixture.reopened().verdict(key.secret).isActive)
    }

    @Test func `copies it to the current schema and keeps the old one`() async throws {
        let fixture = try Fixture()
        let (key, revoked) = (try await fixture.key(), try await fixture.key())
        _ = try await fixture.issuer.revoke([revoked.summary.id], chain: false)
        try await makeSchema(1, fixture)
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        guard case .upgraded(from: 1, to: Schema.version, let replacement) = try Replacing.upgrade(fixture, peppers)
        else {
            Issue.record("it was not upgraded")
            return
        }
        let again = try fixture.reopened()
        #expect(try again.verdict(key.secret).isActive)
        #expect(try again.verdict(revoked.secret).reason == .revoked)
        #expect(again.store.incarnation == fixture.store.incarnation)
        #expect(again.store.origin == fixture.store.incarnation)
        #expect(try again.check().isEmpty)
        let kept = try #require(replacement.kept)
        #expect(throws: StoreFailure.schemaTooOld(found: 1, known: Schema.version)) {
            _ = try CredentialStore.open(in: kept, peppers: peppers, options: Fixture.smallOptions)
        }
        again.close()
        #expect(try Replacing.upgrade(fixture, peppers) == .current(schema: Schema.version))
    }

    @Test func `is part of restoring an old backup`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try await makeSchema(1, fixture)
        let backup = fixture.folder("backup")
        try FileManager.default.copyItem(atPath: fixture.directory + "/data.mdb", toPath: backup)
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        _ = try Replacing.restore(backup, fixture, peppers, nil)
        let again = try fixture.reopened()
        #expect(try again.verdict(key.secret).isActive)
        #expect(again.store.origin == fixture.store.incarnation)
    }

    @Test func `fails for a store that is locked, missing or newer, and changes nothing`() async throws {
        let fixture = try Fixture()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        #expect(throws: StoreFailure.self) { _ = try Replacing.upgrade(fixture, peppers) }
        try await fixture.store.tamper { writer, transaction in
            try writer.setNumber(.schema, Schema.version + 1, in: transaction)
        }
        fixture.close()
        #expect(throws: StoreFailure.schemaTooNew(found: Schema.version + 1, known: Schema.version)) {
            _ = try Replacing.upgrade(fixture, peppers)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path)
        #expect(left.filter { $0.hasPrefix("store") } == ["store"])
        try FileManager.default.removeItem(atPath: fixture.directory)
        #expect(throws: StoreFailure.noStore(directory: fixture.directory)) {
            _ = try Replacing.upgrade(fixture, peppers)
        }
    }
}
