import ArgumentParser

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
