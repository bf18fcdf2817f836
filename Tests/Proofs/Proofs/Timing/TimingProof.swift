import ProofSupport

// Tests whether the duration of a comparison depends on the position of the first difference.
//
// Whoever learns how many leading bytes of a guess are right can find a secret byte by byte. So the comparisons of a
// tag and of a remembered caller's bytes must take the same time wherever the difference is. The sources intend that.
// What the optimiser and the processor make of them is measured here, with the method of Reparaz, Balasch and
// Verbauwhede, "Dude, is my code constant time?" (DATE 2017).
//
// There are two classes of input, one of which is drawn at random before each sample: only the first byte is wrong, or
// only the last. Welch's t-test tells whether both take the same time on average. Because of the random draw this is
// sound on a noisy machine: interrupts, other virtual machines and changes of the clock rate are independent of the
// class. They add variance to both, which may hide a difference but does not create one.
//
// The comparison is measured, and not `Verifier.verify`. The tag of a presented secret is an HMAC under a pepper: a tag
// whose first n bytes are right takes 2^(8n) guesses, so neither an attacker nor a test can produce these classes from
// outside. That is a defence in itself. This proof grants the attacker tags of their choice, and measures the one step
// that compares the stored tag with theirs.
//
// A proof must be able to fail. With `--mutant` a comparison that returns at the first difference is measured instead,
// and must be detected.

struct TimingProof: Proof {
    static let usage = """
        usage: Proofs timing [--rounds N] [--seed N] [--mutant word-by-word|byte-by-byte|memcmp]
        At least \(roundsMin) rounds. Exits with 0 if no dependence was found, 1 if one was found, 2 if undecided.
        """

    /// With fewer, too few samples remain at the strictest crop level.
    private static let roundsMin = 10_000

    /// Samples of a measurement.
    private var rounds = 200_000
    private var seed = UInt64.random(in: 0...UInt64.max)
    /// What is measured instead of the product's comparisons.
    private var mutant: EarlyExit?

    init?(_ arguments: ArraySlice<String>) {
        guard var values = NamedValues(arguments),
            values.take("--rounds", &rounds, where: { $0 >= Self.roundsMin }), values.take("--seed", &seed),
            values.take("--mutant", &mutant), values.isEmpty
        else { return nil }
    }

    func run() -> ProofOutcome {
        print("\(rounds) rounds, seed \(seed)")
        var random = Randomness(seed: seed)
        var verdicts: [Trial.Verdict] = []
        var comparisons = 0
        var tMax = 0.0
        for subject in mutant.map({ [Subject($0)] }) ?? Subject.contract {
            let trial = Trial(of: subject, rounds: rounds, &random)
            verdicts.append(trial.verdict)
            comparisons += trial.comparisons
            tMax = max(tMax, trial.t)
        }
        print("\(comparisons) comparisons, max |t| \(tMax.rounded(toPlaces: 1))")
        if verdicts.contains(.dependent) {
            print("VIOLATION: the time of a comparison depends on the position of the first difference")
            return .violated
        }
        if verdicts.contains(.undecided) {
            print("a dependence was neither found nor excluded: run more rounds")
            return .inconclusive
        }
        return .held
    }
}

/// Up to three measurements of one comparison, each with its own inputs, addresses and order.
///
/// One with |t| below 4.5 means that there is no dependence; three above 10 mean that there is one. Both limits are the
/// paper's.
///
/// - False positives: without a dependence t is normally distributed whatever the machine does, because the class is
///   drawn. |t| reaches 4.5 in one test of 150,000, so in at most one measurement of 7,000, which has 21 tests. That is
///   too often for a proof that runs with every change, but it does not happen three times in a row.
/// - False negatives: t grows with the square root of the number of samples. A dependence with t = 10 on average is
///   below 4.5 in one measurement of 50 million. A weaker one needs more rounds: four times as many double its t. Early
///   exits have a t of some hundreds.
/// - Anything between is reported as undecided.
struct Trial: Sendable {
    enum Verdict: Sendable {
        /// No dependence was found.
        case independent
        case undecided
        case dependent
    }

    private static let measurementsMax = 3
    private static let independentBelow = 4.5
    private static let dependentAbove = 10.0

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
            if t < Self.independentBelow {
                verdict = .independent
                return
            }
        }
        if t > Self.dependentAbove { verdict = .dependent }
    }
}

extension Double {
    fileprivate func rounded(toPlaces places: Int) -> Double {
        var unit = 1.0
        for _ in 0..<places { unit *= 10 }
        return (self * unit).rounded() / unit
    }
}
