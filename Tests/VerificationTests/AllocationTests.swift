import AllocationCount
import CredentialModel
import TestSupport
import Testing
import Verification

@Suite struct `A cached verification` {
    /// Allocations of the calling thread while a verifier is asked a thousand times.
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
        // The counter counts.
        let before = allocation_count()
        keys.append([UInt8](repeating: 0, count: 100))
        #expect(allocation_count() > before)
    }
}
