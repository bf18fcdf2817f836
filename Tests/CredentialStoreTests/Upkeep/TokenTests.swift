import CredentialModel
import Issuance
import LMDB
import RecordCache
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `Ids in order of time` {
    @Test func `rise, begin with the second, and are spread within it`() {
        let instant: UInt64 = 1_795_478_762 << 32
        var last: UInt64 = 0
        var steps: Set<UInt64> = []
        for index in 0..<20_000 {
            let time = instant + UInt64(index) << 32 / 5_000
            let id = CredentialID.ordered(at: time, after: last)
            #expect(id.rawValue > last)
            #expect(abs(id.orderedSecond - Int64(time >> 32)) <= 1)
            steps.insert(id.rawValue &- last)
            last = id.rawValue
        }
        // Nobody can derive the number of tokens from them.
        #expect(steps.count > 15_000)
        // Ids are assigned even with a clock that was set back or is at its maximum.
        #expect(CredentialID.ordered(at: 5 << 32, after: last).rawValue > last)
        #expect(CredentialID.ordered(at: instant, after: .max).rawValue != 0)
        #expect(CredentialID.ordered(at: 0, after: 0).rawValue != 0)
    }

    @Test func `are spread over the filter of ids as random ones are`() throws {
        let filter = try #require(IDFilter(capacity: 10_000))
        var ids: [CredentialID] = []
        for index in 0..<60_000 {
            let time: UInt64 = 1_795_478_762 << 32 + UInt64(index) << 32 / 5_000
            ids.append(CredentialID.ordered(at: time, after: ids.last?.rawValue ?? 0))
        }
        for index in stride(from: 0, to: ids.count, by: 6) { filter.insert(ids[index]) }
        filter.becomeComplete()
        let others = ids.indices.filter { !$0.isMultiple(of: 6) }
        #expect(others.count { filter.mayContain(ids[$0]) } < 750)
    }
}

@Suite struct `An access token` {
    private func later(_ seconds: Int64) -> TrustedClock.Reading {
        let now = TrustedClock.Reading.current
        return TrustedClock.Reading(wall: now.wall + seconds, boot: now.boot + seconds)
    }

    private func tokens(_ count: Int, _ fixture: Fixture, seconds: Int64 = 3_600) async throws -> [IssuedCredential] {
        let client = try await fixture.client()
        var tokens: [IssuedCredential] = []
        for index in 0..<count {
            tokens.append(
                try await fixture.issuer.issueToken(
                    TokenRequest(
                        clientID: client.summary.clientID, subject: "subject-\(index % 2)", expiresInSeconds: seconds)))
        }
        return tokens
    }

    @Test func `of an hour is in no index, but is found by owner, by client and by id`() async throws {
        let fixture = try Fixture()
        let before = (try fixture.statistic("owners"), try fixture.statistic("expiry"))
        let tokens = try await tokens(6, fixture)
        let secrets: Int64 = 1
        #expect(try fixture.statistic("tokens") == 6)
        #expect(try fixture.statistic("owners") == (before.0 ?? 0) + secrets)
        #expect(try fixture.statistic("expiry") == before.1)
        let ids = tokens.map(\.summary.id)
        #expect(ids == ids.sorted())
        for limit in [1, 2, 3, 10] {
            let found = try fixture.pages(owner: "subject-0", limit: limit).flatMap { $0 }
            #expect(found == [ids[0], ids[2], ids[4]])
            let all = try fixture.pages(limit: limit).flatMap { $0 }
            #expect(all.count == 7 && all == all.sorted())
        }
        #expect(try fixture.row(ids[3])?.owner == Array("subject-1".utf8))
        #expect(try fixture.verdict(tokens[3].secret).isActive)
        _ = try await fixture.issuer.revoke([ids[3]], chain: false)
        #expect(try fixture.verdict(tokens[3].secret).reason == .revoked)
        let again = try fixture.reopened()
        #expect(try again.verdict(tokens[3].secret).reason == .revoked)
        #expect(try again.verdict(tokens[2].secret).isActive)
        #expect(try again.check().isEmpty)
        _ = try await again.issuer.revokeOwner("subject-0", issuedBefore: nil)
        #expect(try again.verdict(tokens[2].secret).reason == .revoked)
    }

    @Test func `with a longer life is in the indexes, and does not stop the sweep`() async throws {
        let fixture = try Fixture()
        let long = try await tokens(2, fixture, seconds: 7_200)
        #expect(try fixture.statistic("expiry") == 2)
        let short = try await tokens(3, fixture, seconds: 600)
        #expect(try fixture.pages(owner: "subject-0", limit: 10).flatMap { $0 }.count == 3)
        #expect(try await Sweep.run(on: fixture.store, reading: later(600 + 800)).credentials == 0)
        #expect(try await Sweep.run(on: fixture.store, reading: later(600 + 910)).credentials == 3)
        for token in short { #expect(try fixture.row(token.summary.id) == nil) }
        for token in long { #expect(try fixture.row(token.summary.id) != nil) }
        // Issued after the sweep has passed its id.
        _ = try await tokens(2, fixture, seconds: 60)
        #expect(try await Sweep.run(on: fixture.store, reading: later(7_200 + 910)).credentials == 4)
        #expect(try fixture.statistic("tokens") == 0 && fixture.statistic("expiry") == 0)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `or a code has its own retention time, a key another`() async throws {
        let fixture = try Fixture()
        let now = fixture.store.clock.now()
        var ids: [CredentialKind: CredentialID] = [:]
        for kind in CredentialKind.allCases {
            ids[kind] = try await fixture.plant(kind) { $0.record.expiresAt = now.adding(-100) }.id
        }
        let retention = RetentionPolicy(tokenSeconds: 60, keySeconds: 3_600)
        #expect(try await Sweep.run(on: fixture.store, retention: retention).credentials == 3)
        for (kind, id) in ids {
            #expect(try (fixture.row(id) == nil) == ![.apiKey, .clientSecret].contains(kind))
        }
        #expect(try await Sweep.run(on: fixture.store, retention: retention, reading: later(3_600)).credentials == 2)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `whose row is damaged can be revoked, and is kept: its expiry is unknown`() async throws {
        let fixture = try Fixture()
        let token = try await tokens(1, fixture)[0]
        let id = token.summary.id
        let table = fixture.store.schema.tokens.database
        try await fixture.store.tamper { _, transaction in
            _ = try transaction.put(table, key: id.rawValue, value: [1, 2, 3].octets)
        }
        #expect(throws: StoreFailure.damaged(table: "tokens", row: "\(id)")) { try fixture.verdict(token.secret) }
        #expect(try await fixture.issuer.revoke([id], chain: false).revoked == [id])
        #expect(try fixture.verdict(token.secret).reason == .unknown)
        #expect(try fixture.check().isEmpty)
        #expect(try await Sweep.run(on: fixture.store, reading: later(7_200)).credentials == 0)
        #expect(try fixture.row(id)?.record.flags == [.revoked, .unreadable])
        #expect(try fixture.check().isEmpty)
    }

    @Test func `never shares its id with another credential`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key().summary.id
        let inserted = try await fixture.store.write(creates: true) { writer, transaction in
            let pepper = try writer.newestPepper(in: transaction)
            let record = CredentialRecord(id: key, kind: .accessToken, tag: Tag(1, 2, 3, 4), pepper: pepper)
            return try writer.insert(StoredCredential(record: record, owner: [1], name: nil), in: transaction)
        }
        #expect(!inserted)
    }

    /// The bytes of a token are measured by `deploy/proofs/churn`; here the slack between two commits is as large.
    @Test func `issued and swept many times takes no more room than the first time`() async throws {
        let fixture = try Fixture(
            options: StoreOptions(mapBytes: 32 << 20, cacheBytes: 1 << 20, readersMax: 16))
        let (start, boot) = (fixture.store.clock.now(), TrustedClock.Reading.current.boot)
        let pepper = fixture.store.peppers.newest.number
        let retention = RetentionPolicy(tokenSeconds: 0, journalSeconds: 1 << 30, journalPercent: 2)
        var sizes: [Int64] = []
        // Two thousand in each second of simulated time, with a lifetime of ten seconds.
        for second in Int64(0)..<100 {
            try await fixture.store.write(creates: true) { writer, transaction in
                for index in UInt64(0)..<1_000 {
                    let instant = UInt64(start.rawValue + second) << 32 + index << 22
                    let id = try writer.nextTokenID(at: instant, in: transaction)
                    var record = CredentialRecord(id: id, kind: .accessToken, tag: Tag(1, 2, 3, 4), pepper: pepper)
                    record.issuedAt = start.adding(second)
                    record.expiresAt = start.adding(second + 10)
                    let token = StoredCredential(record: record, owner: Array("0Aclient001".utf8), name: nil)
                    #expect(try writer.insert(token, in: transaction))
                }
            }
            let reading = TrustedClock.Reading(wall: start.rawValue + second, boot: boot + second)
            _ = try await Sweep.run(on: fixture.store, retention: retention, reading: reading)
            sizes.append(try fixture.statistic("used_bytes") ?? 0)
        }
        let there = try #require(try fixture.statistic("tokens"))
        #expect((9_000...13_000).contains(there))
        #expect(try #require(sizes.last) < there * 200 + 1_000_000)
        #expect(Double(sizes[99]) <= Double(sizes[25]) * 1.1)
        #expect(try fixture.check().isEmpty)
    }
}

@Suite struct `The forecast of a full store` {
    @Test func `uses the rate of the last hour, and is absent while the store does not grow`() {
        let forecast = FillForecast()
        #expect(forecast.secondsUntilFull(limitBytes: 1_000) == nil)
        forecast.note(occupiedBytes: 100, at: 0)
        forecast.note(occupiedBytes: 200, at: 60)
        // Too short for a forecast.
        #expect(forecast.secondsUntilFull(limitBytes: 1_000) == nil)
        for minute in Int64(2)...60 { forecast.note(occupiedBytes: 200, at: minute * 60) }
        // 100 bytes in an hour, and 800 are left.
        let seconds: Int64? = 28_800
        #expect(forecast.secondsUntilFull(limitBytes: 1_000) == seconds)
        // The step is more than an hour ago by now.
        for minute in Int64(61)...130 { forecast.note(occupiedBytes: 200, at: minute * 60) }
        #expect(forecast.secondsUntilFull(limitBytes: 1_000) == nil)
        forecast.note(occupiedBytes: 1_000, at: 131 * 60)
        #expect(forecast.secondsUntilFull(limitBytes: 1_000) == 0)
    }

    @Test func `is among the statistics of a store that grows`() async throws {
        let fixture = try Fixture()
        fixture.noteFill(at: 0)
        _ = try await fixture.plant(count: 2_000) { "owner-\($0)" }
        #expect(try fixture.statistic("full_in_seconds") == nil)
        fixture.noteFill(at: 600)
        let seconds = try #require(try fixture.statistic("full_in_seconds"))
        #expect(seconds > 0 && seconds < 600 * 1_000)
    }
}

extension Fixture {
    fileprivate func noteFill(at seconds: Int64) { store.noteFill(at: seconds) }
}
