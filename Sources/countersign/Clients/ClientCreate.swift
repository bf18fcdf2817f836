import AdministrationAPI
import ArgumentParser
import CredentialModel

struct ClientCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Register a client.",
        discussion: """
            The secret is shown once; it is not stored. A redirect URI is https, http on 127.0.0.1, [::1] or localhost, or
            of a scheme that is a domain of yours in reverse order, as com.example.app:/callback.

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

    @Option(help: ArgumentHelp("What the client is called.", valueName: "name"))
    var name: String

    @Option(help: ArgumentHelp("What the client is for, and whom to ask.", valueName: "text"))
    var description: String?

    @Option(help: ArgumentHelp("A grant that it may use. Can be repeated.", valueName: "grant"))
    var grant: [Grant] = []

    @Option(help: ArgumentHelp("Where browsers are sent back to. Can be repeated.", valueName: "uri"))
    var redirectURI: [String] = []

    @Option(help: ArgumentHelp("What its tokens may do: words with spaces between.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(help: ArgumentHelp("A service that its tokens are for. Can be repeated.", valueName: "uri"))
    var audience: [String] = []

    @Option(help: ArgumentHelp("A right over this service. Can be repeated.", valueName: "right"))
    var may: [ServiceRight] = []

    @Option(help: ArgumentHelp("The name in the certificate that it presents.", valueName: "san"))
    var certificateSAN: String?

    @Flag(name: .customLong("public"), help: "It cannot keep a secret and gets none.")
    var isPublic = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        var request = ClientRequest(
            name: name, grants: grant.map(\.rawValue), redirectURIs: redirectURI, scope: scope?.words ?? [],
            audience: audience, rights: may.map(\.rawValue), certificateSAN: certificateSAN, isPublic: isPublic)
        request.description = description
        try await control.withConnection { connection in
            try Self.show(try await connection.send(.POST, "/v1/clients", body: request), json: output.json)
        }
    }

    /// Prints a client with its new secret: the only time that it can be seen.
    static func show(_ issued: ClientIssued, json: Bool) throws {
        try Console.showOnce(newborn(issued)) {
            if json { return try Console.json(issued) }
            var list = FieldList()
            list.add("client id", issued.client.clientID)
            list.add("secret", issued.clientSecret?.reveal())
            ClientText.fields(issued.client, into: &list)
            try Console.line(list.render())
        }
        if !json, issued.clientSecret != nil { Console.error("Store the secret now: it is not shown again.") }
    }

    /// A client's secret is ended with the next one, or with the client.
    private static func newborn(_ issued: ClientIssued) -> Newborn {
        let id = issued.client.clientID
        guard issued.clientSecret != nil else {
            return Newborn(loss: "The client \(id) is made.", remedy: "To end it: countersign client revoke \(id)")
        }
        return Newborn(
            loss: "The client \(id) has a new secret, which is lost.",
            remedy: "Make another, which ends all secrets before it: countersign client rotate \(id) --overlap 0. "
                + "Or end the client: countersign client revoke \(id)")
    }
}
