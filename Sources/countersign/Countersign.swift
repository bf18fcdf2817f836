import ArgumentParser
import Foundation

/// The command line: one command for each thing that an operator does.
@main
struct Countersign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "countersign",
        abstract: "Issue, verify, rotate and revoke API keys and OAuth tokens.",
        discussion: """
            Example:
              countersign key create --owner acme --scope "orders:read" --expires-in 90d

            All commands reach the daemon through its control socket. When no daemon runs, they open the store themselves.
            Exit codes: 0 done, 1 inactive or not found, 2 usage, 3 failed.
            """,
        version: Version.described,
        subcommands: [
            ServeCommand.self, KeyCommand.self, ClientCommand.self, TokenCommand.self, VerifyCommand.self,
            ConsentCommand.self, StoreCommand.self, ClusterCommand.self, PepperCommand.self, AuditCommand.self,
            ConfigCommand.self,
            HealthCommand.self,
        ])

    static func main() async {
        do throws(CommandFailure) {
            try ProcessText.checkEnvironment()
            Foundation.exit(await run(try ProcessText.arguments()).rawValue)
        } catch {
            Console.error("Error: \(error.message)")
            Foundation.exit(error.status.rawValue)
        }
    }

    /// Runs one command and returns how it ended.
    static func run(_ arguments: [String]) async -> CommandStatus {
        // Writing to a closed pipe then fails with EPIPE; the signal would end the process in the middle of a command.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot(arguments)
            if var asyncCommand = command as? any AsyncParsableCommand {
                try await asyncCommand.run()
            } else {
                try command.run()
            }
            return .done
        } catch let failure as CommandFailure {
            Console.error("Error: \(failure.message)")
            return failure.status
        } catch let status as CommandStatus {
            return status
        } catch is OutputClosed {
            return .done
        } catch {
            return report(error)
        }
    }

    /// Help goes to standard output, errors in the arguments to standard error.
    private static func report(_ error: any Error) -> CommandStatus {
        let code = exitCode(for: error)
        // The parser repeats arguments that it does not understand: one may be a credential.
        let message = SafeText.withoutCredentials(fullMessage(for: error))
        switch code {
        case .success:
            try? Console.line(message)
            return .done
        case .validationFailure:
            Console.error(message)
            return .usage
        default:
            Console.error(message)
            return .failed
        }
    }
}

/// The exit code of a command. Thrown where the command has printed everything already.
enum CommandStatus: Int32, Error, Equatable {
    case done = 0
    /// The credential is inactive, or the thing that was named does not exist.
    case negative = 1
    /// The arguments or settings are wrong.
    case usage = 2
    case failed = 3
}

/// Why a command failed, in a sentence that says what to do.
struct CommandFailure: Error, Equatable {
    let message: String
    let status: CommandStatus
    /// Whether the request may have taken effect: it may have reached the daemon, and its answer was not read.
    let mayBeDone: Bool

    init(_ message: String, status: CommandStatus = .failed, mayBeDone: Bool = false) {
        self.message = message
        self.status = status
        self.mayBeDone = mayBeDone
    }
}
