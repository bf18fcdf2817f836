@testable import CredentialStore
import Testing

/// Nodes that create without a pause take turns, by what each of them sees in the log.
@Suite struct WritersTurnsTests {
    private static let writers: [UInt64] = [30, 7, 12, 99, 54]
    private static let begun = ContinuousClock.now

    /// The views of nodes that have seen these entries, one a millisecond.
    private static func views(after entries: [UInt64]) -> [WritersTurns] {
        writers.map { own in
            var turns = WritersTurns(own: own)
            for (index, writer) in entries.enumerated() { turns.note(writer, at: begun + .milliseconds(index)) }
            return turns
        }
    }

    @Test func `after each entry, one node is next, and all are in one order`() {
        var entries = Self.writers
        for _ in 0..<10 {
            let turns = Self.views(after: entries).map(\.own)
            #expect(Set(turns).count == turns.count)
            guard let next = turns.indices.min(by: { turns[$0] < turns[$1] }) else { return }
            entries.append(Self.writers[next])
        }
        #expect(entries.suffix(10) == [99, 7, 12, 30, 54, 99, 7, 12, 30, 54])
    }

    @Test func `who has nothing to write delays the one behind it by one turn`() {
        let turns = Dictionary(
            uniqueKeysWithValues: zip(Self.writers, Self.views(after: Self.writers).map(\.own)))
        let order: [UInt64] = [7, 12, 30, 99]
        let gaps = zip(order, order.dropFirst()).map { before, after in turns[after]! - turns[before]! }
        // 54 was last, so 99 is next, and the others follow.
        #expect(gaps[0] == gaps[1])
        #expect(turns[99]! < turns[7]!)
        #expect(turns[54]! > turns[30]!)
    }

    @Test func `a node that writes alone, and one that comes new, wait for nobody`() {
        var alone = WritersTurns(own: 7)
        #expect(alone.own <= .now)
        alone.note(7, at: Self.begun)
        #expect(alone.own == Self.begun)
        var new = WritersTurns(own: 13)
        for writer in [30, 7, 12] as [UInt64] { new.note(writer, at: Self.begun) }
        #expect(new.own < Self.begun + .milliseconds(5))
    }

    @Test func `a log that takes longer has longer turns`() {
        var (near, far) = (WritersTurns(own: 7), WritersTurns(own: 7))
        for _ in 0..<50 { far.noteAppend(.milliseconds(40)) }
        for writer in [7, 12, 30, 99] as [UInt64] {
            near.note(writer, at: Self.begun)
            far.note(writer, at: Self.begun)
        }
        near.note(12, at: Self.begun)
        far.note(12, at: Self.begun)
        #expect(far.own - Self.begun > (near.own - Self.begun) * 5)
        #expect(near.waitMax < far.waitMax)
        for _ in 0..<50 { far.noteAppend(.seconds(5)) }
        #expect(far.waitMax == .milliseconds(250))
    }
}
