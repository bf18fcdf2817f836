import AdministrationAPI
import ArgumentParser

struct ClientRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Make a new secret for a client.",
        discussion: """
            The old secret goes on working until the overlap ends.

            Example:
              countersign client rotate 3bN0vYq7LkT --overlap 1h
            """)

    @Argument(help: "The id of the client.")
    var id: String

    @Option(help: ArgumentHelp("How long the old secret goes on working; 0 ends it at once.", valueName: "duration"))
    var overlap = DurationArgument(seconds: RotationRequest.overlapSecondsDefault)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let request = RotationRequest(overlapSeconds: overlap.seconds)
        try await control.withConnection { connection in
            let path = "/v1/clients/\(URLText.encode(id))/secrets"
            try ClientCreate.show(try await connection.send(.POST, path, body: request), json: output.json)
        }
    }
}
