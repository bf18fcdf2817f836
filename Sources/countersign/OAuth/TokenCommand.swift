import AdministrationAPI
import ArgumentParser
import CredentialModel

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "OAuth access tokens.",
        discussion: """
            Example:
              countersign token issue --client 3bN0vYq7LkT --expires-in 1h
            """,
        subcommands: [TokenIssue.self, TokenRevoke.self])
}

struct TokenIssue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Issue an access token without an OAuth flow.",
        discussion: """
            The token is shown once. It is not stored.

            Example:
              countersign token issue --client 3bN0vYq7LkT --scope "a:read" --expires-in 1h
            """)

    @Option(help: ArgumentHelp("The client that the token is for.", valueName: "id"))
    var client: String

    @Option(help: ArgumentHelp("Whom the token speaks for (default: the client itself).", valueName: "subject"))
    var subject: String?

    @Option(help: ArgumentHelp("What it may do: space-separated words.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(
        help: ArgumentHelp("How long it is valid: 24h, 15m, 30s.", valueName: "duration"),
        transform: DurationArgument.parse)
    var expiresIn: DurationArgument?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let request = TokenRequest(
            clientID: client, subject: subject, scope: scope?.words ?? [], expiresInSeconds: expiresIn?.seconds)
        try await control.withConnection { connection in
            let token: TokenIssued = try await connection.send(.POST, "/v1/tokens", body: request)
            let unprinted = UnprintedSecret(
                loss: "The token \(token.id) is made, and it is lost.",
                remedy: "End it: countersign token revoke \(token.id)")
            try Console.showOnce(ifLost: unprinted) {
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

struct TokenRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke tokens.",
        discussion: """
            When the command returns, this node accepts them no longer.

            Example:
              countersign token revoke 7RkP2nYw0Lc
            """)

    @Argument(help: "The ids of the tokens.")
    var ids: [String]

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws { try IDArguments.check(ids) }

    func run() async throws {
        try await control.withConnection { connection in
            let revocation = Revocation(path: "/v1/tokens/revocations", ids: ids, chain: false)
            try await revocation.run(connection, json: output.json)
        }
    }
}
