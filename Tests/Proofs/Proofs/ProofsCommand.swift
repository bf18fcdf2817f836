import CredentialStore
import Foundation

/// Proofs that need a process of their own, and more rounds than a test has time for. The scripts in deploy/proofs run
/// them, in release and in debug builds: only a debug build has the switches of `PROOF_BREAKS`.
///
/// One program, because each of them links the whole core.
@main
enum ProofsCommand {
    private static let proofs: KeyValuePairs<String, any Proof.Type> = [
        "races": RacesProof.self, "following": FollowingProof.self, "churn": ChurnProof.self,
        "timing": TimingProof.self, "fleet": FleetProof.self,
    ]

    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        guard let type = proofs.first(where: { $0.key == arguments.first })?.value else {
            print("usage: Proofs \(proofs.map(\.key).joined(separator: "|")) ARGUMENT...")
            exit(64)
        }
        guard let proof = type.init(arguments.dropFirst()) else {
            print(type.usage)
            exit(64)
        }
        do {
            exit(try await proof.run().rawValue)
        } catch {
            print("could not run: \(error)")
            exit(ProofOutcome.inconclusive.rawValue)
        }
    }
}

/// One proof with the settings of its command line.
protocol Proof: Sendable {
    static var usage: String { get }

    /// - Parameter arguments: what follows the proof's name. Nil if they are not as `usage` says.
    init?(_ arguments: ArraySlice<String>)

    func run() async throws -> ProofOutcome
}

/// How a proof ended. The raw value is the exit status of the program.
enum ProofOutcome: Int32 {
    case held = 0
    case violated = 1
    /// It could not run, or what happened does not show anything.
    case inconclusive = 2
}

extension CredentialStore {
    /// `close` from an `async` function. It blocks the thread, which is harmless here: nothing else needs it.
    func closeBlockingly() { close() }
}
