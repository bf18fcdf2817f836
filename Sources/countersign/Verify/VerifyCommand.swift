import AdministrationAPI
import ArgumentParser

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Tell whether a credential is accepted, and why.",
        discussion: """
            Reads one credential from standard input: an argument could be seen by every user of the machine. Exits with
            1 when it is not accepted.

            Example:
              countersign verify --scope "orders:read" < key.txt
            """)

    @Option(help: ArgumentHelp("The scope that is needed: words with spaces between.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(
        name: .customLong("as"), help: ArgumentHelp("Judge as this client would: its audiences.", valueName: "client"))
    var client: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let credential = try PresentedCredential.read()
        let request = ExplainRequest(
            credential: Secret(credential), scope: scope.map { SpaceSeparated($0.words) }, clientID: client)
        try await control.withConnection { connection in
            let explanation: ExplanationResource = try await connection.send(.POST, "/v1/explain", body: request)
            if output.json { try Console.json(explanation) } else { try Console.line(Self.text(explanation)) }
            if !explanation.isActive { throw CommandStatus.negative }
        }
    }

    static func text(_ explanation: ExplanationResource) -> String {
        var list = FieldList()
        list.add("verdict", explanation.isActive ? "active" : "inactive")
        list.add("reason", sentence(explanation.reason))
        if let credential = explanation.credential { CredentialText.fields(credential, into: &list) }
        return list.render()
    }

    private static func sentence(_ reason: String) -> String {
        switch reason {
        case "valid": "valid"
        case "unknown": "unknown: there is no such credential, or its secret is wrong"
        case "malformed": "malformed: not the shape of a credential, or its checksum is wrong"
        case "expired": "expired"
        case "not_yet_valid": "not yet valid"
        case "revoked": "revoked"
        case "insufficient_scope": "insufficient scope: it lacks a word of what is needed"
        case "wrong_audience": "wrong audience: it is meant for other services"
        case "wrong_network": "wrong network: it is limited to addresses, and this is none of them"
        default: reason
        }
    }
}
