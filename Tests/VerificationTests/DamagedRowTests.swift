import CredentialModel
import Issuance
import LMDB
import RecordCache
import TestSupport
import Testing
import Verification

@testable import CredentialStore

/// One bit of a row may flip in memory, in transfer or on disk. That is a failure of the store, never a verdict.
@Suite struct `A damaged row` {
    /// Flips each bit of a value in turn and puts the value back afterwards.
    private func flipEachBit(
        _ fixture: Fixture, _ table: AuthenticatedTable, key: UInt64, _ body: () throws -> Void
    ) async throws {
        let value = try fixture.raw(table, key)
        for bit in 0..<value.count * 8 {
            var flipped = value
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            try await fixture.putRaw(table, key, flipped)
            try body()
        }
        try await fixture.putRaw(table, key, value)
    }

    private func flipEachBit(
        _ fixture: Fixture, _ table: AuthenticatedTable, key: [UInt8], _ body: () throws -> Void
    ) async throws {
        let value = try fixture.raw(table, key)
        for bit in 0..<value.count * 8 {
            var flipped = value
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            try await fixture.putRaw(table, key, flipped)
            try body()
        }
        try await fixture.putRaw(table, key, value)
    }

    @Test func `of a revoked or a valid key is refused, whichever bit is flipped`() async throws {
        let fixture = try Fixture()
        let (living, revoked) = (try await fixture.key(), try await fixture.key())
        _ = try await fixture.issuer.revoke([revoked.summary.id], chain: false)
        let verifier = try fixture.verifier()
        for key in [living, revoked] {
            let bytes = key.secret.revealBytes()
            let id = key.summary.id
            try await flipEachBit(fixture, fixture.store.schema.credentials, key: id.rawValue) {
                fixture.store.published.cache.raiseFloor(of: id, to: .max)
                #expect(throws: StoreFailure.damaged(table: "credentials", row: "\(id)")) {
                    _ = try verifier.verdict(bytes, at: UnixSeconds(1_000))
                }
            }
        }
        #expect(fixture.store.damage.count > 1_000)
        #expect(fixture.store.damage.last == .damaged(table: "credentials", row: "\(revoked.summary.id)"))
        #expect(try fixture.check().isEmpty)
    }

    @Test func `that was copied over another is refused`() async throws {
        let fixture = try Fixture()
        let (living, revoked) = (try await fixture.key(), try await fixture.key())
        _ = try await fixture.issuer.revoke([revoked.summary.id], chain: false)
        let table = fixture.store.schema.credentials
        let value = try fixture.raw(table, living.summary.id.rawValue)
        try await fixture.putRaw(table, revoked.summary.id.rawValue, value)
        #expect(throws: StoreFailure.self) { _ = try fixture.verdict(revoked.secret) }
        #expect(try fixture.check().contains("credential \(revoked.summary.id): the row is damaged"))
    }

    @Test func `of an imported key's alias is an error, not an unknown key`() async throws {
        let fixture = try Fixture()
        let secret = SecretText(Array("legacy-key-0123456789".utf8))
        _ = try await fixture.issuer.importKeys([ImportLine(key: secret, request: KeyRequest(owner: "carol"))])
        let table = fixture.store.schema.aliases
        let key = try fixture.firstKey(table)
        let verifier = try fixture.verifier()
        try await flipEachBit(fixture, table, key: key) {
            #expect(throws: StoreFailure.self) {
                _ = try verifier.verdict(secret.revealBytes(), at: UnixSeconds(1_000))
            }
        }
        #expect(try verifier.verdict(secret.revealBytes(), at: UnixSeconds(1_000)).isActive)
    }

    /// These are read only at the start, by followers and by the check, which all find the damage.
    @Test func `of a text, a client, a watermark or the meta table is found by the check and at the start`()
        async throws
    {
        let fixture = try Fixture()
        _ = try await fixture.client()
        _ = try await fixture.issuer.revokeOwner("alice", issuedBefore: nil)
        let schema = fixture.store.schema
        _ = try await fixture.issuer.createKeys(KeyRequest(owner: "bob", scope: ["a"]))
        let places: [(AuthenticatedTable, [UInt8])] = [
            (schema.interned, try fixture.firstKey(schema.interned)),
            (schema.watermarks, try fixture.firstKey(schema.watermarks)),
            (schema.meta, MetaName.watermarkSum.key), (schema.meta, MetaName.time.key),
        ]
        try await fixture.store.tamper { writer, transaction in
            try writer.setNumber(.time, 1_000, in: transaction)
        }
        func requireFound() throws {
            let findings = try fixture.checkTables()
            #expect(!findings.isEmpty)
        }
        for (table, key) in places { try await flipEachBit(fixture, table, key: key, requireFound) }
        try await flipEachBit(fixture, schema.clients, key: 1, requireFound)
        #expect(try fixture.check().isEmpty)
        let (table, place) = places[0]
        var flipped = try fixture.raw(table, place)
        flipped[0] ^= 1
        try await fixture.putRaw(table, place, flipped)
        fixture.close()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        #expect(throws: StoreFailure.self) {
            _ = try CredentialStore.open(in: fixture.directory, peppers: peppers, options: fixture.options)
        }
    }

    @Test func `can be revoked, and is unknown from then on`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let id = key.summary.id
        try await fixture.putRaw(fixture.store.schema.credentials, id.rawValue, [1, 2, 3])
        #expect(throws: StoreFailure.self) { _ = try fixture.verdict(key.secret) }
        let report = try await fixture.issuer.revoke([id], chain: true)
        #expect(report.revoked == [id])
        #expect(try fixture.verdict(key.secret).reason == .unknown)
        #expect(try fixture.check().isEmpty)
        let again = try await fixture.issuer.revoke([id], chain: true)
        #expect(again.alreadyRevoked == [id])
    }

    @Test func `is kept by the sweep, is left out of listings, and stops neither`() async throws {
        let fixture = try Fixture()
        let end = fixture.store.clock.now().adding(-30 * 86_400)
        let ids = [
            try await fixture.plant { $0.record.expiresAt = end }.id,
            try await fixture.plant { $0.record.expiresAt = end }.id,
        ]
        try await fixture.putRaw(fixture.store.schema.credentials, ids[0].rawValue, [1, 2, 3])
        #expect(try fixture.pages(limit: 10) == [[ids[1]]])
        #expect(try fixture.pages(owner: "alice", limit: 10) == [[ids[1]]])
        #expect(try await Sweep.run(on: fixture.store).credentials == 1)
        #expect(throws: StoreFailure.self) { _ = try fixture.row(ids[0]) }
        #expect(try fixture.row(ids[1]) == nil)
    }
}

@Suite struct `A missing watermark` {
    @Test func `prevents the store from being opened, since what it revoked would be valid again`() async throws {
        let fixture = try Fixture()
        for owner in ["a", "b", "c"] { _ = try await fixture.issuer.revokeOwner(owner, issuedBefore: nil) }
        // Raised again, and for other kinds: the sum is updated.
        _ = try await fixture.issuer.revokeOwner("a", issuedBefore: nil)
        let again = try fixture.reopened()
        #expect(try again.check().isEmpty)
        let table = again.store.schema.watermarks
        try await again.store.tamper { _, transaction in
            try table.delete(WatermarkRow.key(.owner(Array("b".utf8))), in: transaction)
        }
        #expect(try again.check().count == 1)
        again.close()
        let peppers = try PepperFileOnDisk.read(again.pepperPath)
        #expect(throws: StoreFailure.damaged(table: "watermarks", row: "that is missing")) {
            _ = try CredentialStore.open(in: again.directory, peppers: peppers, options: again.options)
        }
    }
}

extension Fixture {
    fileprivate func raw(_ table: AuthenticatedTable, _ key: UInt64) throws -> [UInt8] {
        try store.reading { transaction in try transaction.get(table.database, key: key) { $0.copied() } } ?? []
    }

    fileprivate func raw(_ table: AuthenticatedTable, _ key: [UInt8]) throws -> [UInt8] {
        try store.reading { transaction in try transaction.get(table.database, key: key.octets) { $0.copied() } } ?? []
    }

    fileprivate func firstKey(_ table: AuthenticatedTable) throws -> [UInt8] {
        try store.reading { transaction in
            var first: [UInt8] = []
            try transaction.scan(table.database, from: nil) { key, _ in
                first = key.copied()
                return .stop
            }
            return first
        }
    }

    fileprivate func putRaw(_ table: AuthenticatedTable, _ key: UInt64, _ value: [UInt8]) async throws {
        try await store.tamper { _, transaction in
            _ = try transaction.put(table.database, key: key, value: value.octets)
        }
    }

    fileprivate func putRaw(_ table: AuthenticatedTable, _ key: [UInt8], _ value: [UInt8]) async throws {
        try await store.tamper { _, transaction in
            _ = try transaction.put(table.database, key: key.octets, value: value.octets)
        }
    }

    fileprivate func checkTables() throws -> [String] { try store.checkTables() }
}
