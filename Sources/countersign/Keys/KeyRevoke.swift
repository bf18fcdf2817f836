import AdministrationAPI
import ArgumentParser
import NetworkAddress

struct KeyRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke keys, or everything of an owner or a client.",
        discussion: """
            When the command returns, this node accepts them no longer.

            Exits with 1 for an unknown id, for a chain that could not be followed to its ends, and for an owner to whom
            nothing was ever issued.

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

    @Option(
        help: ArgumentHelp("Only what was issued before this time: RFC 3339 or Unix seconds.", valueName: "time"),
        transform: TimeArgument.parse)
    var issuedBefore: TimeArgument?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        try IDArguments.check(ids)
    }

    /// Not in `validate`: it runs before the parser looks for unknown options, and its error would hide theirs.
    private func requireSubject() throws(CommandFailure) {
        guard [!ids.isEmpty, owner != nil, client != nil].count(where: \.self) == 1 else {
            throw CommandFailure("Give either ids, or --owner, or --client.", status: .usage)
        }
        guard !chain || !ids.isEmpty else {
            throw CommandFailure("--chain needs ids of keys; it does not go with --owner or --client.", status: .usage)
        }
        guard issuedBefore == nil || ids.isEmpty else {
            throw CommandFailure("--issued-before needs --owner or --client; it does not go with ids.", status: .usage)
        }
    }

    func run() async throws {
        try requireSubject()
        try await control.withConnection { connection in
            if let owner {
                try await bulk(
                    connection, "/v1/owners/\(PercentEncoding.encode(owner))/revocations", "the owner '\(owner)'")
            } else if let client {
                try await bulk(
                    connection, "/v1/clients/\(PercentEncoding.encode(client))/revocations", "the client \(client)")
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

/// Revokes credentials by id, in as few requests as the API allows, and prints the result of each.
struct Revocation {
    let path: String
    let ids: [String]
    let chain: Bool

    /// - Throws: ``CommandStatus/negative`` when an id is not known, or a chain could not be followed to its ends.
    func run(_ connection: ControlConnection, json: Bool) async throws {
        var isIncomplete = false
        for start in stride(from: 0, to: ids.count, by: RevocationRequest.idsMax) {
            let part = Array(ids[start..<min(start + RevocationRequest.idsMax, ids.count)])
            let request = RevocationRequest(ids: part, chain: chain)
            let result: RevocationResult = try await connection.send(.POST, path, body: request)
            if json { try Console.json(result) } else { try Self.show(result) }
            isIncomplete = isIncomplete || !result.unknown.isEmpty || !result.chainBrokenAt.isEmpty
        }
        if isIncomplete { throw CommandStatus.negative }
    }

    private static func show(_ result: RevocationResult) throws {
        try Console.line(table(result).render(withHeader: false))
        if !result.livingRelatives.isEmpty {
            let ids = result.livingRelatives.joined(separator: " ")
            Console.error("Predecessors or successors still work: \(ids). --chain ends them.")
        }
        if !result.chainBrokenAt.isEmpty {
            let ids = result.chainBrokenAt.joined(separator: " ")
            Console.error(
                "The chain could not be followed beyond these keys, which are gone or damaged: \(ids). Their "
                    + "predecessors or successors may still work. Find them with 'countersign key list --owner' and "
                    + "revoke them by id, or revoke everything of the owner with --owner.")
        }
    }

    private static func table(_ result: RevocationResult) -> Table {
        var table = Table(["ID", "RESULT"])
        for id in result.revoked { table.add([id, "revoked"]) }
        for id in result.alreadyRevoked { table.add([id, "was revoked already"]) }
        for id in result.unknown { table.add([id, "unknown"]) }
        return table
    }
}

extension BulkRevocationResult {
    /// What was ended, for a sentence: "3 api_key, 1 access_token", "at least …", or "nothing active".
    var countText: String {
        guard !revoked.isEmpty else {
            return isCountComplete ? "nothing active (all of it had ended before)" : "everything"
        }
        let parts = revoked.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return (isCountComplete ? "" : "at least ") + parts.joined(separator: ", ")
    }
}
