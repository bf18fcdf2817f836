import CredentialModel
import Foundation
import Issuance
import LMDB
import RecordCache
import TestSupport
import Testing

@testable import CredentialStore

/// Whatever was ended after a backup stays ended when the backup is restored with the newest list.
@Suite struct `A credential that was ended after a backup` {
    private static let day: Int64 = 86_400
    /// How long the sweep keeps keys and client secrets by default.
    private static let week: Int64 = 7 * day

    /// Ways to end a credential within the next minute.
    enum End: CaseIterable, Sendable {
        case revocation, edit, editAndRevocation, rotation, rotationAndEdit, rotationAndRevocation
        case immediateRotation, ownerRevocation
    }

    private func later(_ seconds: Int64) -> TrustedClock.Reading {
        let now = TrustedClock.Reading.current
        return TrustedClock.Reading(wall: now.wall + seconds, boot: now.boot + seconds)
    }

    private func edit(_ fixture: Fixture, _ id: CredentialID, to seconds: Int64?) async throws {
        let end = seconds.map { fixture.store.clock.now().adding($0) }
        _ = try await fixture.issuer.editKey(id, KeyEdit(expiresAt: end.map { .set($0) } ?? .removed))
    }

    private func end(_ key: IssuedCredential, _ way: End, _ fixture: Fixture) async throws {
        let (issuer, id) = (fixture.issuer, key.summary.id)
        switch way {
        case .revocation: _ = try await issuer.revoke([id], chain: false)
        case .edit: try await edit(fixture, id, to: 50)
        case .editAndRevocation:
            try await edit(fixture, id, to: 50)
            _ = try await issuer.revoke([id], chain: false)
        case .rotation: _ = try await issuer.rotate(id, overlapSeconds: 50)
        case .rotationAndEdit:
            _ = try await issuer.rotate(id, overlapSeconds: 3_600)
            try await edit(fixture, id, to: 50)
        case .rotationAndRevocation:
            _ = try await issuer.rotate(id, overlapSeconds: 50)
            _ = try await issuer.revoke([id], chain: false)
        case .immediateRotation: _ = try await issuer.rotate(id, overlapSeconds: 0)
        case .ownerRevocation: _ = try await issuer.revokeOwner("\(way)", issuedBefore: nil)
        }
    }

    /// Restores a backup over a fixture's store with the list that the store exports now.
    private func restored(_ backup: String, over fixture: Fixture, acceptsIncomplete: Bool = false) throws -> Fixture {
        let list = try RevocationList(parsing: fixture.exportedRevocations())
        fixture.close()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        let replacement = try Replacing.restore(
            backup, fixture, peppers, list, acceptsIncomplete: acceptsIncomplete)
        // The name of the kept folder ends with the second.
        if let kept = replacement.kept { try FileManager.default.removeItem(atPath: kept) }
        let again = try fixture.reopened()
        #expect(try again.check().isEmpty)
        return again
    }

    @Test(arguments: [nil, 3_600, week + day, 100 * day]) func `is not accepted after a restore`(_ sweptAfter: Int64?)
        async throws
    {
        let fixture = try Fixture()
        var keys: [(way: End, key: IssuedCredential)] = []
        for way in End.allCases {
            for seconds in [nil, 200 * Self.day] {
                let request = KeyRequest(owner: "\(way)", expiresInSeconds: seconds)
                keys.append((way, try await fixture.issuer.createKeys(request)[0]))
            }
        }
        let bystander = try await fixture.key(owner: "bystander")
        try fixture.backup(toFile: fixture.folder("backup"))
        for (way, key) in keys { try await end(key, way, fixture) }
        let now = fixture.store.clock.now()
        // Twice: an index entry that the first has deleted must not be the only one.
        for _ in 0..<2 {
            guard let sweptAfter else { break }
            _ = try await Sweep.run(on: fixture.store, reading: later(sweptAfter))
            #expect(try fixture.check().isEmpty)
        }
        let again = try restored(fixture.folder("backup"), over: fixture)
        for (way, key) in keys {
            for time in [60, 3_600, 199 * Self.day] {
                #expect(try !again.verdict(key.secret, at: now.adding(time)).isActive, "\(way)")
            }
        }
        #expect(try again.verdict(bystander.secret, at: now.adding(199 * Self.day)).isActive)
    }

    @Test(arguments: [nil, week + day]) func `stays ended if it is a client secret`(
        _ sweptAfter: Int64?
    ) async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let secret = try #require(client.secret)
        try fixture.backup(toFile: fixture.folder("backup"))
        let second = try await fixture.issuer.rotateClientSecret(client.summary.clientID, overlapSeconds: 50)
        if let sweptAfter { _ = try await Sweep.run(on: fixture.store, reading: later(sweptAfter)) }
        // This rotation finds the newest secret among those that are kept.
        _ = try await fixture.issuer.rotateClientSecret(client.summary.clientID, overlapSeconds: 50)
        let now = fixture.store.clock.now()
        #expect(try fixture.verdict(#require(second.secret), at: now.adding(60)).reason == .expired)
        let again = try restored(fixture.folder("backup"), over: fixture)
        #expect(try !again.verdict(secret, at: now.adding(60)).isActive)
    }

    @Test func `keeps its exact expiry, and an edit does not make it look rotated`() async throws {
        let fixture = try Fixture()
        let (edited, rotated) = (try await fixture.key(), try await fixture.key())
        try fixture.backup(toFile: fixture.folder("backup"))
        try await end(edited, .edit, fixture)
        try await end(rotated, .rotation, fixture)
        let ends = try [edited, rotated].map { try #require(try fixture.row($0.summary.id)).record.expiresAt }
        let again = try restored(fixture.folder("backup"), over: fixture)
        for (key, end) in zip([edited, rotated], ends) {
            #expect(try again.verdict(key.secret, at: end.adding(-1)).isActive)
            #expect(try again.verdict(key.secret, at: end).reason == .expired)
        }
        #expect(try again.row(edited.summary.id)?.record.flags == [])
        #expect(try again.row(rotated.summary.id)?.record.flags == .superseded)
        // So it can be lengthened, and then is not in the next list.
        try await edit(again, edited.summary.id, to: nil)
        #expect(try !String(decoding: again.exportedRevocations(), as: UTF8.self).contains("\(edited.summary.id)"))
    }

    @Test(arguments: [nil, 5 * day + week + 100])
    func `has the expiry that was set last, even if that is later again`(
        _ sweptAfter: Int64?
    ) async throws {
        let fixture = try Fixture()
        let (short, endless) = (try await fixture.key(), try await fixture.key())
        try fixture.backup(toFile: fixture.folder("backup"))
        for key in [short, endless] { try await edit(fixture, key.summary.id, to: 50) }
        try await edit(fixture, short.summary.id, to: 5 * Self.day)
        try await edit(fixture, endless.summary.id, to: nil)
        #expect(try fixture.statistic("expiry") == 1)
        let now = fixture.store.clock.now()
        if let sweptAfter { _ = try await Sweep.run(on: fixture.store, reading: later(sweptAfter)) }
        #expect(try fixture.check().isEmpty)
        let again = try restored(fixture.folder("backup"), over: fixture)
        // What has expired when the list is written has expired in the restored store, too.
        #expect(try again.verdict(short.secret, at: now.adding(4 * Self.day)).isActive == (sweptAfter == nil))
        #expect(try !again.verdict(short.secret, at: now.adding(5 * Self.day + 60)).isActive)
        #expect(try again.verdict(endless.secret, at: now.adding(100 * Self.day)).isActive)
    }

    @Test func `is kept until it has expired in every backup, and no longer`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", expiresInSeconds: 30 * Self.day))[0]
        let id = key.summary.id
        try await edit(fixture, id, to: 50)
        try await edit(fixture, id, to: 40)
        #expect(try fixture.statistic("expiry") == 2)
        var swept = 0
        for seconds in [Self.week, Self.week + 100, 30 * Self.day + Self.week - 1_800] {
            swept += try await Sweep.run(on: fixture.store, reading: later(seconds)).credentials
            #expect(try fixture.check().isEmpty)
        }
        #expect(try swept == 0 && fixture.row(id) != nil && fixture.statistic("expiry") == 1)
        let reopened = try fixture.reopened()
        #expect(
            try await Sweep.run(on: reopened.store, reading: later(30 * Self.day + Self.week + 100)).credentials == 1)
        for table in ["credentials", "owners", "expiry"] { #expect(try reopened.statistic(table) == 0) }
        #expect(try reopened.check().isEmpty)
    }

    @Test func `neither keeps its pepper in use nor can be used again`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        _ = try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 50)
        #expect(try fixture.recordsByPepper() == [1: 2])
        let retention = RetentionPolicy(journalSeconds: 100 * Self.day)
        _ = try await Sweep.run(on: fixture.store, retention: retention, reading: later(Self.week + 100))
        #expect(try fixture.recordsByPepper() == [1: 1])
        let row = try #require(try fixture.row(key.summary.id))
        #expect(row.record.flags == [.superseded, .revoked] && row.revokedAt == nil)
        #expect(try fixture.verdict(key.secret).reason == .revoked)
        let text = String(decoding: try fixture.exportedRevocations(), as: UTF8.self)
        #expect(text.contains("revoked \(key.summary.id) \(row.record.expiresAt)\n"))
        #expect(try fixture.journal().last?.event == .rotated)
    }

    @Test func `keeps its latest expiry through a re-tag and a revocation`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let id = key.summary.id
        try await edit(fixture, id, to: 50)
        _ = try await fixture.issuer.addPepper()
        let verifier = try fixture.verifier()
        #expect(try verifier.verdict(key.secret.revealBytes(), at: fixture.store.clock.now()).isActive)
        #expect(try await eventually { try fixture.row(id)?.record.pepper == 2 })
        #expect(try fixture.row(id)?.longestEnd == .never)
        let count = try #require(try fixture.row(id)).row.count
        _ = try await fixture.issuer.revoke([id], chain: false)
        let row = try #require(try fixture.row(id))
        #expect(row.latestEnd == .never && row.row.count == count + 11)
    }

    @Test func `is in the list even if its row was damaged`() async throws {
        let fixture = try Fixture()
        let now = fixture.store.clock.now()
        let client = try await fixture.client()
        let token = try await fixture.issuer.issueToken(
            TokenRequest(clientID: client.summary.clientID, subject: "s", expiresInSeconds: Self.day))
        try fixture.backup(toFile: fixture.folder("backup"))
        let (id, table) = (token.summary.id, fixture.store.schema.tokens.database)
        try await fixture.store.tamper { _, transaction in
            _ = try transaction.put(table, key: id.rawValue, value: [1, 2, 3].octets)
        }
        _ = try await fixture.issuer.revoke([id], chain: false)
        _ = try await Sweep.run(on: fixture.store, reading: later(7_200))
        #expect(try fixture.check().isEmpty)
        let again = try restored(fixture.folder("backup"), over: fixture)
        #expect(try again.verdict(token.secret, at: now.adding(8_000)).reason == .revoked)
    }

    @Test func `is not restored from a branch that an earlier restore has abandoned`() async throws {
        let fixture = try Fixture()
        try fixture.backup(toFile: fixture.folder("old"))
        let key = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("new"))
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        let before = try RevocationList(parsing: fixture.exportedRevocations())
        let second = try restored(fixture.folder("old"), over: fixture)
        #expect(try second.row(key.summary.id) == nil)
        try second.backup(toFile: second.folder("second"))
        // The new store's list does not have the key.
        #expect(throws: StoreFailure.backupOfAnotherBranch) {
            try restored(fixture.folder("new"), over: second)
        }
        // The old backup has the same lineage, as has one of the new incarnation; each restore makes one more.
        let third = try restored(fixture.folder("old"), over: try second.reopened())
        #expect(throws: StoreFailure.backupOfAnotherBranch) {
            try restored(third.folder("second"), over: third)
        }
        let fourth = try third.reopened()
        try fourth.backup(toFile: fourth.folder("third"))
        let fifth = try restored(fourth.folder("third"), over: fourth)
        #expect(fifth.store.origin == fixture.store.origin)
        // It is accepted on explicit request.
        let last = try restored(fixture.folder("new"), over: fifth, acceptsIncomplete: true)
        #expect(try last.verdict(key.secret).isActive)
        // With the earlier list, it is revoked.
        last.close()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        _ = try Replacing.restore(fixture.folder("new"), fixture, peppers, before)
        #expect(try fixture.reopened().verdict(key.secret).reason == .revoked)
    }
}

@Suite struct `A store's lineage` {
    private let lineage = Lineage(
        incarnation: 9,
        ancestors: [.init(incarnation: 7, journalNumber: 100), .init(incarnation: 8, journalNumber: 300)])

    @Test func `covers its own backups, and those of its ancestors up to the restore`() {
        func covers(_ incarnation: UInt64, _ number: UInt64, origin: UInt64 = 7) -> Bool {
            lineage.covers(Lineage(incarnation: incarnation, ancestors: []), at: number, origin: origin)
        }
        #expect(covers(9, 1_000) && covers(7, 100) && covers(8, 300))
        #expect(!covers(7, 101) && !covers(8, 301) && !covers(6, 1))
        // A restore that was not recorded may have been of any incarnation.
        #expect(covers(6, 1, origin: 5) && !covers(8, 301, origin: 5))
        // A backup of an unrecorded incarnation that comes from a recorded one: it would be recorded itself. This
        // is true even if other restores may be missing.
        for origin in [7, 5] as [UInt64] {
            let branch = Lineage(incarnation: 20, ancestors: [.init(incarnation: 7, journalNumber: 50)])
            #expect(!lineage.covers(branch, at: 60, origin: origin))
        }
        // A list from before the restore.
        #expect(Lineage(incarnation: 8, ancestors: []).covers(lineage, at: 400, origin: 8))
    }

    @Test func `is read as it was written`() {
        let words = lineage.line.dropLast().split(separator: " ").map(String.init)
        #expect(lineage.line == "incarnation 9 7:100 8:300\n" && Lineage(words: words) == lineage)
        for line in [
            "incarnation", "incarnation x", "incarnation 9 7", "incarnation 9 7:", "what 9", "incarnation 9 7:1:2",
        ] {
            #expect(Lineage(words: line.split(separator: " ").map(String.init)) == nil)
        }
    }
}
