/// Mean and variance of numbers as they come (Welford 1962).
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

/// Whether two classes have the same mean (Welch 1947): their variances need not be equal.
struct WelchTest: Sendable {
    /// With fewer of each class, as when a crop keeps only the quicker class, t is not yet normal.
    private static let countMin = 500.0

    private(set) var first = Moments()
    private(set) var last = Moments()

    mutating func add(_ value: Double, _ differenceClass: DifferenceClass) {
        if differenceClass == .firstByte { first.add(value) } else { last.add(value) }
    }

    /// By how much the last byte takes longer.
    var difference: Double { last.mean - first.mean }

    /// The standard error of the difference.
    var error: Double { (first.errorSquared + last.errorSquared).squareRoot() }

    /// The difference in standard errors: normal with variance 1 when the means are equal.
    var t: Double {
        guard first.count >= Self.countMin, last.count >= Self.countMin, difference != 0 else { return 0 }
        return difference / error
    }
}

/// The same test over all samples and over those below each of some limits.
///
/// Times have a long tail, of interrupts and the like, in which a small difference drowns. Where the tail begins is not
/// known, so many limits are tried, as in the paper's program. They are set before the measurement and apply to both
/// classes, so they do not make a difference where there is none.
struct CroppedTests: Sendable {
    private static let cropCount = 20

    /// Ascending; the last is no limit.
    private let limits: [UInt64]
    private var tests: [WelchTest]

    /// - Parameter times: of samples of both classes, from which the limits are taken.
    init(limitsFrom times: [UInt64]) {
        let sorted = times.sorted()
        var limits: [UInt64] = []
        // Spread as in the paper's program: 1 − 2^(−n/2) are kept, so 29 %, 50 %, 65 % … 99.9 %.
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
