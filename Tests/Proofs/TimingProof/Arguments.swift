import ProofSupport

/// The command line: how much is measured, in which order, and what is measured in the product's place.
struct Arguments: Sendable {
    /// With fewer the strictest crop leaves too little to say anything.
    private static let roundsMin = 10_000

    /// Samples of a measurement.
    var rounds = 200_000
    var seed = UInt64.random(in: 0...UInt64.max)
    var mutant: Mutant?

    static let usage = """
        usage: TimingProof [--rounds N] [--seed N] [--mutant word-by-word|byte-by-byte|memcmp]
        At least \(roundsMin) rounds. Exits with 0 when no dependence was found, 1 when one was, 2 when undecided.
        """

    init?(_ arguments: [String]) {
        guard var values = NamedValues(arguments.dropFirst()),
            values.take("--rounds", &rounds, where: { $0 >= Self.roundsMin }), values.take("--seed", &seed),
            values.take("--mutant", &mutant), values.isEmpty
        else { return nil }
    }
}
