import AdministrationAPI
import ArgumentParser

struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Tell whether the daemon takes requests.",
        discussion: """
            Exits with 0 when it does and with 3 when it does not or does not run: for health checks of containers.

            Example:
              countersign health --control unix:/run/countersign/control.sock
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withDaemon { connection in
            let health: HealthResource = try await connection.send(.GET, "/readyz")
            if output.json { try Console.json(health) } else { try Console.line(health.status) }
        }
    }
}
