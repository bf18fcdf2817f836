internal import CMachine
import ProofSupport

/// One measurement of one comparison: as many samples as rounds, each the time of a batch.
struct Measurement: Sendable {
    /// Samples before those that count, from which the crop limits are taken.
    private static let calibrationCount = 5_000

    /// The greatest |t| over all crop levels.
    let t: Double
    /// Of one comparison at that level.
    let nanoseconds: Double
    /// By how much it takes longer when the last byte differs, and that figure's standard error.
    let picosecondsMore: (difference: Double, error: Double)

    init(of subject: Subject, rounds: Int, _ random: inout Randomness) {
        var batch = Batch(byteCount: subject.byteCount, &random)
        var calibration: [UInt64] = []
        for _ in 0..<Self.calibrationCount {
            calibration.append(Self.sample(Self.draw(&random), subject, &batch))
        }
        var tests = CroppedTests(limitsFrom: calibration)
        for _ in 0..<rounds {
            let differenceClass = Self.draw(&random)
            tests.add(Self.sample(differenceClass, subject, &batch), differenceClass)
        }
        let strongest = tests.strongest
        t = strongest.t.magnitude
        let pairs = Double(Batch.pairCount)
        nanoseconds = strongest.first.mean / pairs
        picosecondsMore = (strongest.difference / pairs * 1_000, strongest.error / pairs * 1_000)
    }

    private static func draw(_ random: inout Randomness) -> DifferenceClass {
        random.next() & 1 == 0 ? .firstByte : .lastByte
    }

    /// Nanoseconds that a batch of the class takes.
    ///
    /// By the clock and not as processor time, which costs a system call that is as long as a batch. What the clock
    /// counts too much, when a sample is interrupted, is cropped.
    private static func sample(_ differenceClass: DifferenceClass, _ subject: Subject, _ batch: inout Batch) -> UInt64 {
        batch.prepare(differenceClass)
        // Not timed: the clock starts when the preparation's stores are done and the values are in the cache.
        var equal = subject.equalPairs(in: batch)
        let start = cs_monotonic_nanoseconds()
        equal += subject.equalPairs(in: batch)
        let end = cs_monotonic_nanoseconds()
        precondition(equal == 0, "a comparison took different bytes for equal ones")
        return end &- start
    }
}
