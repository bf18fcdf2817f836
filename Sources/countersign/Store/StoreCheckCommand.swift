import AdministrationAPI
import ArgumentParser

struct StoreCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read the whole store and report what is wrong.",
        discussion: """
            Exits with 3 when something is wrong.

            Example:
              countersign store check
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            let check: StoreCheck = try await connection.send(.GET, "/v1/store/check")
            if output.json {
                try Console.json(check)
            } else if check.isSound {
                try Console.line("The store is sound.")
            } else {
                for problem in check.problems { try Console.line(SafeText.visible(problem)) }
            }
            if !check.isSound { throw CommandStatus.failed }
        }
    }
}
