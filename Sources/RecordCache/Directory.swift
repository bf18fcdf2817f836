import Synchronization

// In which slot of its set a record is could be asked of the slots, but each answers as late as memory does. So every set has
// one more word with a byte for each of its eight slots. These lie beside each other, and are so few that many of them stay
// in a processor's own caches: 16 bytes for a kilobyte of slots.
//
// ```
// │ hit lately 1 │ mark 7 │ … eight times
// ```
//
// A mark is seven bits of the record's key, 0 for an empty slot. It is a hint: two records of a set have the same in one case
// of a hundred, and while a slot is filled it may be that of the record before. So whoever follows it looks in the slot itself
// whose record that is, and nothing of what the cache promises rests on this.

// Beside it is a second word, of which a bit for each slot says that a use of its record was told: see UseNotes.

/// What is where, and what was hit lately.
struct Directory: ~Copyable, Sendable {
    static let wayCount = 8

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let high: UInt64 = 0x8080_8080_8080_8080

    private let words: AtomicWords

    /// Nil when the system does not give the memory.
    init?(setCount: Int) {
        guard let words = AtomicWords(count: setCount * 2) else { return nil }
        self.words = words
    }

    /// The ways of a place's set that have a mark, from home on.
    @inline(__always)
    func ways(of place: RecordPlace, marked mark: UInt64) -> Ways {
        let differences = (words.load(place.set &<< 1) ^ mark &* Self.ones) & ~Self.high
        // No byte is above 0x7F, so none borrows of the next, and the high bit stays of those that are 0.
        return Ways((Self.high &- differences) & Self.high, from: place.home)
    }

    /// Writes down the mark of what is in a slot, which the caller holds: nobody else changes it meanwhile.
    @inline(__always)
    func enter(_ mark: UInt64, of way: Int, in set: Int) {
        let changed = (words.load(set &<< 1) &>> Self.shift(way) ^ mark) & 0x7F
        if changed != 0 { words.flipBits(set &<< 1, changed &<< Self.shift(way)) }
    }

    /// Starts loading a set's word.
    @inline(__always)
    func prefetch(_ set: Int) { words.block(set, of: 2).prefetch(0) }

    /// Notes that a slot was hit.
    @inline(__always)
    func noteHit(of way: Int, in set: Int) {
        let bit: UInt64 = 0x80 &<< Self.shift(way)
        if words.load(set &<< 1) & bit == 0 { words.setBits(set &<< 1, bit) }
    }

    /// A way that was not hit since the last round, from home on; when all were, home, and a new round begins.
    func chooseVictim(at place: RecordPlace) -> Int {
        var ways = Ways(~words.load(place.set &<< 1) & Self.high, from: place.home)
        if let way = ways.next() { return way }
        words.clearBits(place.set &<< 1, Self.high)
        return place.home
    }

    @inline(__always)
    func hasToldUse(_ slot: RecordSlot) -> Bool {
        words.load(slot.set &<< 1 | 1) & (1 &<< UInt64(truncatingIfNeeded: slot.way)) != 0
    }

    func noteToldUse(_ slot: RecordSlot) {
        words.setBits(slot.set &<< 1 | 1, 1 &<< UInt64(truncatingIfNeeded: slot.way))
    }

    /// Whoever tells of a use at the same time may have his bit cleared, and tells again.
    func forgetToldUses(in sets: Range<Int>) {
        for set in sets where words.load(set &<< 1 | 1) != 0 { words.clearBits(set &<< 1 | 1, ~0) }
    }

    @inline(__always)
    private static func shift(_ way: Int) -> UInt64 { UInt64(truncatingIfNeeded: way & 7) &* 8 }
}

/// Some ways of a set, from a record's home on.
struct Ways {
    /// The high bit of a byte for each of them, turned so that home is the lowest.
    private var bits: UInt64
    private let home: Int

    /// - Parameter bits: as the directory has them.
    @inline(__always)
    init(_ bits: UInt64, from home: Int) {
        let turn = UInt64(truncatingIfNeeded: home) &* 8
        self.bits = bits &>> turn | bits &<< (64 &- turn)
        self.home = home
    }

    /// The next one.
    @inline(__always)
    mutating func next() -> Int? {
        guard bits != 0 else { return nil }
        let way = (home &+ bits.trailingZeroBitCount &>> 3) & 7
        bits &= bits &- 1
        return way
    }
}
