import AdministrationAPI
import ArgumentParser

struct KeyList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List keys.",
        discussion: """
            Example:
              countersign key list --owner acme --json | jq -r .id
            """)

    @Option(help: ArgumentHelp("Only keys of this owner.", valueName: "owner"))
    var owner: String?

    @Option(help: ArgumentHelp("Only keys issued through this client.", valueName: "id"))
    var client: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let list = PagedList<CredentialResource>(
            path: "/v1/keys", filters: [("owner", owner), ("client_id", client)], columns: CredentialText.columns,
            row: CredentialText.row)
        try await control.withConnection { try await list.print($0, json: output.json) }
    }
}
