import ArgumentParser
import Foundation

/// The command line: one verb for each thing an operator does.
@main
struct Countersign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "countersign",
        abstract: "Issue, verify, rotate and revoke API keys and OAuth tokens.",
        discussion: """
            Example:
              countersign key create --owner acme --scope "orders:read" --expires-in 90d

            All verbs reach the daemon through its control socket. When no daemon runs, they open the store themselves.
            Exit codes: 0 done, 1 inactive or not found, 2 usage, 3 failed.
            """,
        version: Version.current,
        subcommands: [
            ServeCommand.self, KeyCommand.self, ClientCommand.self, TokenCommand.self, VerifyCommand.self,
            ConsentCommand.self, StoreCommand.self, PepperCommand.self, AuditCommand.self, ConfigCommand.self,
            HealthCommand.self,
        ])

    static func main() async {
        InProcessControl.composed.withLock { $0 = InProcessControl.openStore }
        do throws(CommandFailure) {
            try ProcessText.checkEnvironment()
            Foundation.exit(await run(try ProcessText.arguments()).rawValue)
        } catch {
            Console.error("Error: \(error.message)")
            Foundation.exit(error.status.rawValue)
        }
    }

    /// Runs one command and tells how it ended.
    static func run(_ arguments: [String]) async -> CommandStatus {
        // A pipe that was closed is an error of the write, not a signal that ends the process between two steps.
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

    /// Help goes to standard output, complaints about the arguments to standard error.
    private static func report(_ error: any Error) -> CommandStatus {
        let code = exitCode(for: error)
        // The parser repeats arguments that it does not understand: one may be a credential.
        let message = RedactedText.withoutCredentials(fullMessage(for: error))
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
