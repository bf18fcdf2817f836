import AdministrationAPI
import ArgumentParser
import CredentialModel

struct TokenIssue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Issue an access token without an OAuth flow.",
        discussion: """
            The token is shown once; it is not stored.

            Example:
              countersign token issue --client 3bN0vYq7LkT --scope "a:read" --expires-in 1h
            """)

    @Option(help: ArgumentHelp("The client that the token is for.", valueName: "id"))
    var client: String

    @Option(help: ArgumentHelp("Who the token speaks for; the client itself if not given.", valueName: "subject"))
    var subject: String?

    @Option(help: ArgumentHelp("What it may do: words with spaces between.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(help: ArgumentHelp("How long it lives: 24h, 15m, 30s.", valueName: "duration"))
    var expiresIn: DurationArgument?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let request = TokenRequest(
            clientID: client, subject: subject, scope: scope?.words ?? [], expiresInSeconds: expiresIn?.seconds)
        try await control.withConnection { connection in
            let token: TokenIssued = try await connection.send(.POST, "/v1/tokens", body: request)
            let made = Newborn(
                loss: "The token \(token.id) is made, and it is lost.",
                remedy: "End it: countersign token revoke \(token.id)")
            try Console.showOnce(made) {
                if output.json { return try Console.json(token) }
                var list = FieldList()
                list.add("id", token.id)
                list.add("access token", token.accessToken?.reveal())
                list.add("client", token.clientID)
                list.add("subject", token.subject)
                list.add("scope", token.scope.description)
                list.add("expires", token.expiresAt.map(TimeText.utc) ?? "never")
                try Console.line(list.render())
            }
            if !output.json { Console.error("Store the token now: it is not shown again.") }
        }
    }
}
