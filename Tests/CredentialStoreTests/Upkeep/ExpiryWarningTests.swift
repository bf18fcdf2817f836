import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing

@Suite struct `A warning of expiry` {
    private let day: Int64 = 86_400

    private func warned(_ fixture: Fixture) throws -> [CredentialID] {
        try fixture.journal().filter { $0.event == .expiring }.compactMap(\.id)
    }

    @Test func `is given once for each key that is about to expire, and for nothing else`() async throws {
        let fixture = try Fixture()
        func key(days: Int64?) async throws -> CredentialID {
            try await fixture.issuer.createKeys(
                KeyRequest(owner: "alice", expiresInSeconds: days.map { $0 * day }))[0].summary.id
        }
        let near = try await key(days: 10)
        let far = try await key(days: 20)
        _ = try await key(days: nil)
        let revoked = try await key(days: 10)
        _ = try await fixture.issuer.revoke([revoked], chain: false)
        let rotated = try await key(days: 11)
        let successor = try await fixture.issuer.rotate(rotated, overlapSeconds: 2 * day).summary.id
        let client = try await fixture.client().summary.clientID
        _ = try await fixture.issuer.issueToken(TokenRequest(clientID: client))
        for _ in 0..<3 { try await fixture.store.warnOfExpiry(secondsBefore: 14 * day) }
        #expect(try warned(fixture).sorted() == [near, successor].sorted())
        // As time passes, the window moves on.
        for _ in 0..<3 { try await fixture.store.warnOfExpiry(secondsBefore: 21 * day) }
        #expect(try warned(fixture).sorted() == [near, successor, far].sorted())
        _ = try await fixture.issuer.revokeOwner("alice", issuedBefore: nil)
        #expect(try await fixture.store.warnOfExpiry(secondsBefore: 40 * day) == 0)
        #expect(try await fixture.store.warnOfExpiry(secondsBefore: 0) == 0)
    }

    @Test func `is given for thousands that expire in the same second, also across a restart`() async throws {
        var fixture = try Fixture()
        let creation = try fixture.issuer.bulkCreation(
            of: KeyRequest(owner: "alice", expiresInSeconds: 5 * day, count: 2_500))
        try await creation.run { _ in }
        #expect(try await fixture.store.warnOfExpiry(secondsBefore: 14 * day) == 2_500)
        fixture = try fixture.reopened()
        #expect(try await fixture.store.warnOfExpiry(secondsBefore: 14 * day) == 0)
        #expect(Set(try warned(fixture)).count == 2_500)
    }

    @Test func `has filters to match: listings by expiry, by rotation and by text`() async throws {
        let fixture = try Fixture(policy: LifetimePolicy(keyWarningSeconds: 14 * day))
        let near = try await fixture.issuer.createKeys(KeyRequest(owner: "a", expiresInSeconds: 10 * day))[0]
        let far = try await fixture.issuer.createKeys(
            KeyRequest(owner: "b", name: "Nightly", expiresInSeconds: 20 * day))[0]
        let old = try await fixture.key(owner: "c").summary.id
        _ = try await fixture.issuer.rotate(old, overlapSeconds: 60)
        #expect(near.summary.expiresSoon && !far.summary.expiresSoon)
        func list(_ filter: CredentialFilter) async throws -> [CredentialID] {
            try await fixture.issuer.credentials(filter, after: nil, limit: 100).items.map(\.id)
        }
        let inTwoWeeks = fixture.store.clock.now().adding(14 * day)
        #expect(Set(try await list(CredentialFilter(expiresBefore: inTwoWeeks))) == [near.summary.id, old])
        #expect(try await list(CredentialFilter(isRotated: true)) == [old])
        #expect(try await list(CredentialFilter(search: "nIGHT")) == [far.summary.id])
        #expect(
            try await list(CredentialFilter(search: String(far.summary.id.description.prefix(9)))) == [far.summary.id])
        _ = try await fixture.issuer.revoke([old], chain: false)
        #expect(try await list(CredentialFilter(isRotated: true)).isEmpty)
    }
}
