import Synchronization

/// Durations of work on the writer thread: recorded there, read anywhere.
public final class DurationHistogram: Sendable {
    /// Upper bounds of the buckets, in microseconds.
    public static let boundsMicroseconds: [Int64] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    ]

    private struct State {
        var counts = [UInt64](repeating: 0, count: DurationHistogram.boundsMicroseconds.count + 1)
        var sumMicroseconds: Int64 = 0
    }

    private let state = Mutex(State())

    func note(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        let place = Self.boundsMicroseconds.firstIndex { microseconds <= $0 } ?? Self.boundsMicroseconds.count
        state.withLock { state in
            state.counts[place] += 1
            state.sumMicroseconds += microseconds
        }
    }

    /// The count of each bucket, the last being above all bounds, and the sum in microseconds.
    public var figures: (counts: [UInt64], sumMicroseconds: Int64) {
        state.withLock { ($0.counts, $0.sumMicroseconds) }
    }
}
