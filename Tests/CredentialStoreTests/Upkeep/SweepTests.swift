import CredentialModel
import Issuance
import LMDB
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `The sweep` {
    private static let week: Int64 = 7 * 86_400

    private func later(_ seconds: Int64, boot: Int64? = nil) -> TrustedClock.Reading {
        let now = TrustedClock.Reading.current
        return TrustedClock.Reading(wall: now.wall + seconds, boot: now.boot + (boot ?? seconds))
    }

    private func expired(
        _ fixture: Fixture, _ ago: Int64, kind: CredentialKind = .apiKey,
        _ change: @escaping @Sendable (inout StoredCredential) -> Void = { _ in }
    ) async throws -> CredentialID {
        let end = fixture.store.clock.now().adding(-ago)
        return try await fixture.plant(kind) {
            $0.record.expiresAt = end
            change(&$0)
        }.id
    }

    @Test func `removes keys that expired more than seven days ago, and nothing else`() async throws {
        let fixture = try Fixture()
        let long = try await expired(fixture, Self.week + 100)
        let recent = try await expired(fixture, Self.week - 3_600)
        let alive = try await expired(fixture, -100)
        let endless = try await fixture.plant().id
        let report = try await Sweep.run(on: fixture.store)
        #expect(report == Sweep.Report(credentials: 1, journalEntries: 0, paused: false))
        #expect(try fixture.row(long) == nil)
        for id in [recent, alive, endless] { #expect(try fixture.row(id) != nil) }
        #expect(try fixture.check().isEmpty)
        #expect(try fixture.pages(owner: "alice", limit: 10).joined().count == 3)
        // Not earlier, with some slack for a slow test.
        let end = try #require(try fixture.row(recent)).record.expiresAt
        let now = fixture.store.clock.now()
        let wait = end.rawValue + Self.week - now.rawValue
        _ = try await Sweep.run(on: fixture.store, reading: later(wait - 1_800))
        #expect(try fixture.row(recent) != nil)
        _ = try await Sweep.run(on: fixture.store, reading: later(wait + 30))
        #expect(try fixture.row(recent) == nil)
    }

    @Test func `reads the row again: an edit may have set a later expiry`() async throws {
        let fixture = try Fixture()
        let id = try await expired(fixture, Self.week + 100)
        try await fixture.store.tamper { writer, transaction in
            let old = try #require(try writer.credential(id, in: transaction))
            var new = old
            new.record.expiresAt = writer.now.adding(1_000)
            try writer.replace(old, by: new, event: .edited, in: transaction)
            // The entry of the old expiry, as if the edit had come between the sweep's read and its deletion.
            try writer.put(
                fixture.store.schema.expiry, TableKey.expiry(old.record.expiresAt, id), [], in: transaction)
        }
        let report = try await Sweep.run(on: fixture.store)
        #expect(report.credentials == 0)
        #expect(try fixture.row(id) != nil)
        #expect(try fixture.statistic("expiry") == 1)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `removes all of many thousands`() async throws {
        let fixture = try Fixture()
        let end = fixture.store.clock.now().adding(-Self.week - 10)
        try await fixture.store.write(creates: true) { writer, transaction in
            for _ in 0..<2_500 {
                var record = CredentialRecord(
                    id: .random(), kind: .accessToken, tag: Tag(1, 1, 1, 1), pepper: fixture.store.peppers.newest.number
                )
                record.expiresAt = end
                _ = try writer.insert(StoredCredential(record: record, owner: [0x61], name: nil), in: transaction)
            }
        }
        #expect(try await Sweep.run(on: fixture.store).credentials == 2_500)
        for table in ["credentials", "owners", "expiry"] { #expect(try fixture.statistic(table) == 0) }
    }

    @Test func `keeps used codes and refresh tokens, which reveal theft, until their grant ends`() async throws {
        let fixture = try Fixture()
        let grantEnd = fixture.store.clock.now().adding(1_000)
        for kind in [CredentialKind.refreshToken, .authorizationCode] {
            // A used one has its grant's end as its expiry.
            let used = try await expired(fixture, -1_000, kind: kind) {
                $0.record.family = 5
                $0.record.flags = .revoked
                $0.grantEndsAt = grantEnd
            }
            let over = try await expired(fixture, Self.week + 100, kind: kind) { $0.record.family = 6 }
            #expect(try await Sweep.run(on: fixture.store).credentials == 1)
            #expect(try fixture.row(used) != nil && fixture.row(over) == nil)
        }
        #expect(try fixture.check().isEmpty)
    }

    @Test func `keeps imports, so that no alias dangles and a revoked key cannot be imported again`() async throws {
        let fixture = try Fixture()
        let revoked = try await expired(fixture, Self.week + 100) { $0.record.flags = [.imported, .revoked] }
        let ended = try await expired(fixture, Self.week + 100) { $0.record.flags = .imported }
        #expect(try await Sweep.run(on: fixture.store).credentials == 0)
        #expect(try fixture.row(revoked) != nil)
        #expect(try fixture.row(ended) != nil)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `pauses while the wall clock is far ahead, and does not store that time`() async throws {
        let fixture = try Fixture()
        let id = try await expired(fixture, 10)
        _ = try await Sweep.run(on: fixture.store)
        let report = try await Sweep.run(on: fixture.store, reading: later(30 * 86_400, boot: 0))
        #expect(report == Sweep.Report(credentials: 0, journalEntries: 0, paused: true))
        #expect(try fixture.row(id) != nil)
        let before = TrustedClock.Reading.current.wall
        let again = try fixture.reopened()
        #expect(again.store.clock.now().rawValue <= before + 120)
        // The same time is accepted if it has really passed.
        #expect(try await Sweep.run(on: again.store, reading: later(30 * 86_400)).credentials == 1)
    }

    @Test func `stores the time that was reached, for a restart with the clock set back`() async throws {
        let fixture = try Fixture()
        let reading = later(5 * 86_400)
        _ = try await Sweep.run(on: fixture.store, reading: reading)
        let again = try fixture.reopened()
        #expect(again.store.clock.now().rawValue >= reading.wall)
    }

    @Test func `removes journal entries after seven days, and numbers continue`() async throws {
        let fixture = try Fixture()
        for _ in 0..<5 { try await fixture.plant() }
        #expect(try await Sweep.run(on: fixture.store, reading: later(Self.week - 3_600)).journalEntries == 0)
        #expect(try fixture.journal().count == 5)
        #expect(try await Sweep.run(on: fixture.store, reading: later(Self.week + 100)).journalEntries == 5)
        #expect(try fixture.journal().isEmpty)
        #expect(try fixture.check().isEmpty)
        try await fixture.plant()
        #expect(try fixture.journal().map(\.number) == [6])
        let again = try fixture.reopened()
        try await again.plant()
        #expect(try again.journal().map(\.number) == [6, 7])
    }

    @Test func `keeps the journal below a tenth of the map`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 2 << 20, cacheBytes: 1 << 20, readersMax: 16))
        let entriesMax = (2 << 20) / 100 * 10 / Sweep.journalEntryBytes
        for _ in 0..<6 {
            try await fixture.store.write(creates: false) { writer, transaction in
                for _ in 0..<1_000 {
                    _ = try writer.raiseWatermark(of: .family(1), issuedBefore: nil, in: transaction)
                }
            }
        }
        #expect(try await Sweep.run(on: fixture.store).journalEntries == 6_000 - entriesMax)
        let journal = try fixture.journal()
        #expect(journal.first?.number == UInt64(6_000 - entriesMax + 1))
        #expect(journal.last?.number == 6_000)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `never removes what a concurrent edit has kept`() async throws {
        let fixture = try Fixture()
        for _ in 0..<40 {
            let id = try await expired(fixture, Self.week + 100)
            async let swept = Sweep.run(on: fixture.store)
            async let kept = fixture.store.write(creates: false) { writer, transaction -> Bool in
                guard let old = try writer.credential(id, in: transaction) else { return false }
                var new = old
                new.record.expiresAt = writer.now.adding(1_000)
                try writer.replace(old, by: new, event: .edited, in: transaction)
                return true
            }
            _ = try await swept
            #expect(try await kept == (fixture.row(id) != nil))
        }
        #expect(try fixture.check().isEmpty)
    }
}
