import Synchronization

// How much of the cache is in use. A process with a small store shall not take the memory of a large one, so the sets are
// divided into levels, each sixteen times the one before:
//
// ```
// │ 0 │   1   │              2                │   sets that follow one another; none belongs to two levels
// ```
//
// One level is in use, at the start the smallest that the store's records need, later a larger one. It never goes back. After a
// growth every record has another place and is read from the store once more. The claim that stands in RecordCache holds
// across it, by three rules:
//
//   1. A mutation raises the floors of the id's set in *every* level up to the one in use, so whoever still has a place of an
//      earlier level finds them there.
//   2. A new level begins with a *floor of its own*, the highest transaction whose floors were raised until then. Fills with
//      an older stamp are refused there. So a mutation that was acknowledged before the growth, and whose floors are
//      therefore not in the new level, cannot be undone by a fill that read the store before it. Fills that have a place of
//      the new level have read the level after it was published (acquire), and with it its floor.
//   3. Growing and raising exclude each other, so that no raise lies between the two.
//
// Whoever remembers a record beside the floor of its set may not do so across a growth: he may have read the floor in one
// level and verified in the next. There, the order in which floors are raised no longer helps, since a commit has many ids: two
// of them may share the set whose floor he read, and the first raises it before the second is raised where he verified. So
// what was remembered with a set that is no longer in use is worth nothing. Levels share no set and never go back, so a set
// that is still in use is the one that he verified in.

/// Which sets are used, and what has been raised in them.
struct CacheLevels: ~Copyable, Sendable {
    /// Records of a set count as many as this: sets of eight fill unevenly, and half of a level is left free.
    private static let recordsPerSet = Directory.wayCount / 2
    /// Each level has two to the power of this times as many sets as the one before.
    private static let growthBits = 4
    /// Sets of one page.
    private static let alignment = 4

    /// Neighbouring sets, packed into one word so that readers take both numbers at once.
    struct Extent: Sendable {
        let bits: UInt64

        init(start: Int, count: Int) { bits = UInt64(start) << 32 | UInt64(count) }
        @inline(__always)
        init(bits: UInt64) { self.bits = bits }

        var start: Int { Int(bits >> 32) }
        var count: Int { Int(bits & 0xFFFF_FFFF) }
        var sets: Range<Int> { start..<start + count }

        @inline(__always)
        func set(of key: UInt64) -> Int {
            Int(truncatingIfNeeded: key.multipliedFullWidth(by: bits & 0xFFFF_FFFF).high &+ bits &>> 32)
        }
    }

    /// What each mutation writes. An object of its own, apart from the lines that each look-up reads.
    private final class Raised: Sendable {
        struct State {
            var level = 0
            /// The highest transaction that any floor was raised to.
            var highest: UInt64 = 0
        }

        let state = Mutex(State())
    }

    private let extents: [Extent]
    private let active: Atomic<UInt64>
    private let newestFloor = Atomic<UInt64>(0)
    private let raised = Raised()

    /// - Parameters:
    ///   - setCount: all sets that there are; below 2³².
    ///   - levels: how many, at least one.
    init(setCount: Int, levels: Int) {
        var extents: [Extent] = []
        var start = 0
        for level in 0..<levels {
            let share = setCount >> (Self.growthBits * (levels - 1 - level))
            let count = level == levels - 1 ? setCount - start : max(share / Self.alignment, 1) * Self.alignment
            extents.append(Extent(start: start, count: count))
            start += count
        }
        self.extents = extents
        active = Atomic(extents[0].bits)
    }

    /// The sets in use. Acquire: whoever has a place of a level also sees its floor.
    var extent: Extent {
        @inline(__always) get { Extent(bits: active.load(ordering: .acquiring)) }
    }

    /// Copies that were read before this transaction are not taken any more.
    var floor: UInt64 {
        @inline(__always) get { newestFloor.load(ordering: .relaxed) }
    }

    /// The sets that a store of so many records uses: never fewer than are in use.
    func extent(for records: Int) -> Extent { extents[level(for: records)] }

    func level(for records: Int) -> Int { raised.state.withLock { level(for: records, atLeast: $0.level) } }

    /// Uses more sets from now on when so many records need them.
    func grow(for records: Int) {
        raised.state.withLock { state in
            let level = level(for: records, atLeast: state.level)
            guard level > state.level else { return }
            state.level = level
            newestFloor.store(state.highest, ordering: .relaxed)
            active.store(extents[level].bits, ordering: .releasing)
        }
    }

    /// Calls `raise` for the set of a key in every level; no growth comes between.
    func raise(_ key: UInt64, to transaction: UInt64, _ raise: (_ set: Int) -> Void) {
        raised.state.withLock { state in
            state.highest = max(state.highest, transaction)
            for level in 0...state.level { raise(extents[level].set(of: key)) }
        }
    }

    /// The same for all sets that were ever in use.
    func raiseAll(to transaction: UInt64, _ raise: (_ set: Int) -> Void) {
        raised.state.withLock { state in
            state.highest = max(state.highest, transaction)
            for level in 0...state.level { for set in extents[level].sets { raise(set) } }
        }
    }

    private func level(for records: Int, atLeast least: Int) -> Int {
        let sets = records / Self.recordsPerSet
        return extents.indices.first { $0 >= least && extents[$0].count >= sets } ?? extents.count - 1
    }
}
