import AdministrationAPI
import ArgumentParser

struct StoreStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Figures of the store.",
        discussion: """
            Example:
              countersign store stats --json
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            let statistics: StoreStatistics = try await connection.send(.GET, "/v1/store/statistics")
            if output.json {
                for entry in statistics.items { try Console.json(entry) }
                return
            }
            var list = FieldList()
            for entry in statistics.items { list.add(entry.name, String(entry.value)) }
            try Console.line(list.render())
        }
    }
}
