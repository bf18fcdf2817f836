import AdministrationAPI
import ArgumentParser
import CredentialModel
import Foundation

struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "API keys.",
        discussion: """
            Example:
              countersign key list --owner acme
            """,
        subcommands: [
            KeyCreate.self, KeyList.self, KeyShow.self, KeyEditCommand.self, KeyRotate.self, KeyRevoke.self,
            KeyImport.self, KeyExport.self, KeyScan.self,
        ])
}

struct KeyList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List keys.",
        discussion: """
            Examples:
              countersign key list --owner acme --json | jq -r .id
              countersign key list --expiring-in 14d
              countersign key list --rotated
            """)

    @Option(help: ArgumentHelp("Only keys of this owner.", valueName: "owner"))
    var owner: String?

    @Option(help: ArgumentHelp("Only keys issued through this client.", valueName: "id"))
    var client: String?

    @Option(
        help: ArgumentHelp("Only active keys that expire within this time: 14d, 24h.", valueName: "duration"),
        transform: DurationArgument.parse)
    var expiringIn: DurationArgument?

    @Flag(help: "Only rotated keys that still work: LAST USED shows who has not changed to the new key yet.")
    var rotated = false

    @Option(
        help: ArgumentHelp(
            "Only keys whose id begins with this text, or whose owner or name contains it.", valueName: "text"))
    var search: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let list = PagedList<CredentialResource>(
            path: "/v1/keys",
            filters: [
                ("owner", owner), ("client_id", client), ("search", search), ("rotated", rotated ? "true" : nil),
                ("expires_before", expiringIn.map { String(Int64(Date.now.timeIntervalSince1970) + $0.seconds) }),
            ], columns: CredentialText.columns, row: CredentialText.row)
        try await control.withConnection { try await list.print($0, json: output.json) }
    }
}

struct KeyShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a key without its secret.",
        discussion: """
            Example:
              countersign key show 0Fz8kQ2mXbA
            """)

    @Argument(help: "The id of the key.")
    var id: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws { try IDArguments.check([id]) }

    func run() async throws {
        try await control.withConnection { connection in
            try Self.show(try await connection.send(.GET, "/v1/keys/\(id)"), json: output.json)
        }
    }

    static func show(_ key: CredentialResource, json: Bool) throws {
        if json { return try Console.json(key) }
        var list = FieldList()
        CredentialText.fields(key, into: &list)
        try Console.line(list.render())
    }
}

struct KeyExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Print all keys without their secrets, one JSON object a line.",
        discussion: """
            Keys are in the order of their ids, revoked and expired ones included. A key that exists during the whole export is
            in it once. The export is not a backup: it holds neither secrets nor the hashes that verify them.

            Examples:
              countersign key export > inventory.jsonl
              countersign key export --owner acme | jq -r 'select(.state == "active") | .id'
            """)

    @Option(help: ArgumentHelp("Only keys of this owner.", valueName: "owner"))
    var owner: String?

    @Option(help: ArgumentHelp("Only keys issued through this client.", valueName: "id"))
    var client: String?

    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            var progress = ProgressBar("exporting")
            defer { progress.finish() }
            var lines = WholeLines()
            let filters = [("owner", owner), ("client_id", client)]
            try await connection.download(.GET, "/v1/keys/export", query: filters) { piece, _ in
                let whole = lines.take(piece)
                try Console.write(whole)
                guard progress.isDue(.now), let position = Self.position(ofLastLineIn: whole) else { return }
                progress.update(done: position, of: Self.positions)
            }
        }
    }

    private static let positions = 1 << 32

    /// How far the export is: the upper half of the last line's id. Ids are random and come in order, so it grows evenly.
    private static func position(ofLastLineIn lines: Data) -> Int? {
        let start = Data(#"{"id":""#.utf8)
        guard let found = lines.range(of: start, options: .backwards), found.upperBound + 11 <= lines.endIndex,
            let id = CredentialID(String(decoding: lines[found.upperBound..<found.upperBound + 11], as: UTF8.self))
        else { return nil }
        return Int(id.rawValue >> 32)
    }
}

/// Credentials as tables and lists for people.
enum CredentialText {
    static let columns = ["ID", "STATE", "OWNER", "NAME", "SCOPE", "LAST USED", "EXPIRES"]

    static func row(_ credential: CredentialResource) -> [String?] {
        [
            credential.id, state(credential.state), credential.owner, credential.name,
            credential.scope.words.isEmpty ? nil : credential.scope.description,
            credential.lastUsedAt.map(TimeText.utc), expiry(credential),
        ]
    }

    static func fields(_ credential: CredentialResource, into list: inout FieldList) {
        list.add("id", credential.id)
        list.add("kind", credential.kind)
        list.add("state", state(credential.state))
        list.add("owner", credential.owner)
        list.add("name", credential.name)
        list.add("description", credential.description)
        list.add("client", credential.clientID)
        list.add("scope", credential.scope.description)
        list.add("audience", credential.audience.joined(separator: " "))
        list.add("network", credential.networks.joined(separator: " "))
        list.add("issued", TimeText.utc(credential.issuedAt))
        list.add("not before", credential.notBefore.map(TimeText.utc))
        list.add("expires", expiry(credential))
        list.add("last used", credential.lastUsedAt.map(TimeText.utc) ?? "never")
        list.add("revoked", credential.revokedAt.map(TimeText.utc))
        list.add("replaces", credential.predecessor)
        list.add("replaced by", credential.successor)
        list.add("works until", credential.sunset.map(TimeText.utc))
        list.add("imported", credential.isImported ? "yes" : nil)
    }

    /// The time of expiry, with a warning when that is soon.
    private static func expiry(_ credential: CredentialResource) -> String {
        guard let end = credential.expiresAt.map(TimeText.utc) else { return "never" }
        return credential.expiresSoon ? "\(end) (soon: rotate it)" : end
    }

    static func state(_ state: CredentialState) -> String {
        switch state {
        case .active: "active"
        case .expired: "expired"
        case .notYetValid: "not yet valid"
        case .revoked: "revoked"
        }
    }
}
