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
        var rest = arguments.dropFirst()
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch name {
            case "--rounds":
                guard let count = Int(value), count >= Self.roundsMin else { return nil }
                rounds = count
            case "--seed":
                guard let number = UInt64(value) else { return nil }
                seed = number
            case "--mutant":
                guard let wanted = Mutant(rawValue: value) else { return nil }
                mutant = wanted
            default: return nil
            }
        }
    }
}

/// SplitMix64: the same on every machine, so that a seed names the inputs and their order.
struct Randomness: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
