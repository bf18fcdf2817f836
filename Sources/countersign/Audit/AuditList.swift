import AdministrationAPI
import ArgumentParser

struct AuditList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List what was done, and by whom.",
        discussion: """
            Tokens that were issued by an OAuth flow are not in it: the journal has those.

            Example:
              countersign audit list --after 120 --json | jq -r .action
            """)

    @Option(help: ArgumentHelp("Only entries behind this number.", valueName: "number"))
    var after: UInt64?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let list = PagedList<AuditEntryResource>(
            path: "/v1/audit", filters: [], columns: ["NUMBER", "TIME", "ACTOR", "ACTION", "WHAT"], row: Self.row,
            start: after.map { String($0) })
        try await control.withConnection { try await list.print($0, json: output.json) }
    }

    private static func row(_ entry: AuditEntryResource) -> [String?] {
        let actor = entry.actor.id.map { "\(entry.actor.type) \($0)" } ?? entry.actor.type
        return [String(entry.number), TimeText.utc(entry.time), actor, entry.action, what(entry)]
    }

    /// In one line: a bulk creation names a thousand credentials.
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
