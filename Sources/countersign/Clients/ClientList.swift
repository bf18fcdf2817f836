import AdministrationAPI
import ArgumentParser

struct ClientList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List clients.",
        discussion: """
            Example:
              countersign client list
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let list = PagedList<ClientResource>(
            path: "/v1/clients", filters: [], columns: ClientText.columns, row: ClientText.row)
        try await control.withConnection { try await list.print($0, json: output.json) }
    }
}
