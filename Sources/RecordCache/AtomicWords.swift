internal import CMachine
import Synchronization

/// A fixed region of 64-bit words off the heap that threads share without locks. Every access is atomic.
///
/// The tables above are written in terms of word numbers and stay free of pointers; all of this module's memory is
/// reached through these few lines. Word numbers are checked, so a mistake traps instead of reading foreign memory.
@safe final class AtomicWords: @unchecked Sendable {
    let count: Int
    // SAFETY: points to `count` zero-filled words from init to deinit. Zero is a valid Atomic<UInt64>, whose layout is
    // that of the word, so the mapping needs no initialising write and untouched pages cost no memory.
    private nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// Nil when the system gives no memory for `count` words.
    init?(count: Int) {
        // SAFETY: the mapping is page-aligned, zero-filled and `count * 8` bytes long.
        guard count > 0, let memory = unsafe cs_map_words(UInt64(count) * 8) else { return nil }
        self.count = count
        // SAFETY: as above.
        unsafe base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: count)
    }

    deinit {
        // SAFETY: mapped in init with this length; nobody holds the object any more.
        unsafe cs_unmap_words(base, UInt64(count) * 8)
    }

    /// Reads a word whose neighbours another load orders.
    @inline(__always)
    func load(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        return unsafe base[index].load(ordering: .relaxed)
    }

    /// Reads a word and sees everything that was written before it was published.
    @inline(__always)
    func acquire(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        return unsafe base[index].load(ordering: .acquiring)
    }

    /// Writes a word that a later release publishes.
    @inline(__always)
    func store(_ index: Int, _ value: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        unsafe base[index].store(value, ordering: .relaxed)
    }

    /// Writes a word and publishes everything written before it.
    @inline(__always)
    func release(_ index: Int, _ value: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        unsafe base[index].store(value, ordering: .releasing)
    }

    /// Replaces `expected` by `desired`; false when another value is there. Acquires and releases.
    @inline(__always)
    func exchange(_ index: Int, expected: UInt64, desired: UInt64) -> Bool {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        return unsafe base[index].compareExchange(expected: expected, desired: desired, ordering: .acquiringAndReleasing)
            .exchanged
    }

    /// Raises a word to at least `value`; publishes what was written before.
    func raise(_ index: Int, to value: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        unsafe base[index].max(value, ordering: .acquiringAndReleasing)
    }

    /// Sets bits of a word; orders nothing.
    func setBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        unsafe base[index].bitwiseOr(bits, ordering: .relaxed)
    }

    /// Clears bits of a word; orders nothing.
    func clearBits(_ index: Int, _ bits: UInt64) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds.
        unsafe base[index].bitwiseAnd(~bits, ordering: .relaxed)
    }

    /// Starts loading the cache line of a word and does not wait for it.
    @inline(__always)
    func prefetch(_ index: Int) {
        precondition(index >= 0 && index < count)
        // SAFETY: checked against the region's bounds; a prefetch reads nothing into the program.
        unsafe cs_prefetch(base + index)
    }
}
