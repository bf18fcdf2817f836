import AdministrationAPI
import ArgumentParser

struct ConsentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consent", abstract: "What people have permitted clients to do.",
        discussion: """
            Example:
              countersign consent list --subject alice
            """,
        subcommands: [ConsentList.self, ConsentRevoke.self])
}

extension ConsentCommand {
    struct ConsentList: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List what a person has agreed to.",
            discussion: """
                Example:
                  countersign consent list --subject alice
                """)

        @Option(help: ArgumentHelp("Who agreed.", valueName: "subject"))
        var subject: String

        @OptionGroup var output: OutputOptions
        @OptionGroup var control: ControlOptions

        func run() async throws {
            try await control.withConnection { connection in
                let list: AdministrationAPI.ConsentList = try await connection.send(
                    .GET, "/v1/consents", query: [("sub", subject)])
                if output.json {
                    for consent in list.items { try Console.json(consent) }
                    return
                }
                var table = Table(["CLIENT", "NAME", "SCOPE", "SINCE"])
                for consent in list.items {
                    table.add([
                        consent.clientID, consent.clientName, consent.scope.description, TimeText.utc(consent.givenAt),
                    ])
                }
                try Console.line(table.render())
            }
        }
    }

    struct ConsentRevoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "revoke", abstract: "Revoke a consent, and the tokens that the client has by it.",
            discussion: """
                When the command returns, this node accepts none of the client's tokens for this subject.

                Example:
                  countersign consent revoke --subject alice --client 3bN0vYq7LkT
                """)

        @Option(help: ArgumentHelp("Who agreed.", valueName: "subject"))
        var subject: String

        @Option(help: ArgumentHelp("To which client.", valueName: "id"))
        var client: String

        @OptionGroup var control: ControlOptions

        func run() async throws {
            try await control.withConnection { connection in
                try await connection.sendWithoutAnswer(
                    .DELETE, "/v1/consents", query: [("sub", subject), ("client_id", client)])
                try Console.line("Revoked: what \(subject) had agreed to for \(client).")
            }
        }
    }
}
