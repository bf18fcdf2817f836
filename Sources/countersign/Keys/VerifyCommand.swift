import AdministrationAPI
import ArgumentParser
import Foundation
import NetworkAddress

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Report whether a credential is accepted, and why.",
        discussion: """
            Reads one credential from standard input: every user of the machine could see an argument. Exits with 1 when it is
            not accepted.

            A credential that is limited to networks is accepted from there only. Give the address that it is used from with
            --client-ip. No gateway accepts client secrets, refresh tokens and authorization codes.

            Examples:
              countersign verify --scope "orders:read" < key.txt
              countersign verify --client-ip 192.0.2.7 < key.txt
            """)

    @Option(help: ArgumentHelp("The required scope: space-separated words.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp("Verify as for this client: for its audiences.", valueName: "client"))
    var client: String?

    @Option(
        name: .customLong("client-ip"),
        help: ArgumentHelp("The address that it is used from, for network limits.", valueName: "address"),
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
        guard IPAddress(text) != nil else { throw ValidationError("Write an IP address, as 192.0.2.7 or 2001:db8::7.") }
        return text
    }

    private func text(_ explanation: ExplanationResource) -> String {
        var list = FieldList()
        list.add("verdict", explanation.isActive ? "active" : "inactive")
        list.add("reason", sentence(explanation))
        if let credential = explanation.credential { CredentialText.fields(credential, into: &list) }
        return list.render()
    }

    private func sentence(_ explanation: ExplanationResource) -> String {
        switch explanation.reason {
        case "valid": "valid"
        case "unknown" where explanation.credential != nil:
            "unknown: it is of a kind that is not for callers, which no gateway accepts"
        case "unknown": "unknown: there is no such credential, or its secret is wrong"
        case "malformed": "malformed: it does not have the form of a credential, or its checksum is wrong"
        case "expired": "expired"
        case "not_yet_valid": "not yet valid"
        case "revoked": "revoked"
        case "insufficient_scope": "insufficient scope: it lacks a word of the required scope"
        case "wrong_audience": "wrong audience: it is for other services"
        case "wrong_network" where clientIP == nil:
            "wrong network: it is limited to networks, and no address was given: use --client-ip"
        case "wrong_network": "wrong network: it is limited to networks, and this is none of them"
        default: explanation.reason
        }
    }
}

/// One credential on standard input.
enum PresentedCredential {
    /// More than any credential has.
    private static let bytesMax = 8 * 1_024

    static func read() throws -> String {
        if Console.inputIsTerminal { Console.error("Paste the credential and press Return:") }
        var reader = LineReader(FileHandle.standardInput)
        let first = try reader.next()
        // A terminal gives no end of file after one line. In a file, a second line means that it is the wrong file.
        let second = Console.inputIsTerminal ? nil : try reader.next()
        return try parse(first: first, hasMore: second != nil)
    }

    static func parse(first: [UInt8]?, hasMore: Bool) throws -> String {
        guard let first, !first.isEmpty else {
            throw CommandFailure("Standard input holds no credential.", status: .usage)
        }
        guard !hasMore else {
            throw CommandFailure("Standard input holds more than one line. Give one credential.", status: .usage)
        }
        guard first.count <= bytesMax else {
            throw CommandFailure("The line is longer than a credential can be.", status: .usage)
        }
        guard let text = String(validating: first, as: UTF8.self) else {
            throw CommandFailure("Standard input is not well-formed UTF-8. A credential is ASCII text.", status: .usage)
        }
        return text
    }
}
