import CredentialModel
import RecordCache
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `The filter of ids` {
    // Unavailable in asynchronous functions, but short enough to be called from these tests.
    private func indexIDs(_ fixture: Fixture, after id: CredentialID?) throws -> CredentialID? {
        try fixture.store.indexIDs(after: id)
    }

    private func close(_ fixture: Fixture) { fixture.store.close() }

    @Test func `never rules out an inserted id, and rules out nearly all others`() throws {
        let filter = try #require(IDFilter(capacity: 10_000))
        let ids = (0..<10_000).map { _ in CredentialID.random() }
        for id in ids { filter.insert(id) }
        // Rules out nothing until it is complete.
        #expect(filter.mayContain(CredentialID.random()) && !filter.isComplete)
        filter.becomeComplete()
        #expect(!ids.contains { !filter.mayContain($0) })
        let taken = (0..<100_000).count { _ in filter.mayContain(CredentialID.random()) }
        #expect(taken < 1_500)
        filter.close()
        #expect(filter.mayContain(CredentialID.random()))
    }

    @Test func `has the ids of the start, and later ones before their acknowledgement`() async throws {
        let fixture = try Fixture()
        var secrets = try await fixture.plant(count: 2_000) { "owner-\($0)" }.map(\.secret)
        let again = try fixture.reopened()
        #expect(again.store.published.idFilter.isComplete)
        let verifier = try again.verifier()
        for _ in 0..<50 {
            let key = try await again.key()
            #expect(try verifier.verdict(key.secret.revealBytes(), at: again.store.clock.now()).isActive)
            secrets.append(key.secret)
        }
        for secret in secrets {
            #expect(try verifier.verdict(secret.revealBytes(), at: again.store.clock.now()).isActive)
        }
    }

    @Test func `is filled piece by piece while the store is written to`() async throws {
        let fixture = try Fixture()
        let old = try await fixture.plant(count: 3_000) { "owner-\($0)" }
        let filter = try #require(IDFilter(capacity: 10_000))
        var next: CredentialID?
        repeat {
            next = try indexIDs(fixture, after: next)
            _ = try await fixture.key()
        } while next != nil
        #expect(fixture.store.published.idFilter.isComplete && !filter.isComplete)
        #expect(!old.contains { !fixture.store.published.idFilter.mayContain($0.id) })
    }

    @Test func `of a closed store rules out nothing, so that a call fails instead of answering "unknown"`() async throws
    {
        let fixture = try Fixture()
        let verifier = try fixture.verifier()
        let unknown = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).revealBytes()
        let now = fixture.store.clock.now()
        #expect(try verifier.verdict(unknown, at: now).reason == .unknown)
        close(fixture)
        #expect(throws: StoreFailure.self) { try verifier.verdict(unknown, at: now) }
    }
}
