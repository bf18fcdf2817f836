import Foundation
import ProofSupport

// Tries to break the contract between two processes: one owns a store and revokes, another follows it and verifies.
//
//   FollowingProof own ROUNDS                         runs both, and counts what was accepted after its end
//   FollowingProof follow STORE PEPPERS TABLE         the other process of that
//   FollowingProof answer STORE PEPPERS               answers questions on standard input, for tests
//   FollowingProof measure                            what a verification costs here and there
//
// Ends with 0 only if nothing was accepted after the acknowledgement of its end, and if enough met to prove it.

@main
enum FollowingProof {
    static func main() async {
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            switch (arguments.first, arguments.count) {
            case ("own", 2):
                guard let rounds = Int(arguments[1]), rounds > 0 else { exit(64) }
                exit(try await OwningSide(rounds: rounds).run())
            case ("follow", 4):
                try FollowingSide(store: arguments[1], peppers: arguments[2], table: arguments[3]).run()
            case ("answer", 3):
                Answering.run(store: arguments[1], peppers: arguments[2])
            case ("measure", 1):
                try await Measuring.run()
            case ("measure-follower", 3):
                try Measuring.follow(store: arguments[1], peppers: arguments[2])
            default:
                print("usage: FollowingProof own ROUNDS | answer STORE PEPPERS | measure")
                exit(64)
            }
        } catch {
            print("could not be run: \(error)")
            exit(2)
        }
    }
}

extension ProofFolder {
    var table: String { path + "/table" }

    /// This program once more, as another process.
    static func start(_ arguments: [String], output: Pipe? = nil) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments
        if let output { process.standardOutput = output }
        try process.run()
        return process
    }
}
