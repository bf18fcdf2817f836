import Synchronization

/// What one verifier has done since it was made.
///
/// Each verification writes here, and other threads' verifiers may be adjacent in memory. So the cache lines before and
/// after the counters are padding: a line written by two threads moves between their processors, which takes longer
/// than a verification.
public final class VerifierCounters: Sendable {
    // Two lines each, since processors fetch them in pairs.
    private let paddingBefore = InlineArray<16, UInt64>(repeating: 0)
    /// Native credentials answered from the cache.
    public let hits = SingleWriterCounter()
    /// Native credentials not answered from the cache. Imported ones are not counted.
    public let misses = SingleWriterCounter()
    private let paddingAfter = InlineArray<16, UInt64>(repeating: 0)
}

/// A counter that one thread increments and any thread may read. Cheaper than an atomic addition, which locks the line.
public struct SingleWriterCounter: ~Copyable, Sendable {
    private let count = Atomic<UInt64>(0)

    public init() {}

    public var value: UInt64 { count.load(ordering: .relaxed) }

    @inline(__always)
    public func increment() { add(1) }

    @inline(__always)
    public func add(_ number: UInt64) {
        // Relaxed load and store: only this thread writes, and the number publishes nothing.
        count.store(count.load(ordering: .relaxed) &+ number, ordering: .relaxed)
    }
}
