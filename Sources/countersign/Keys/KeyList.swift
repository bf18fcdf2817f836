import AdministrationAPI
import ArgumentParser
import Foundation

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

    @Option(help: ArgumentHelp("Only keys that are alive and end within this time, as 14d.", valueName: "duration"))
    var expiringIn: DurationArgument?

    @Flag(help: "Only keys that have a successor and still work: LAST USED tells who has not changed yet.")
    var rotated = false

    @Option(
        help: ArgumentHelp("Only keys whose id begins with this or whose owner or name holds it.", valueName: "text"))
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
