import Synchronization

// A look-up could ask each slot of a set whether it holds the record, but each answer costs a wait for memory. So every
// set has a directory word with one byte for each of its eight slots. Directory words lie next to each other and are
// small enough that many stay in the processor's caches: 16 bytes for a kilobyte of slots.
//
// ```
// │ hit lately 1 │ mark 7 │ … eight times
// ```
//
// A mark is a seven-bit fingerprint of the record's key, 0 for an empty slot. It is a hint: about one pair of records
// in a hundred has the same mark, and while a slot is filled the mark may be that of the previous record. So a reader
// always checks the slot itself, and no guarantee of the cache rests on the directory.
//
// A second word has one bit for each slot: whether a use of its record was reported. See UseReports.

/// Which slots of a set hold what, and which were hit lately.
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

    /// The ways of a place's set that have a mark, starting at home.
    @inline(__always)
    func ways(of place: RecordPlace, marked mark: UInt64) -> Ways {
        let differences = (words.load(place.set &<< 1) ^ mark &* Self.ones) & ~Self.high
        // No byte is above 0x7F, so no byte borrows from the next, and the high bit stays set only in bytes that are 0.
        return Ways((Self.high &- differences) & Self.high, from: place.home)
    }

    /// Enters the mark of a slot's record. The caller holds the slot, so nobody else changes it meanwhile.
    @inline(__always)
    func enter(_ mark: UInt64, of way: Int, in set: Int) {
        let changed = (words.load(set &<< 1) &>> Self.shift(way) ^ mark) & 0x7F
        if changed != 0 { words.flipBits(set &<< 1, changed &<< Self.shift(way)) }
    }

    /// Starts loading a set's word.
    @inline(__always)
    func prefetch(_ set: Int) { words.block(set, of: 2).prefetch(0) }

    /// Records a hit of a slot.
    @inline(__always)
    func noteHit(of way: Int, in set: Int) {
        let bit: UInt64 = 0x80 &<< Self.shift(way)
        if words.load(set &<< 1) & bit == 0 { words.setBits(set &<< 1, bit) }
    }

    /// A way that was not hit since the last round, starting at home. When all were hit: home, and a new round begins.
    func chooseVictim(at place: RecordPlace) -> Int {
        var ways = Ways(~words.load(place.set &<< 1) & Self.high, from: place.home)
        if let way = ways.next() { return way }
        words.clearBits(place.set &<< 1, Self.high)
        return place.home
    }

    @inline(__always)
    func hasReportedUse(_ slot: RecordSlot) -> Bool {
        words.load(slot.set &<< 1 | 1) & (1 &<< UInt64(truncatingIfNeeded: slot.way)) != 0
    }

    func noteReportedUse(_ slot: RecordSlot) {
        words.setBits(slot.set &<< 1 | 1, 1 &<< UInt64(truncatingIfNeeded: slot.way))
    }

    /// A thread that reports a use at the same time may lose its bit, and then reports the use again.
    func clearReportedUses(in sets: Range<Int>) {
        for set in sets where words.load(set &<< 1 | 1) != 0 { words.clearBits(set &<< 1 | 1, ~0) }
    }

    @inline(__always)
    private static func shift(_ way: Int) -> UInt64 { UInt64(truncatingIfNeeded: way & 7) &* 8 }
}

/// Some ways of a set, starting at a record's home.
struct Ways {
    /// The high bit of a byte for each way, rotated so that home is the lowest byte.
    private var bits: UInt64
    private let home: Int

    /// - Parameter bits: as in the directory word.
    @inline(__always)
    init(_ bits: UInt64, from home: Int) {
        let turn = UInt64(truncatingIfNeeded: home) &* 8
        self.bits = bits &>> turn | bits &<< (64 &- turn)
        self.home = home
    }

    /// The next way.
    @inline(__always)
    mutating func next() -> Int? {
        guard bits != 0 else { return nil }
        let way = (home &+ bits.trailingZeroBitCount &>> 3) & 7
        bits &= bits &- 1
        return way
    }
}
