import AllocationCount
import CredentialModel
import CredentialStore
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

@Suite struct `A record that is cached or not` {
    /// Whether a credential's second verification is answered from the cache; both times its record must be right.
    private func isCached(
        _ fixture: Fixture, owner: String = "alice", at now: Int64 = 1 << 31,
        _ change: @escaping @Sendable (inout CredentialRecord) -> Void = { _ in }
    ) async throws -> Bool {
        let (id, secret) = try await fixture.plant(owner: owner) { change(&$0.record) }
        let verifier = try fixture.verifier()
        for _ in 0..<2 {
            let record = try #require(try verifier.verdict(secret.revealBytes(), at: UnixSeconds(now)).record)
            var expected = record
            change(&expected)
            #expect(record.id == id && record.expiresAt == expected.expiresAt && record.issuedAt == expected.issuedAt)
            #expect(record.notBefore == expected.notBefore && record.family == expected.family)
            #expect(record.client == expected.client && record.scopes == expected.scopes)
            #expect(record.audiences == expected.audiences && record.networks == expected.networks)
            #expect(record.flags == expected.flags && record.journalNumber > 0)
            #expect(verifier.owner(of: record) == Array(owner.utf8))
        }
        #expect(verifier.counters.hits.value + verifier.counters.misses.value == 2)
        return verifier.counters.hits.value == 1
    }

    @Test func `that does not fit is answered from the store, for each field at its limit and beyond`() async throws {
        let fixture = try Fixture()
        #expect(try await isCached(fixture) { $0.expiresAt = .latest })
        #expect(try await isCached(fixture) { $0.expiresAt = UnixSeconds((1 << 39) - 1) })
        #expect(try await !isCached(fixture) { $0.expiresAt = UnixSeconds(1 << 39) })
        #expect(try await isCached(fixture) { $0.issuedAt = UnixSeconds((1 << 32) - 1) })
        #expect(try await !isCached(fixture) { $0.issuedAt = UnixSeconds(1 << 32) })
        #expect(try await isCached(fixture, at: 1 << 32) { $0.notBefore = UnixSeconds((1 << 32) - 1) })
        #expect(try await !isCached(fixture, at: 1 << 32) { $0.notBefore = UnixSeconds(1 << 32) })
        #expect(try await isCached(fixture) { $0.family = (1 << 40) - 1 })
        #expect(try await !isCached(fixture) { $0.family = 1 << 40 })
        for field in [\CredentialRecord.client, \.scopes, \.audiences, \.networks] as [Field] {
            #expect(try await isCached(fixture) { $0[keyPath: field] = (1 << 22) - 1 })
            #expect(try await !isCached(fixture) { $0[keyPath: field] = 1 << 22 })
        }
        #expect(try await isCached(fixture) { $0.flags.insert(CredentialFlags(rawValue: 16)) })
        #expect(try await !isCached(fixture) { $0.flags.insert(CredentialFlags(rawValue: 32)) })
    }

    private typealias Field = WritableKeyPath<CredentialRecord, UInt32> & Sendable

    @Test func `has its whole owner, from its slot, from another slot or from the store`() async throws {
        let fixture = try Fixture()
        for count in [1, 23, 24, 25, 35, 36, 37, 40, 63, 64] {
            #expect(try await isCached(fixture, owner: String(repeating: "o", count: count)))
        }
        let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
        for owner in [uuid, uuid.uppercased(), "auth0|" + uuid, "someone.with.a.name@company.example"] {
            #expect(try await isCached(fixture, owner: owner))
        }
        for count in [65, 127, 254, 255] {
            #expect(try await !isCached(fixture, owner: String(repeating: "o", count: count)))
        }
    }

    @Test func `is found among others of its set, and a wrong secret is unknown`() async throws {
        let fixture = try Fixture()
        func owner(_ index: Int) -> String { index % 3 == 0 ? "service-account-\(index)@company.example" : "o\(index)" }
        let planted = try await fixture.plant(count: 500, owner: owner)
        let verifier = try fixture.verifier()
        for round in UInt64(1)...3 {
            for (index, (id, secret)) in planted.enumerated() {
                let record = try #require(try verifier.verdict(secret.revealBytes(), at: UnixSeconds(1 << 31)).record)
                #expect(record.id == id)
                #expect(verifier.owner(of: record) == Array(owner(index).utf8))
            }
            // 500 records and some rests in a thousand sets: several share a home slot, none is evicted.
            #expect(verifier.counters.misses.value == 500 && verifier.counters.hits.value == (round - 1) * 500)
        }
        for (id, _) in planted {
            let wrong = CredentialFormat.mint(kind: .apiKey, id: id, vendor: .iiniit).revealBytes()
            #expect(try verifier.verdict(wrong, at: UnixSeconds(1 << 31)).reason == .unknown)
        }
        #expect(verifier.counters.misses.value == 500)
        #expect(fixture.store.published.cache.evictions == 0)
    }

    @Test func `is not used after its store was closed`() async throws {
        let fixture = try Fixture()
        let secret = try await fixture.key().secret.revealBytes()
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        for _ in 0..<2 { #expect(try verifier.verdict(secret, at: now).isActive) }
        #expect(verifier.counters.hits.value == 1)
        fixture.close()
        #expect(throws: StoreFailure.lmdb(.closed)) { try verifier.verdict(secret, at: now) }
    }

    @Test func `is revoked at once, wherever its owner is stored`() async throws {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
        for owner in ["short", uuid, "someone.with.a.name@company.example"] {
            let keys = try await fixture.issuer.createKeys(KeyRequest(owner: owner, count: 2))
            let now = fixture.store.clock.now()
            for key in keys + keys { #expect(try verifier.verdict(key.secret.revealBytes(), at: now).isActive) }
            _ = try await fixture.issuer.revoke([keys[0].summary.id], chain: false)
            #expect(try verifier.verdict(keys[0].secret.revealBytes(), at: now).reason == .revoked)
            #expect(try verifier.verdict(keys[1].secret.revealBytes(), at: now).isActive)
            // By the exact owner, which for some is reassembled on a hit.
            _ = try await fixture.issuer.revokeOwner(owner, issuedBefore: nil)
            for key in keys { #expect(try verifier.verdict(key.secret.revealBytes(), at: now).reason == .revoked) }
        }
    }
}

@Suite struct `A cached verification` {
    /// Allocations of the calling thread during a thousand verifications.
    private func allocations(_ verifier: Verifier, _ texts: [[UInt8]], expecting: InactiveReason?) throws -> UInt64 {
        var record = CredentialRecord.blank
        let now = verifier.clock.now()
        for text in texts { _ = try verifier.verify(text.octets, at: now, into: &record) }
        var other = 0
        let before = allocation_count()
        for round in 0..<1_000 {
            let text = texts[round % texts.count]
            let reason = try verifier.verify(text.octets, at: now, into: &record)
            if reason != expecting { other += 1 }
        }
        let count = allocation_count() - before
        #expect(other == 0)
        return count
    }

    @Test(.enabled(if: allocation_count_works() == 1)) func `allocates nothing`() async throws {
        let fixture = try Fixture()
        var keys: [[UInt8]] = []
        var wrong: [[UInt8]] = []
        for _ in 0..<10 {
            let key = try await fixture.key()
            keys.append(key.secret.revealBytes())
            wrong.append(CredentialFormat.mint(kind: .apiKey, id: key.summary.id, vendor: .iiniit).revealBytes())
        }
        let verifier = try fixture.verifier()
        #expect(try allocations(verifier, keys, expecting: nil) == 0)
        #expect(verifier.counters.hits.value >= 1_000)
        #expect(try allocations(verifier, wrong, expecting: .unknown) == 0)
        // The counter works.
        let before = allocation_count()
        keys.append([UInt8](repeating: 0, count: 100))
        #expect(allocation_count() > before)
    }
}
