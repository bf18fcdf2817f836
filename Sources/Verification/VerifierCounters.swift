import Synchronization

/// What one verifier has done since it was made.
public final class VerifierCounters: Sendable {
    /// Verifications answered from the cache.
    public let hits = SingleWriterCounter()
    /// Verifications that asked the store.
    public let misses = SingleWriterCounter()
}

/// A number that one thread counts up and all may read. Cheaper than an atomic addition, which would lock the line.
public final class SingleWriterCounter: Sendable {
    private let count = Atomic<UInt64>(0)

    public var value: UInt64 { count.load(ordering: .relaxed) }

    @inline(__always)
    func increment() {
        // Relaxed load and store: only this thread writes, and nothing is published by the number.
        count.store(count.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }
}
