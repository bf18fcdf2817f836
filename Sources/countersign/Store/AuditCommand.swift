import AdministrationAPI
import ArgumentParser
import CredentialModel
import CredentialStore

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "The audit log: who did what.",
        discussion: """
            Example:
              countersign audit list --json
            """,
        subcommands: [AuditList.self, AuditVerify.self])
}

struct AuditList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List what was done, and by whom.",
        discussion: """
            Tokens that OAuth flows issued are not in it. The journal has those.

            Examples:
              countersign audit list --owner acme --since 2026-11-01
              countersign audit list --action credentials_revoked --json | jq -r .credentials[]
              countersign audit list --follow --json
            """)

    @Option(help: ArgumentHelp("Only entries after this number.", valueName: "number"))
    var after: UInt64?

    @Option(
        help: ArgumentHelp(
            "Only what such an actor has done: credential, client, control_socket, command, program, or an id.",
            valueName: "actor"))
    var actor: String?

    @Option(help: ArgumentHelp("Only this action, as the list names it.", valueName: "action"))
    var action: String?

    @Option(help: ArgumentHelp("Only what concerns this owner.", valueName: "owner"))
    var owner: String?

    @Option(help: ArgumentHelp("Only what was done to this credential or client.", valueName: "id"))
    var id: String?

    @Option(
        help: ArgumentHelp(
            "Only from this time on: a date, or a time such as 2026-11-23T22:37:05Z.", valueName: "time"),
        transform: TimeArgument.parse)
    var since: TimeArgument?

    @Option(help: ArgumentHelp("Only before this time.", valueName: "time"), transform: TimeArgument.parse)
    var until: TimeArgument?

    @Flag(help: "Go on with what is done from now on, until the command is ended.")
    var follow = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        if let action, AuditAction(name: action) == nil {
            let names = AuditAction.allCases.map(\.name)
            let near = NearNames.nearest(to: action, among: names)
            throw ValidationError(
                "--action must be one of \((near.isEmpty ? names : near).joined(separator: ", ")).")
        }
    }

    private static let pause = Duration.seconds(1)

    func run() async throws {
        let filters: [(name: String, value: String?)] = [
            ("actor", actor), ("action", action), ("owner", owner), ("id", id),
            ("since", since.map { String($0.seconds) }), ("until", until.map { String($0.seconds) }),
        ]
        var list = PagedList<AuditEntryResource>(
            path: "/v1/audit", filters: filters, columns: ["NUMBER", "TIME", "ACTOR", "ACTION", "WHAT"], row: Self.row,
            start: after.map { String($0) })
        guard follow else {
            try await control.withConnection { _ = try await list.print($0, json: output.json) }
            return
        }
        // Only a daemon's log goes on.
        try await control.withDaemon { connection in
            while true {
                let (last, after) = try await list.print(connection, json: output.json)
                // Not from the beginning, when a filter matches seldom.
                list.start = String(max(last?.number ?? 0, after.flatMap { UInt64($0) } ?? 0))
                list.hasHeader = false
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    private static func row(_ entry: AuditEntryResource) -> [String?] {
        let actor = entry.actor.id.map { "\(entry.actor.type) \($0)" } ?? entry.actor.type
        return [String(entry.number), TimeText.utc(entry.time), actor, entry.action, what(entry)]
    }

    /// At most ``idsShown`` ids, since one bulk creation names a thousand credentials.
    private static func what(_ entry: AuditEntryResource) -> String? {
        var words: [String] = []
        if let owner = entry.owner { words.append("owner \(owner)") }
        if let client = entry.clientID { words.append("client \(client)") }
        if let pepper = entry.pepper { words.append("pepper \(pepper)") }
        if let limit = entry.issuedBefore { words.append("issued before \(TimeText.utc(limit))") }
        words.append(contentsOf: entry.credentials.prefix(idsShown))
        if entry.credentials.count > idsShown { words.append("and \(entry.credentials.count - idsShown) more") }
        if !entry.changed.isEmpty { words.append("(\(entry.changed.joined(separator: ", ")))") }
        return words.isEmpty ? nil : words.joined(separator: " ")
    }

    private static let idsShown = 3
}

struct AuditVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check that the audit log was not changed.",
        discussion: """
            Each entry has a hash over the one before, keyed with the pepper file's lookup secret. Exits with 3 at the first \
            entry that does not match. Somebody who has the store's file and that secret can write another log, and somebody \
            who can replace the file can put an older log in its place. Keep the head that this command prints elsewhere, \
            and give it with --head: both are found then.

            Example:
              countersign audit verify --head 17:5f1cd7b2a40c9e6f3b8812d04c7ae95f60b3d1c82f94a7e65d0b1c3f8a2e4d97
            """)

    @Option(help: ArgumentHelp("A head that an earlier run printed.", valueName: "number:hash"))
    var head: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        if let head, AuditHead(head) == nil {
            throw ValidationError("--head takes NUMBER:HASH, all of the text after 'head' in an earlier result.")
        }
    }

    func run() async throws {
        try await control.withConnection { connection in
            let check: AuditCheck = try await connection.send(.GET, "/v1/audit/check", query: [("head", head)])
            if output.json {
                try Console.json(check)
            } else if let fault = check.fault {
                try Console.line("Entry \(fault.number) \(SafeText.visible(fault.reason)).")
            } else {
                try Console.line("The log is whole: \(check.entries) entries.")
                if let head = check.head { try Console.line("head  \(head)") }
            }
            if !check.isSound { throw CommandStatus.failed }
        }
    }
}
