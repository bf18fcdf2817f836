internal import CMachine
import Synchronization

/// Some neighbouring words of ``AtomicWords``, for as long as those are borrowed. Word numbers count from its beginning.
@safe struct AtomicBlock: ~Escapable {
    private let count: Int
    // SAFETY: points to `count` words that live as long as what this depends on.
    private nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// The caller promises `count` words at `base` and overrides the lifetime.
    @inline(__always) @_lifetime(immortal)
    @unsafe init(base: UnsafeMutablePointer<Atomic<UInt64>>, count: Int) {
        // SAFETY: only kept; the caller vouches for its words and their life.
        unsafe self.base = base
        self.count = count
    }

    /// Reads a word whose neighbours another load orders.
    @inline(__always)
    func load(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        return unsafe base[index].load(ordering: .relaxed)
    }

    /// Reads a word and sees everything that was written before it was published.
    @inline(__always)
    func acquire(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        return unsafe base[index].load(ordering: .acquiring)
    }

    /// Writes a word that a later release publishes.
    @inline(__always)
    func store(_ index: Int, _ value: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].store(value, ordering: .relaxed)
    }

    /// Writes a word and publishes everything written before it.
    @inline(__always)
    func release(_ index: Int, _ value: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].store(value, ordering: .releasing)
    }

    /// Replaces `expected` by `desired`; false when another value is there. Acquires and releases.
    @inline(__always)
    func exchange(_ index: Int, expected: UInt64, desired: UInt64) -> Bool {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        return unsafe base[index].compareExchange(
            expected: expected, desired: desired, ordering: .acquiringAndReleasing
        )
        .exchanged
    }

    /// Raises a word to at least `value`; publishes what was written before.
    ///
    /// Not by the atomic's own `max`, which in Swift 6.3 compares unsigned numbers as if they had a sign
    /// (swiftlang/swift#91176): to it, the highest number is the lowest.
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

    /// Sets bits of a word; orders nothing.
    func setBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].bitwiseOr(bits, ordering: .relaxed)
    }

    /// Clears bits of a word; orders nothing.
    func clearBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].bitwiseAnd(~bits, ordering: .relaxed)
    }

    /// Changes bits of a word to what they are not; orders nothing.
    func flipBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds.
        unsafe base[index].bitwiseXor(bits, ordering: .relaxed)
    }

    /// Starts loading the cache line of a word and does not wait for it.
    @inline(__always)
    func prefetch(_ index: Int) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the block's bounds; a prefetch reads nothing into the program.
        unsafe cs_prefetch(base + index)
    }
}
