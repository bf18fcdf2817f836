import AdministrationAPI
import ArgumentParser

struct ClientRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke a client and all that was issued through it.",
        discussion: """
            Example:
              countersign client revoke 3bN0vYq7LkT
            """)

    @Argument(help: "The id of the client.")
    var id: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            let path = "/v1/clients/\(URLText.encode(id))"
            let result: BulkRevocationResult = try await connection.send(.DELETE, path)
            if output.json { return try Console.json(result) }
            try Console.line(
                "Revoked: the client and \(result.countText) issued through it (journal number \(result.journalNumber))."
            )
        }
    }
}
