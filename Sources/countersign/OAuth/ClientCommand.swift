import AdministrationAPI
import ArgumentParser
import CredentialModel
import NetworkAddress

struct ClientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "OAuth clients.",
        discussion: """
            Example:
              countersign client create --name gateway --may introspect
            """,
        subcommands: [
            ClientCreate.self, ClientList.self, ClientShow.self, ClientRotate.self, ClientRevoke.self,
        ])
}

struct ClientCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Register a client.",
        discussion: """
            The secret is shown once. It is not stored. A redirect URI is https, or http on 127.0.0.1, [::1] or localhost, or
            has a scheme that is a domain of yours in reverse order, as com.example.app:/callback.

            Example:
              countersign client create --name billing --grant client_credentials
            """)

    enum Grant: String, CaseIterable, ExpressibleByArgument {
        case authorizationCode = "authorization_code"
        case clientCredentials = "client_credentials"
        case refreshToken = "refresh_token"
    }

    enum ServiceRight: String, CaseIterable, ExpressibleByArgument {
        case introspect, changes, admin
    }

    @Option(help: ArgumentHelp("Name of the client.", valueName: "name"))
    var name: String

    @Option(help: ArgumentHelp("What the client is for, and whom to ask.", valueName: "text"))
    var description: String?

    @Option(help: ArgumentHelp("A grant type that it may use. Can be repeated.", valueName: "grant"))
    var grant: [Grant] = []

    @Option(help: ArgumentHelp("A URI that browsers may be sent back to. Can be repeated.", valueName: "uri"))
    var redirectURI: [String] = []

    @Option(help: ArgumentHelp("What its tokens may do: space-separated words.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(help: ArgumentHelp("A service that its tokens are for. Can be repeated.", valueName: "uri"))
    var audience: [String] = []

    @Option(help: ArgumentHelp("A right over this service. Can be repeated.", valueName: "right"))
    var may: [ServiceRight] = []

    @Option(help: ArgumentHelp("The name in the client certificate that it presents.", valueName: "san"))
    var certificateSAN: String?

    @Flag(name: .customLong("public"), help: "The client cannot keep a secret, and gets none.")
    var isPublic = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let request = ClientRequest(
            name: name, description: description, grants: grant.map(\.rawValue), redirectURIs: redirectURI,
            scope: scope?.words ?? [], audience: audience, rights: may.map(\.rawValue),
            certificateSAN: certificateSAN, isPublic: isPublic)
        try await control.withConnection { connection in
            try Self.show(try await connection.send(.POST, "/v1/clients", body: request), json: output.json)
        }
    }

    /// Prints a client with its new secret, which cannot be shown again.
    fileprivate static func show(_ issued: ClientIssued, json: Bool) throws {
        try Console.showOnce(ifLost: unprinted(issued)) {
            if json { return try Console.json(issued) }
            var list = FieldList()
            list.add("client id", issued.client.clientID)
            list.add("secret", issued.clientSecret?.reveal())
            ClientText.fields(issued.client, into: &list)
            try Console.line(list.render())
        }
        if !json, issued.clientSecret != nil { Console.error("Store the secret now: it is not shown again.") }
    }

    /// A client's secret has no command of its own to revoke it: a rotation without overlap ends it, or the end of the client.
    private static func unprinted(_ issued: ClientIssued) -> UnprintedSecret {
        let id = issued.client.clientID
        guard issued.clientSecret != nil else {
            return UnprintedSecret(
                loss: "The client \(id) is made.", remedy: "To end it: countersign client revoke \(id)")
        }
        return UnprintedSecret(
            loss: "The client \(id) has a new secret, which is lost.",
            remedy: "Make another, which ends all secrets before it: countersign client rotate \(id) --overlap 0. "
                + "Or end the client: countersign client revoke \(id)")
    }
}

struct ClientRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Issue a new secret for a client.",
        discussion: """
            The old secret works until the overlap ends.

            Example:
              countersign client rotate 3bN0vYq7LkT --overlap 1h
            """)

    @Argument(help: "The id of the client.")
    var id: String

    @Option(
        help: ArgumentHelp(
            "How long the old secret still works: 24h, 15m; 0 ends it at once (default: \(RotationRequest.overlapDefaultText)).",
            valueName: "duration"), transform: DurationArgument.parse)
    var overlap = DurationArgument(seconds: RotationRequest.overlapSecondsDefault)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let request = RotationRequest(overlapSeconds: overlap.seconds)
        try await control.withConnection { connection in
            let path = "/v1/clients/\(PercentEncoding.encode(id))/secrets"
            try ClientCreate.show(try await connection.send(.POST, path, body: request), json: output.json)
        }
    }
}

struct ClientList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List clients.",
        discussion: """
            Example:
              countersign client list
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let list = PagedList<ClientResource>(
            path: "/v1/clients", filters: [], columns: ClientText.columns, row: ClientText.row)
        try await control.withConnection { try await list.print($0, json: output.json) }
    }
}

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
            let client: ClientResource = try await connection.send(.GET, "/v1/clients/\(PercentEncoding.encode(id))")
            if output.json { return try Console.json(client) }
            var list = FieldList()
            list.add("client id", client.clientID)
            ClientText.fields(client, into: &list)
            for secret in client.secrets { list.add("secret", ClientText.secret(secret)) }
            if let omitted = client.secretsOmitted, omitted > 0 {
                list.add("not shown", "\(omitted) older secrets that have expired")
            }
            try Console.line(list.render())
        }
    }
}

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
            let path = "/v1/clients/\(PercentEncoding.encode(id))"
            let result: BulkRevocationResult = try await connection.send(.DELETE, path)
            if output.json { return try Console.json(result) }
            try Console.line(
                "Revoked: the client and \(result.countText) issued through it (journal number \(result.journalNumber))."
            )
        }
    }
}

/// Clients as tables and lists for people.
private enum ClientText {
    static let columns = ["CLIENT ID", "STATE", "NAME", "GRANTS", "SCOPE", "MAY"]

    static func row(_ client: ClientResource) -> [String?] {
        let metadata = client.metadata
        return [
            client.clientID, client.revokedAt == nil ? "active" : "revoked", metadata.name, joined(metadata.grants),
            joined(metadata.scope), joined(metadata.rights),
        ]
    }

    static func fields(_ client: ClientResource, into list: inout FieldList) {
        let metadata = client.metadata
        list.add("name", metadata.name)
        list.add("description", metadata.description)
        list.add("public", metadata.isPublic ? "yes" : nil)
        list.add("grants", joined(metadata.grants))
        list.add("redirect to", joined(metadata.redirectURIs))
        list.add("scope", joined(metadata.scope))
        list.add("audience", joined(metadata.audience))
        list.add("may", joined(metadata.rights))
        list.add("certificate", metadata.certificateSAN)
        list.add("created", TimeText.utc(client.createdAt))
        list.add("revoked", client.revokedAt.map(TimeText.utc))
    }

    static func secret(_ secret: ClientResource.SecretState) -> String {
        let end = secret.sunset ?? secret.expiresAt
        return [secret.id, CredentialText.state(secret.state), end.map { "until \(TimeText.utc($0))" }]
            .compactMap(\.self).joined(separator: " ")
    }

    private static func joined(_ words: [String]) -> String? {
        words.isEmpty ? nil : words.joined(separator: " ")
    }
}
