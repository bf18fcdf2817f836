import CredentialStore
import TestSupport
import Testing

@Suite struct `A number ahead of the journal` {
    private func read(_ fixture: Fixture, after number: UInt64) throws -> UInt64? {
        let reader = try fixture.store.makeJournalReader()
        guard case .piece(let piece) = try reader.read(after: number, issued: true, limit: 10) else { return nil }
        #expect(piece.entries.isEmpty && !piece.hasMore)
        return piece.next
    }

    @Test func `was never assigned by a node alone, and is awaited where others assign numbers, too`() async throws {
        let alone = try Fixture()
        _ = try await alone.key()
        #expect(try read(alone, after: 1) == 1)
        #expect(try read(alone, after: 2) == nil)
        var options = alone.options
        options.sharesJournal = true
        let shared = try alone.reopened(options: options)
        for number in [1, 2, UInt64.max] { #expect(try read(shared, after: number) == number) }
    }
}
