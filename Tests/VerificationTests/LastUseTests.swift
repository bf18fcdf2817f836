import CredentialModel
import CredentialStore
import Issuance
import RecordCache
import TestSupport
import Testing
import Verification

@Suite struct `The time of the last use` {
    private let start = UnixSeconds(1_900_000_000)

    private func lastUses(_ fixture: Fixture, _ ids: [CredentialID]) throws -> [CredentialID: UnixSeconds] {
        try fixture.store.lastUses(of: ids)
    }

    private func lastUse(_ fixture: Fixture, _ id: CredentialID) throws -> UnixSeconds? {
        try fixture.store.lastUse(of: id)
    }

    @Test func `is that of an accepted credential, from the store and from the cache, to half a minute`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let other = try await fixture.key()
        let verifier = try fixture.verifier()
        #expect(try lastUse(fixture, key.summary.id) == nil)
        for seconds: Int64 in [0, 1, 29, 30, 45, 60, 990] {
            if seconds % 30 == 0 { fixture.store.beginUseInterval() }
            _ = try verifier.verdict(key.secret.revealBytes(), at: start.adding(seconds))
            let told = try #require(try lastUse(fixture, key.summary.id))
            #expect((0..<UseReports.intervalSeconds).contains(start.adding(seconds).rawValue - told.rawValue))
        }
        #expect(try lastUse(fixture, key.summary.id) == start.adding(990))
        #expect(try lastUse(fixture, other.summary.id) == nil)
    }

    @Test func `survives a restart, and a later use survives an earlier one`() async throws {
        var fixture = try Fixture()
        let key = try await fixture.key()
        _ = try fixture.verifier().verdict(key.secret.revealBytes(), at: start)
        try await fixture.store.writeUses()
        fixture = try fixture.reopened()
        #expect(try lastUse(fixture, key.summary.id) == start)
        _ = try fixture.verifier().verdict(key.secret.revealBytes(), at: start.adding(-500))
        try await fixture.store.writeUses()
        #expect(try lastUse(fixture, key.summary.id) == start)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `does not count refused credentials or an operator's query`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", expiresInSeconds: 10))[0]
        let verifier = try fixture.verifier()
        var wrong = key.secret.revealBytes()
        wrong[30] = wrong[30] == 0x41 ? 0x42 : 0x41
        #expect(try !verifier.verdict(wrong, at: start).isActive)
        #expect(try !verifier.verdict(key.secret.revealBytes(), at: key.summary.issuedAt.adding(20)).isActive)
        let asking = try Verifier(store: fixture.store, reportsUses: false)
        #expect(try asking.verdict(key.secret.revealBytes(), at: key.summary.issuedAt).isActive)
        #expect(try lastUse(fixture, key.summary.id) == nil)
        #expect(try verifier.verdict(key.secret.revealBytes(), at: key.summary.issuedAt).isActive)
        #expect(try lastUse(fixture, key.summary.id) == key.summary.issuedAt)
    }

    @Test func `is reported for each credential of a batch and for imported keys`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        var batch = verifier.makeBatch()
        var ids: [CredentialID] = []
        for _ in 0..<VerificationBatch.capacity {
            let key = try await fixture.key()
            ids.append(key.summary.id)
            let bytes = key.secret.revealBytes()
            batch.append(bytes.octets)
        }
        for seconds: Int64 in [0, 100] {
            fixture.store.beginUseInterval()
            try verifier.verify(&batch, at: start.adding(seconds)) { _, _, _ in }
            let uses = try lastUses(fixture, ids)
            #expect(ids.allSatisfy { uses[$0] == start.adding(seconds) })
        }
        let foreign = Array("legacy_4f6e8a1b2c3d4e5f".utf8)
        let line = ImportLine(key: SecretText(foreign), request: KeyRequest(owner: "carol"))
        let id = try #require(try await fixture.issuer.importKeys([line]).imported.first)
        for seconds: Int64 in [0, 100] {
            fixture.store.beginUseInterval()
            _ = try verifier.verdict(foreign, at: start.adding(seconds))
            #expect(try lastUse(fixture, id) == start.adding(seconds))
        }
    }

    /// With many more keys than slots, slots get other records all the time within one interval.
    @Test func `is reported for every credential, even if many share few slots`() async throws {
        let options = StoreOptions(mapBytes: 64 << 20, cacheBytes: RecordCache.bytesMin, readersMax: 64)
        let fixture = try Fixture(options: options)
        let keys = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", count: 1_000))
        #expect(keys.count > fixture.store.published.cache.capacity)
        let verifier = try fixture.verifier()
        var generator = SystemRandomNumberGenerator()
        for round in 0..<5 {
            let now = start.adding(Int64(round) * UseReports.intervalSeconds)
            fixture.store.beginUseInterval()
            for key in keys.shuffled(using: &generator) {
                #expect(try verifier.verdict(key.secret.revealBytes(), at: now).isActive)
            }
            let uses = try lastUses(fixture, keys.map(\.summary.id))
            #expect(keys.allSatisfy { uses[$0.summary.id] == now })
        }
    }

    /// The ring has room for this many; when it is full, no use may be lost for good.
    @Test func `is delayed, not lost, when more is reported than is collected`() async throws {
        let reports = try #require(UseReports())
        for number in 1...100_000 { reports.report(CredentialID(rawValue: UInt64(number)), start) }
        var count = 0
        reports.collect { _, _ in count += 1 }
        #expect(count == 65_536)
        for number in 1...65_536 { #expect(reports.report(CredentialID(rawValue: UInt64(number)), start)) }
        #expect(!reports.report(CredentialID(rawValue: 7), start))
        reports.collect { _, _ in }
        #expect(reports.report(CredentialID(rawValue: 7), start))
    }

    @Test func `that found no room is reported by the next use`() async throws {
        let fixture = try Fixture()
        let keys = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", count: 100))
        let verifier = try fixture.verifier()
        for round in 0..<1_000 {
            if round % 10 == 0 { fixture.store.beginUseInterval() }
            for key in keys { _ = try verifier.verdict(key.secret.revealBytes(), at: start.adding(Int64(round))) }
        }
        // 100 keys in 100 intervals fit; those of the last interval are reported last.
        let uses = try lastUses(fixture, keys.map(\.summary.id))
        #expect(keys.allSatisfy { uses[$0.summary.id] == start.adding(990) })
    }

    @Test func `is removed with the credential`() async throws {
        let fixture = try Fixture()
        let end = fixture.store.clock.now().adding(-8 * 86_400)
        let planted = try await fixture.plant { $0.record.expiresAt = end }
        _ = try fixture.verifier().verdict(planted.secret.revealBytes(), at: end.adding(-10))
        try await fixture.store.writeUses()
        #expect(try lastUse(fixture, planted.id) == end.adding(-10))
        _ = try await Sweep.run(on: fixture.store)
        #expect(try lastUse(fixture, planted.id) == nil)
        // A use that was reported before the removal and is written after it creates no row.
        _ = try fixture.verifier().verdict(planted.secret.revealBytes(), at: end.adding(-5))
        try await fixture.store.writeUses()
        #expect(try fixture.statistic("uses") == 0)
    }
}
