import AdministrationAPI
import ArgumentParser
import NetworkAddress

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Tell whether a credential is accepted, and why.",
        discussion: """
            Reads one credential from standard input: an argument could be seen by every user of the machine. Exits with
            1 when it is not accepted.

            A credential that is limited to networks is accepted from there only: say with --client-ip where it comes from. A
            client secret, a refresh token and a code are accepted by no gateway.

            Examples:
              countersign verify --scope "orders:read" < key.txt
              countersign verify --client-ip 192.0.2.7 < key.txt
            """)

    @Option(help: ArgumentHelp("The scope that is needed: words with spaces between.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(
        name: .customLong("as"), help: ArgumentHelp("Judge as this client would: its audiences.", valueName: "client"))
    var client: String?

    @Option(
        name: .customLong("client-ip"),
        help: ArgumentHelp("The address that it is used from; network limits are judged by it.", valueName: "address"),
        transform: Self.address)
    var clientIP: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let credential = try PresentedCredential.read()
        let request = ExplainRequest(
            credential: Secret(credential), scope: scope.map { SpaceSeparated($0.words) }, clientID: client,
            clientIP: clientIP)
        try await control.withConnection { connection in
            let explanation: ExplanationResource = try await connection.send(.POST, "/v1/explain", body: request)
            if output.json { try Console.json(explanation) } else { try Console.line(text(explanation)) }
            if !explanation.isActive { throw CommandStatus.negative }
        }
    }

    private static func address(_ text: String) throws -> String {
        guard IPAddress(text) != nil else { throw ValidationError("It is no IP address, as 192.0.2.7 or 2001:db8::7.") }
        return text
    }

    private func text(_ explanation: ExplanationResource) -> String {
        Self.text(explanation, hasAddress: clientIP != nil)
    }

    static func text(_ explanation: ExplanationResource, hasAddress: Bool) -> String {
        var list = FieldList()
        list.add("verdict", explanation.isActive ? "active" : "inactive")
        list.add("reason", sentence(explanation, hasAddress: hasAddress))
        if let credential = explanation.credential { CredentialText.fields(credential, into: &list) }
        return list.render()
    }

    private static func sentence(_ explanation: ExplanationResource, hasAddress: Bool) -> String {
        switch explanation.reason {
        case "valid": "valid"
        case "unknown" where explanation.credential != nil:
            "unknown: it is of a kind that is not for callers, which no gateway accepts"
        case "unknown": "unknown: there is no such credential, or its secret is wrong"
        case "malformed": "malformed: not the shape of a credential, or its checksum is wrong"
        case "expired": "expired"
        case "not_yet_valid": "not yet valid"
        case "revoked": "revoked"
        case "insufficient_scope": "insufficient scope: it lacks a word of what is needed"
        case "wrong_audience": "wrong audience: it is meant for other services"
        case "wrong_network" where !hasAddress:
            "wrong network: it is limited to addresses, and none was given: use --client-ip"
        case "wrong_network": "wrong network: it is limited to addresses, and this is none of them"
        default: explanation.reason
        }
    }
}
