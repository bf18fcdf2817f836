import AdministrationAPI
import ArgumentParser

struct KeyRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke keys, or all that an owner or a client has.",
        discussion: """
            When the command returns, no reader of the node accepts them any more.

            Exits with 1 for an id that is not known, for a chain that could not be followed to its ends, and for an
            owner to whom nothing was ever issued.

            Examples:
              countersign key revoke 0Fz8kQ2mXbA --chain
              countersign key revoke --owner acme --issued-before 2026-11-01T00:00:00Z
            """)

    @Argument(help: "The ids of the keys.")
    var ids: [String] = []

    @Flag(help: "Revoke predecessors and successors too.")
    var chain = false

    @Option(help: ArgumentHelp("Revoke everything issued to this owner.", valueName: "owner"))
    var owner: String?

    @Option(help: ArgumentHelp("Revoke everything issued through this client.", valueName: "id"))
    var client: String?

    @Option(help: ArgumentHelp("Only what was issued before: RFC 3339 or Unix seconds.", valueName: "time"))
    var issuedBefore: TimeArgument?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        try IDArguments.check(ids)
    }

    /// Not in `validate`, which comes before the parser complains of an option that it does not know.
    private func requireSubject() throws(CommandFailure) {
        guard [!ids.isEmpty, owner != nil, client != nil].count(where: \.self) == 1 else {
            throw CommandFailure("Give ids, or --owner, or --client.", status: .usage)
        }
        guard !chain || !ids.isEmpty else { throw CommandFailure("--chain goes with ids.", status: .usage) }
        guard issuedBefore == nil || ids.isEmpty else {
            throw CommandFailure("--issued-before goes with --owner or --client.", status: .usage)
        }
    }

    func run() async throws {
        try requireSubject()
        try await control.withConnection { connection in
            if let owner {
                try await bulk(connection, "/v1/owners/\(URLText.encode(owner))/revocations", "the owner '\(owner)'")
            } else if let client {
                try await bulk(connection, "/v1/clients/\(URLText.encode(client))/revocations", "the client \(client)")
            } else {
                let revocation = Revocation(path: "/v1/keys/revocations", ids: ids, chain: chain)
                try await revocation.run(connection, json: output.json)
            }
        }
    }

    private func bulk(_ connection: ControlConnection, _ path: String, _ whose: String) async throws {
        let request = BulkRevocationRequest(issuedBefore: issuedBefore?.seconds)
        let result: BulkRevocationResult = try await connection.send(.POST, path, body: request)
        if output.json { return try Console.json(result) }
        let limit = issuedBefore.map { " before \(TimeText.utc($0.seconds))" } ?? ""
        try Console.line(
            SafeText.visible(
                "Revoked \(result.countText) issued to \(whose)\(limit) (journal number \(result.journalNumber))."))
    }
}
