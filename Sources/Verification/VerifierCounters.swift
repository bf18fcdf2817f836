import Synchronization

/// What one verifier has done since it was made.
///
/// Each verification writes here, and other threads' verifiers lie beside this in memory. So a line before and a line behind
/// what is written belong to nobody else: where two threads write to one line, it goes to and fro between their processors,
/// which takes longer than a verification.
public final class VerifierCounters: Sendable {
    // Two lines each, since processors fetch them in pairs.
    private let nothingBefore = InlineArray<16, UInt64>(repeating: 0)
    /// Verifications answered from the cache.
    public let hits = SingleWriterCounter()
    /// Verifications that asked the store.
    public let misses = SingleWriterCounter()
    private let nothingBehind = InlineArray<16, UInt64>(repeating: 0)
}

/// A number that one thread counts up and all may read. Cheaper than an atomic addition, which would lock the line.
public struct SingleWriterCounter: ~Copyable, Sendable {
    private let count = Atomic<UInt64>(0)

    public init() {}

    public var value: UInt64 { count.load(ordering: .relaxed) }

    @inline(__always)
    public func increment() { add(1) }

    @inline(__always)
    public func add(_ number: UInt64) {
        // Relaxed load and store: only this thread writes, and nothing is published by the number.
        count.store(count.load(ordering: .relaxed) &+ number, ordering: .relaxed)
    }
}
