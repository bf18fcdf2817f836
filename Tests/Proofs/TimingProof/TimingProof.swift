internal import Glibc
import ProofSupport

// Tries to tell from its time where a comparison found the first difference.
//
// Whoever learns how many leading bytes of a guess were right finds a secret byte by byte. So the comparisons of a tag
// and of a remembered caller's bytes must take equally long wherever the difference is. The sources say so; what an
// optimiser makes of them, and a processor of that, is measured here, after Reparaz, Balasch and Verbauwhede, "Dude, is
// my code constant time?" (DATE 2017).
//
// Two classes of input, drawn at random before each sample: all is right but the first byte, or all but the last.
// Welch's t-test asks whether both take the same time on average. The draw makes this sound on a noisy machine:
// interrupts, other tenants and changes of the clock rate do not know the class. They widen both sides alike and may
// hide a difference, but do not make one.
//
// The unit is the comparison and not `Verifier.verify`. The tag of a presented secret is an HMAC under a pepper: one
// with its first n bytes right takes 2^(8n) guesses, so nobody can make these classes from outside, and no test either.
// That is a defence of its own. This proof grants the attacker what it denies him, tags of his choice, and measures the
// one step that sees the stored tag beside his.
//
// A proof that cannot fail proves nothing. With `--mutant` a comparison that leaves at the first difference is measured
// instead, and must be caught.

@main
enum TimingProof {
    static func main() {
        guard let arguments = Arguments(CommandLine.arguments) else {
            print(Arguments.usage)
            exit(64)
        }
        print("\(arguments.rounds) rounds, seed \(arguments.seed)")
        var random = Randomness(seed: arguments.seed)
        var verdicts: [Verdict] = []
        var comparisons = 0
        var tMax = 0.0
        for subject in arguments.mutant.map({ [Subject($0)] }) ?? Subject.contract {
            let trial = Trial(of: subject, rounds: arguments.rounds, &random)
            verdicts.append(trial.verdict)
            comparisons += trial.comparisons
            tMax = max(tMax, trial.t)
        }
        print("\(comparisons) comparisons, max |t| \(tMax.rounded(toPlaces: 1))")
        if verdicts.contains(.dependent) {
            print("VIOLATION: the time of a comparison depends on where the first difference is")
            exit(1)
        }
        if verdicts.contains(.undecided) {
            print("neither found nor excluded: more rounds will tell")
            exit(2)
        }
    }
}
