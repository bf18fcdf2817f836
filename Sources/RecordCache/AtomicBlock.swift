internal import CMachine
import Synchronization

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
