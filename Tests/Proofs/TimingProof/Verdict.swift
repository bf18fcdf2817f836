import ProofSupport

/// What the measurements say of a comparison.
enum Verdict: Sendable {
    /// No dependence was found.
    case independent
    case undecided
    case dependent
}

/// Up to three measurements of one comparison, each with inputs, addresses and an order of its own.
///
/// The first below 4.5 acquits; three above 10 convict. Both are the paper's limits.
///
/// - False alarms: without a dependence t is normal whatever the machine does, because the class is drawn. |t| reaches
///   4.5 in one test of 150 000, so in at most one measurement of 7 000, which has 21 tests. That is too often for a
///   proof that runs with every change. Three times in a row it does not happen.
/// - Misses: t grows with the root of the samples. A dependence with t = 10 on average comes below 4.5 in one
///   measurement of 50 million. A weaker one takes more rounds; four times as many double its t. The early exits have
///   some hundreds.
/// - In between is what chance does not explain and what is not yet clear: that is said, not guessed.
struct Trial: Sendable {
    private static let measurementsMax = 3
    private static let acquittedBelow = 4.5
    private static let convictedAbove = 10.0

    private(set) var verdict = Verdict.undecided
    /// The smallest |t| of the measurements, on which the verdict rests.
    private(set) var t = Double.infinity
    private(set) var comparisons = 0

    init(of subject: Subject, rounds: Int, _ random: inout Randomness) {
        for number in 1...Self.measurementsMax {
            let measurement = Measurement(of: subject, rounds: rounds, &random)
            t = min(t, measurement.t)
            comparisons += rounds * Batch.pairCount
            let more = measurement.picosecondsMore
            print(
                "\(subject.name), measurement \(number): |t| \(measurement.t.rounded(toPlaces: 1)),",
                "\(measurement.nanoseconds.rounded(toPlaces: 1)) ns each,",
                "\(more.difference.rounded(toPlaces: 1)) ± \(more.error.rounded(toPlaces: 1)) ps more",
                "when only the last byte differs")
            if t < Self.acquittedBelow {
                verdict = .independent
                return
            }
        }
        if t > Self.convictedAbove { verdict = .dependent }
    }
}

extension Double {
    func rounded(toPlaces places: Int) -> Double {
        var unit = 1.0
        for _ in 0..<places { unit *= 10 }
        return (self * unit).rounded() / unit
    }
}
