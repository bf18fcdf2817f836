import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import LMDB
import TestSupport
import Testing

@testable import CredentialStore

/// Rows that a backup may hold without an expiry are kept as long as such a backup may be restored.
@Suite struct `A revoked key without an expiry` {
    private static let day: Int64 = 86_400
    /// Whatever is revoked today is dated to the end of the day.
    private static let removal: Int64 = 402 * day

    private func later(_ seconds: Int64) -> TrustedClock.Reading {
        let now = TrustedClock.Reading.current
        return TrustedClock.Reading(wall: now.wall + seconds, boot: now.boot + seconds)
    }

    @discardableResult
    private func sweep(
        _ fixture: Fixture, after seconds: Int64, _ retention: RetentionPolicy = RetentionPolicy()
    ) async throws -> Int {
        let swept = try await Sweep.run(on: fixture.store, retention: retention, reading: later(seconds)).credentials
        #expect(try fixture.check().isEmpty)
        return swept
    }

    private func list(_ fixture: Fixture) throws -> RevocationList {
        try RevocationList(parsing: fixture.exportedRevocations())
    }

    private func restore(
        _ backup: String, over fixture: Fixture, _ list: RevocationList, acceptsIncomplete: Bool = false
    ) throws -> Fixture {
        fixture.close()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        let replacement = try Replacing.restore(backup, fixture, peppers, list, acceptsIncomplete: acceptsIncomplete)
        // The name of the kept folder ends with the second.
        if let kept = replacement.kept { try FileManager.default.removeItem(atPath: kept) }
        let again = try fixture.reopened()
        #expect(try again.check().isEmpty)
        return again
    }

    @Test func `is removed after the retention time of backups, not before`() async throws {
        let fixture = try Fixture()
        let (issuer, now) = (fixture.issuer, fixture.store.clock.now())
        let bystander = try await fixture.key()
        var revoked = [try await fixture.key().summary.id, try await fixture.key().summary.id]
        _ = try await issuer.revoke([revoked[0]], chain: false)
        let successor = try await issuer.rotate(revoked[1], overlapSeconds: 0).summary.id
        // A far expiry is treated like none.
        let far = KeyRequest(owner: "alice", expiresInSeconds: 3_650 * Self.day)
        revoked.append(try await issuer.createKeys(far)[0].summary.id)
        _ = try await issuer.revoke([revoked[2]], chain: false)
        // Shortened and then revoked.
        revoked.append(try await fixture.key().summary.id)
        _ = try await issuer.editKey(revoked[3], KeyEdit(expiresAt: .set(now.adding(500))))
        _ = try await issuer.revoke([revoked[3]], chain: false)
        let client = try await fixture.client().summary
        _ = try await issuer.rotateClientSecret(client.clientID, overlapSeconds: 0)
        revoked.append(client.secrets[0].id)
        // Those that were only shortened are marked once the retention time after their new expiry is over, and dated
        // then.
        var shortened = [try await fixture.key().summary.id, try await fixture.key().summary.id]
        _ = try await issuer.editKey(shortened[0], KeyEdit(expiresAt: .set(now.adding(500))))
        let next = try await issuer.rotate(shortened[1], overlapSeconds: 500).summary.id
        let second = try await fixture.client().summary
        _ = try await issuer.rotateClientSecret(second.clientID, overlapSeconds: 500)
        shortened.append(second.secrets[0].id)

        #expect(try await sweep(fixture, after: 8 * Self.day) == 0)
        #expect(try await sweep(fixture, after: 399 * Self.day) == 0)
        for id in revoked + shortened { #expect(try fixture.row(id)?.record.flags.contains(.revoked) == true) }
        #expect(try await sweep(fixture, after: Self.removal) == revoked.count)
        for id in shortened { #expect(try fixture.row(id) != nil) }
        #expect(try await sweep(fixture, after: Self.removal + 8 * Self.day) == shortened.count)
        for id in revoked + shortened { #expect(try fixture.row(id) == nil) }
        for id in [bystander.summary.id, successor, next] { #expect(try fixture.row(id) != nil) }
        #expect(try fixture.statistic("expiry") == 0 && fixture.statistic("credentials") == 5)
        #expect(try fixture.reopened().check().isEmpty)
    }

    @Test func `is kept for the retention time of keys if that is longer`() async throws {
        let fixture = try Fixture()
        let id = try await fixture.key().summary.id
        _ = try await fixture.issuer.revoke([id], chain: false)
        let retention = RetentionPolicy(keySeconds: 20 * Self.day, backupSeconds: Self.day)
        #expect(try await sweep(fixture, after: 19 * Self.day, retention) == 0)
        #expect(try await sweep(fixture, after: 22 * Self.day, retention) == 1)
    }

    @Test func `of another kind, with a near expiry, or imported has no further index entry`() async throws {
        let fixture = try Fixture()
        let near = try await fixture.issuer.createKeys(
            KeyRequest(owner: "alice", expiresInSeconds: 30 * Self.day))[0].summary.id
        let imported = try await fixture.plant { $0.record.flags = .imported }.id
        let refresh = try await fixture.plant(.refreshToken) { $0.record.family = 5 }.id
        let client = try await fixture.client().summary.clientID
        let token = try await fixture.issuer.issueToken(TokenRequest(clientID: client)).summary.id
        _ = try await fixture.issuer.revoke([near, imported, refresh, token], chain: false)
        for id in [near, imported, refresh, token] {
            let row = try #require(try fixture.row(id))
            #expect(row.record.flags.contains(.revoked) && row.endedBy == nil)
        }
        #expect(try fixture.statistic("expiry") == 1)
        // The key after its own expiry, and the token; the import and the token without an expiry stay.
        #expect(try await sweep(fixture, after: 3_000 * Self.day) == 2)
        #expect(try list(fixture).completeSince == .always)
        // As an earlier version revoked them: without an entry they stay, and the check does not report them.
        let old = try await fixture.plant { $0.record.flags = .revoked }.id
        #expect(try await sweep(fixture, after: 3_000 * Self.day) == 0)
        #expect(try fixture.row(old) != nil)
    }

    @Test func `is removed together with many others`() async throws {
        let fixture = try Fixture()
        let ids = try await fixture.plant(count: 700) { _ in "alice" }.map(\.id)
        _ = try await fixture.issuer.revoke(ids, chain: false)
        #expect(try fixture.statistic("expiry") == 700)
        #expect(try await sweep(fixture, after: Self.removal) == 700)
        for table in ["credentials", "owners", "expiry"] { #expect(try fixture.statistic(table) == 0) }
    }

    @Test func `is read again before its removal, and a valid one is kept`() async throws {
        let fixture = try Fixture()
        let (id, damaged) = (try await fixture.plant().id, try await fixture.plant().id)
        let schema = fixture.store.schema
        _ = try await fixture.issuer.revoke([damaged], chain: false)
        let endedBy = try #require(try fixture.row(damaged)?.endedBy)
        try await fixture.store.tamper { writer, transaction in
            // An entry whose row is not marked.
            try writer.put(schema.expiry, TableKey.ended(endedBy, id), [], in: transaction)
            _ = try transaction.put(schema.credentials.database, key: damaged.rawValue, value: [1, 2, 3].octets)
        }
        #expect(
            try await Sweep.run(on: fixture.store, reading: later(Self.removal)).credentials == 0)
        #expect(try fixture.statistic("expiry") == 0 && fixture.statistic("credentials") == 2)
    }

    @Test func `has its time in the index, otherwise the check reports it`() async throws {
        let fixture = try Fixture()
        let id = try await fixture.key().summary.id
        _ = try await fixture.issuer.revoke([id], chain: false)
        let endedBy = try #require(try fixture.row(id)?.endedBy)
        let schema = fixture.store.schema
        try await fixture.store.tamper { writer, transaction in
            try writer.delete(schema.expiry, TableKey.ended(endedBy, id), in: transaction)
        }
        let found = try fixture.check()
        #expect(found.count == 1 && found[0].contains("\(id)") && found[0].contains("expiry index"))
    }

    @Test func `is dated to the end of its day, so that no backup of that day seems to be later`() {
        var credential = StoredCredential(
            record: CredentialRecord(id: .random(), kind: .apiKey, tag: Tag(1, 2, 3, 4), pepper: 1), owner: [0x61],
            name: nil)
        credential.noteEnd(at: UnixSeconds(100))
        #expect(credential.endedBy == nil)
        credential.record.flags = .revoked
        let length = credential.row.count
        for (time, end) in [(0, 86_400), (86_399, 86_400), (86_400, 172_800)] as [(Int64, Int64)] {
            var ended = credential
            ended.noteEnd(at: UnixSeconds(time))
            #expect(ended.endedBy == UnixSeconds(end) && ended.row.count == length)
            // The first time counts.
            ended.noteEnd(at: UnixSeconds(time + 1_000_000))
            #expect(ended.endedBy == UnixSeconds(end))
        }
        for time in [Int64.max - 1, .min] {
            var ended = credential
            ended.noteEnd(at: UnixSeconds(time))
            let row = ended.row
            #expect(StoredCredential(row: row.octets, id: credential.record.id)?.endedBy == ended.endedBy)
        }
    }

    @Test func `once removed is not in the list, which then refuses a backup from before its revocation`() async throws
    {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let id = key.summary.id
        try fixture.backup(toFile: fixture.folder("before"))
        _ = try await fixture.issuer.revoke([id], chain: false)
        #expect(try list(fixture).completeSince == .always)
        // The sweep notes the time.
        try await sweep(fixture, after: 2 * Self.day)
        try fixture.backup(toFile: fixture.folder("after"))
        #expect(try await sweep(fixture, after: Self.removal) == 1)
        let newest = try list(fixture)
        #expect(newest.entries.isEmpty && newest.completeSince > key.summary.issuedAt)

        #expect(throws: StoreFailure.backupTooOld) {
            try restore(fixture.folder("before"), over: fixture, newest)
        }
        #expect(StoreFailure.backupTooOld.description.contains("--accept-incomplete-list"))
        let untouched = try fixture.reopened()
        #expect(untouched.store.incarnation == fixture.store.incarnation)
        let again = try restore(fixture.folder("after"), over: untouched, newest)
        #expect(try again.verdict(key.secret).reason == .revoked)
        // The older one is accepted on explicit request. The next list is no more complete than the one that was
        // applied.
        let older = try restore(fixture.folder("before"), over: again, newest, acceptsIncomplete: true)
        #expect(try older.verdict(key.secret).isActive)
        #expect(try list(older).completeSince == newest.completeSince)
    }

    @Test func `that has expired in every backup causes no backup to be refused`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.issuer.createKeys(
            KeyRequest(owner: "alice", expiresInSeconds: 500 * Self.day))[0]
        try fixture.backup(toFile: fixture.folder("backup"))
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        #expect(try fixture.row(key.summary.id)?.endedBy != nil)
        // No sweep runs before its own expiry has passed, too.
        #expect(try await sweep(fixture, after: 501 * Self.day) == 1)
        let newest = try list(fixture)
        #expect(newest.completeSince == .always)
        let again = try restore(fixture.folder("backup"), over: fixture, newest)
        #expect(try !again.verdict(key.secret, at: key.summary.issuedAt.adding(501 * Self.day)).isActive)
    }

    @Test func `revoked in a backup by a list is not dated before that backup`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        // The clock of the machine that restores is behind that of the backup.
        try await sweep(fixture, after: 30 * Self.day)
        try fixture.backup(toFile: fixture.folder("backup"))
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        let again = try restore(fixture.folder("backup"), over: fixture, try list(fixture))
        let endedBy = try #require(try again.row(key.summary.id)?.endedBy)
        #expect(endedBy > key.summary.issuedAt.adding(30 * Self.day - 60))
    }
}
