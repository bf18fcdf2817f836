import ArgumentParser

struct ClientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "OAuth clients.",
        discussion: """
            Example:
              countersign client create --name gateway --may introspect
            """,
        subcommands: [
            ClientCreate.self, ClientList.self, ClientShow.self, ClientRotate.self, ClientRevoke.self,
        ])
}
