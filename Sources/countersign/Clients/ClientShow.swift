import AdministrationAPI
import ArgumentParser

struct ClientShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a client without its secrets.",
        discussion: """
            Example:
              countersign client show 3bN0vYq7LkT
            """)

    @Argument(help: "The id of the client.")
    var id: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            let client: ClientResource = try await connection.send(.GET, "/v1/clients/\(URLText.encode(id))")
            if output.json { return try Console.json(client) }
            var list = FieldList()
            list.add("client id", client.clientID)
            ClientText.fields(client, into: &list)
            for secret in client.secrets { list.add("secret", ClientText.secret(secret)) }
            if let omitted = client.secretsOmitted, omitted > 0 {
                list.add("not shown", "\(omitted) older secrets that have ended")
            }
            try Console.line(list.render())
        }
    }
}
