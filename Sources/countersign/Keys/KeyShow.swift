import AdministrationAPI
import ArgumentParser

struct KeyShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a key without its secret.",
        discussion: """
            Example:
              countersign key show 0Fz8kQ2mXbA
            """)

    @Argument(help: "The id of the key.")
    var id: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws { try IDArguments.check([id]) }

    func run() async throws {
        try await control.withConnection { connection in
            try Self.show(try await connection.send(.GET, "/v1/keys/\(id)"), json: output.json)
        }
    }

    static func show(_ key: CredentialResource, json: Bool) throws {
        if json { return try Console.json(key) }
        var list = FieldList()
        CredentialText.fields(key, into: &list)
        try Console.line(list.render())
    }
}
