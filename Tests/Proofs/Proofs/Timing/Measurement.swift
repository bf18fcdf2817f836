internal import CMachine
import ProofSupport

/// One measurement of one comparison: as many samples as rounds, each the duration of a batch.
struct Measurement: Sendable {
    /// Samples taken before the measurement, which determine the crop limits.
    private static let calibrationCount = 5_000

    /// The greatest |t| over all crop levels.
    let t: Double
    /// The duration of one comparison at that level.
    let nanoseconds: Double
    /// How much longer it takes if the last byte differs, and the standard error of that.
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

    /// The nanoseconds that a batch of the class takes.
    ///
    /// Measured by the clock, because reading the processor time is a system call, which takes as long as a batch.
    /// Samples that are too long because of an interrupt are cropped.
    private static func sample(_ differenceClass: DifferenceClass, _ subject: Subject, _ batch: inout Batch) -> UInt64 {
        batch.prepare(differenceClass)
        // Not timed: when the clock starts, the stores of the preparation are done and the values are in the cache.
        var equal = subject.equalPairs(in: batch)
        let start = cs_monotonic_nanoseconds()
        equal += subject.equalPairs(in: batch)
        let end = cs_monotonic_nanoseconds()
        precondition(equal == 0, "a comparison took different bytes for equal ones")
        return end &- start
    }
}

/// Which byte of a presented value is wrong.
enum DifferenceClass: Sendable {
    case firstByte
    case lastByte
}

/// Pairs of a stored and a presented value that differ in one byte.
///
/// Both classes use the same addresses and are prepared by the same instructions. Different cache lines or alignments
/// would cause a difference that is not due to the comparison.
struct Batch: ~Copyable {
    /// Enough that reading the clock, some 30 ns, hardly matters; few enough to fit into the first-level cache.
    static let pairCount = 128

    let byteCount: Int
    let stored: [UInt8]
    private(set) var presented: [UInt8]
    /// The XOR of the wrong byte of each pair with the right one, the same for both classes; never 0.
    private let differences: [UInt8]

    init(byteCount: Int, _ random: inout Randomness) {
        self.byteCount = byteCount
        var bytes: [UInt8] = []
        for _ in 0..<Self.pairCount * byteCount { bytes.append(UInt8.random(in: 0...255, using: &random)) }
        stored = bytes
        presented = bytes
        differences = (0..<Self.pairCount).map { _ in UInt8.random(in: 1...255, using: &random) }
    }

    /// Writes the first and the last byte of each pair for either class.
    mutating func prepare(_ differenceClass: DifferenceClass) {
        let first: UInt8 = differenceClass == .firstByte ? 0xFF : 0
        let last = ~first
        for pair in 0..<Self.pairCount {
            let (start, end) = (pair * byteCount, (pair + 1) * byteCount - 1)
            presented[start] = stored[start] ^ (differences[pair] & first)
            presented[end] = stored[end] ^ (differences[pair] & last)
        }
    }
}

/// Running mean and variance (Welford 1962).
struct Moments: Sendable {
    private(set) var count = 0.0
    private(set) var mean = 0.0
    private var squares = 0.0

    mutating func add(_ value: Double) {
        count += 1
        let distance = value - mean
        mean += distance / count
        squares += distance * (value - mean)
    }

    /// The square of the mean's standard error.
    var errorSquared: Double { squares / (count - 1) / count }
}

/// Welch's t-test (1947) for equal means of two classes, whose variances may differ.
struct WelchTest: Sendable {
    /// With fewer samples of a class, for example if a crop level keeps only the faster class, t is not normally
    /// distributed.
    private static let countMin = 500.0

    private(set) var first = Moments()
    private(set) var last = Moments()

    mutating func add(_ value: Double, _ differenceClass: DifferenceClass) {
        if differenceClass == .firstByte { first.add(value) } else { last.add(value) }
    }

    /// How much longer the class `lastByte` takes.
    var difference: Double { last.mean - first.mean }

    /// The standard error of the difference.
    var error: Double { (first.errorSquared + last.errorSquared).squareRoot() }

    /// The difference in standard errors: normally distributed with variance 1 if the means are equal.
    var t: Double {
        guard first.count >= Self.countMin, last.count >= Self.countMin, difference != 0 else { return 0 }
        return difference / error
    }
}

/// The same test over all samples, and over those below each of several limits.
///
/// Durations have a long tail, due to interrupts for example, which can hide a small difference. Where the tail begins
/// is not known, so many limits are tried, as in the paper's program. They are fixed before the measurement and apply
/// to both classes, so they do not create a difference.
struct CroppedTests: Sendable {
    private static let cropCount = 20

    /// Ascending; the last one excludes nothing.
    private let limits: [UInt64]
    private var tests: [WelchTest]

    /// - Parameter times: durations of both classes, which determine the limits.
    init(limitsFrom times: [UInt64]) {
        let sorted = times.sorted()
        var limits: [UInt64] = []
        // As in the paper's program, the fractions 1 − 2^(−n/2) are kept: 29 %, 50 %, 65 % … 99.9 %.
        var above = 1.0
        for _ in 0..<Self.cropCount {
            above *= 0.5.squareRoot()
            limits.append(sorted[Int(Double(sorted.count) * (1 - above))])
        }
        self.limits = limits + [.max]
        tests = limits.map { _ in WelchTest() } + [WelchTest()]
    }

    mutating func add(_ time: UInt64, _ differenceClass: DifferenceClass) {
        for index in limits.indices.reversed() {
            guard time < limits[index] else { break }
            tests[index].add(Double(time), differenceClass)
        }
    }

    /// The test with the greatest |t|.
    var strongest: WelchTest {
        var strongest = tests[tests.count - 1]
        for test in tests where test.t.magnitude > strongest.t.magnitude { strongest = test }
        return strongest
    }
}
