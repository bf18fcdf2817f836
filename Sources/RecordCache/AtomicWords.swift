internal import CMachine
import Synchronization

/// A fixed off-heap region of 64-bit words that threads share without locks. Every access is atomic.
///
/// Cache and filter use word numbers instead of pointers and reach their memory only through here. Word numbers are
/// checked, so a mistake traps and never reads foreign memory. Not copyable, so that access needs no reference
/// counting.
@safe struct AtomicWords: ~Copyable, @unchecked Sendable {
    let count: Int
    // SAFETY: points to `count` zero-filled words from init to deinit. Zero is a valid Atomic<UInt64>, which has the
    // layout of the word, so the mapping needs no initialising write and untouched pages cost no memory.
    private nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// Nil when the system does not give memory for `count` words.
    init?(count: Int) {
        // SAFETY: the mapping is page-aligned, zero-filled and `count * 8` bytes long.
        guard count > 0, let memory = unsafe cs_map_words(UInt64(count) * 8) else { return nil }
        self.count = count
        // SAFETY: as above.
        unsafe base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: count)
    }

    deinit {
        // SAFETY: mapped in init with this length; nobody holds the region any more.
        unsafe cs_unmap_words(base, UInt64(count) * 8)
    }

    /// Makes the system commit memory for some words now; otherwise it gives zeroed pages at their first use.
    /// - Parameter words: must begin at a page boundary.
    /// - Returns: whether it succeeded.
    func populate(_ words: Range<Int>) -> Bool {
        precondition(words.lowerBound >= 0 && words.upperBound <= count)
        // SAFETY: within the region by the check above; the contents do not change.
        return unsafe cs_populate(base + words.lowerBound, UInt64(words.count) * 8) == 0
    }

    /// Block `number` of the region, seen as an array of blocks of `size` words. The block is checked once, here; for
    /// constant word numbers the compiler removes the checks inside it.
    @inline(__always) @_lifetime(borrow self)
    func block(_ number: Int, of size: Int) -> AtomicBlock {
        precondition(UInt(bitPattern: number) < UInt(bitPattern: count) / UInt(bitPattern: size))
        // SAFETY: checked against the region's bounds; a negative number fails the unsigned comparison. The result
        // depends on `self` as declared.
        let block = unsafe AtomicBlock(base: base + number &* size, count: size)
        return unsafe _overrideLifetime(block, borrowing: self)
    }

    /// One word.
    @inline(__always) @_lifetime(borrow self)
    private func word(_ index: Int) -> AtomicBlock { block(index, of: 1) }

    /// Single-word versions of the operations of ``AtomicBlock``.
    @inline(__always) func load(_ index: Int) -> UInt64 { word(index).load(0) }
    @inline(__always) func acquire(_ index: Int) -> UInt64 { word(index).acquire(0) }
    @inline(__always) func release(_ index: Int, _ value: UInt64) { word(index).release(0, value) }
    @inline(__always) func setBits(_ index: Int, _ bits: UInt64) { word(index).setBits(0, bits) }
    @inline(__always) func flipBits(_ index: Int, _ bits: UInt64) { word(index).flipBits(0, bits) }
    @inline(__always) func clearBits(_ index: Int, _ bits: UInt64) { word(index).clearBits(0, bits) }
}

/// Some neighbouring words of ``AtomicWords``, valid while those are borrowed. Word numbers are relative to the block.
@safe struct AtomicBlock: ~Escapable {
    private let count: Int
    // SAFETY: points to `count` words that live as long as the value this depends on.
    private nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// The caller guarantees `count` words at `base` and overrides the lifetime.
    @inline(__always) @_lifetime(immortal)
    @unsafe init(base: UnsafeMutablePointer<Atomic<UInt64>>, count: Int) {
        // SAFETY: only stored; the caller guarantees the words and their lifetime.
        unsafe self.base = base
        self.count = count
    }

    /// Relaxed load of a word that another load orders.
    @inline(__always)
    func load(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        return unsafe base[index].load(ordering: .relaxed)
    }

    /// Acquiring load: everything written before the word was published is visible.
    @inline(__always)
    func acquire(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        return unsafe base[index].load(ordering: .acquiring)
    }

    /// Relaxed store of a word that a later release publishes.
    @inline(__always)
    func store(_ index: Int, _ value: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].store(value, ordering: .relaxed)
    }

    /// Releasing store: publishes everything written before it.
    @inline(__always)
    func release(_ index: Int, _ value: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].store(value, ordering: .releasing)
    }

    /// Replaces `expected` by `desired`; false when the word has another value. Acquires and releases.
    @inline(__always)
    func exchange(_ index: Int, expected: UInt64, desired: UInt64) -> Bool {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        return unsafe base[index].compareExchange(
            expected: expected, desired: desired, ordering: .acquiringAndReleasing
        )
        .exchanged
    }

    /// Raises a word to at least `value`; publishes everything written before.
    ///
    /// Does not use the atomic's own `max`: in Swift 6.3 it compares unsigned numbers as if they were signed
    /// (swiftlang/swift#91176), so that the highest number is the lowest.
    func raise(_ index: Int, to value: UInt64) {
        var found = load(index)
        while found < value {
            // SAFETY: `load` has checked the index against the block's bounds.
            let outcome = unsafe base[index].weakCompareExchange(
                expected: found, desired: value, ordering: .acquiringAndReleasing)
            if outcome.exchanged { return }
            found = outcome.original
        }
    }

    /// Sets bits of a word; relaxed.
    func setBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].bitwiseOr(bits, ordering: .relaxed)
    }

    /// Clears bits of a word; relaxed.
    func clearBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].bitwiseAnd(~bits, ordering: .relaxed)
    }

    /// Inverts bits of a word; relaxed.
    func flipBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].bitwiseXor(bits, ordering: .relaxed)
    }

    /// Starts to load the cache line of a word without waiting for it.
    @inline(__always)
    func prefetch(_ index: Int) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds; a prefetch has no result.
        unsafe cs_prefetch(base + index)
    }
}
