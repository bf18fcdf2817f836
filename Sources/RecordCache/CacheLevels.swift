internal import CMachine
import Synchronization

// How much of the cache is in use. A process with a small store should not use the memory of a large one, so the sets
// are divided into levels, each sixteen times as large as the one before:
//
// ```
// │ 0 │   1   │              2                │   consecutive sets; none belongs to two levels
// ```
//
// One level is in use: at the start the smallest that is large enough for the store's records, later a larger one. It
// never shrinks. After a growth every record has another place and is read from the store once more. Three rules keep
// RecordCache's claim true:
//
//   1. A mutation raises the floors of the id's set in *every* level up to the one in use. Readers with a place in an
//      earlier level find them there.
//   2. A new level begins with a *floor of its own*: the highest transaction whose floors were raised until then. Fills
//      with an older stamp are refused. The floors of a mutation that was acknowledged before the growth are not in the
//      new level, so a fill that read the store before that mutation could otherwise undo it. A fill with a place in
//      the new level loaded the level after it was published (acquire), and so sees its floor.
//   3. Growing and raising exclude each other: no raise falls between reading that transaction and publishing the
//      level.
//
// A record that was remembered together with the floor of its set must not be reused after a growth. The floor may have
// been read in one level and the record verified in the next. The order in which floors are raised does not help there,
// because a commit has many ids: two of them may share the set whose floor was read, and the first raises that floor
// before the second is raised in the set where the record was verified. So a remembered record is discarded when its
// set is no longer in use. Levels share no sets and never shrink, so a set still in use is the one in which the record
// was verified.

/// Which sets are in use, and the floors raised in them.
struct CacheLevels: ~Copyable, Sendable {
    /// Half of the slots of a set: sets fill unevenly, so half of a level stays free.
    private static let recordsPerSet = Directory.wayCount / 2
    /// Binary logarithm of the ratio between the sizes of successive levels.
    private static let growthBits = 4
    /// Sets in one page.
    private static let alignment = 4

    /// Consecutive sets, packed into one word so that readers load both numbers at once.
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

    /// Written by each mutation. A separate object, so that it is not on the cache lines that each look-up reads.
    ///
    /// It has its own lock, because Embedded Swift has no `Mutex`. The lock is almost never contended: in each process
    /// one thread raises and grows, the store's writer or the one that follows the journal, and others only read the
    /// level.
    private final class Raised: Sendable {
        struct State {
            var level = 0
            /// The highest transaction to which any floor was raised.
            var highest: UInt64 = 0
        }

        private let isLocked = Atomic<Bool>(false)
        // SAFETY: accessed only in `withLock`, by the thread that has set `isLocked`.
        private nonisolated(unsafe) var state = State()

        func withLock<Value>(_ body: (inout State) -> Value) -> Value {
            // Acquire: pairs with the release below, so the state is as the previous holder left it.
            while isLocked.exchange(true, ordering: .acquiring) { cs_yield() }
            // Release: publishes the state, and a level that was stored in `body`.
            defer { isLocked.store(false, ordering: .releasing) }
            // SAFETY: this thread has the lock.
            return unsafe body(&state)
        }
    }

    private let extents: [Extent]
    private let active: Atomic<UInt64>
    private let newestFloor = Atomic<UInt64>(0)
    private let raised = Raised()

    /// - Parameters:
    ///   - setCount: the number of all sets; below 2³².
    ///   - levels: the number of levels, at least one.
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

    /// The sets in use. Acquire: whoever has a place in a level also sees its floor.
    var extent: Extent {
        @inline(__always) get { Extent(bits: active.load(ordering: .acquiring)) }
    }

    /// Copies read before this transaction are refused.
    var floor: UInt64 {
        @inline(__always) get { newestFloor.load(ordering: .relaxed) }
    }

    /// The sets that a store of so many records uses; never fewer than those in use.
    func extent(for records: Int) -> Extent { extents[level(for: records)] }

    func level(for records: Int) -> Int { raised.withLock { level(for: records, atLeast: $0.level) } }

    /// Uses more sets from now on if so many records need them.
    func grow(for records: Int) {
        raised.withLock { state in
            let level = level(for: records, atLeast: state.level)
            guard level > state.level else { return }
            state.level = level
            newestFloor.store(state.highest, ordering: .relaxed)
            active.store(extents[level].bits, ordering: .releasing)
        }
    }

    /// Calls `raise` for the set of a key in every level used so far. Excludes growth.
    func raise(_ key: UInt64, to transaction: UInt64, _ raise: (_ set: Int) -> Void) {
        raised.withLock { state in
            state.highest = max(state.highest, transaction)
            for level in 0...state.level { raise(extents[level].set(of: key)) }
        }
    }

    /// Calls `raise` for all sets that were ever in use. Excludes growth.
    func raiseAll(to transaction: UInt64, _ raise: (_ set: Int) -> Void) {
        raised.withLock { state in
            state.highest = max(state.highest, transaction)
            for level in 0...state.level { for set in extents[level].sets { raise(set) } }
        }
    }

    private func level(for records: Int, atLeast least: Int) -> Int {
        let sets = records / Self.recordsPerSet
        return extents.indices.first { $0 >= least && extents[$0].count >= sets } ?? extents.count - 1
    }
}
