import ArgumentParser

struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "The store: check, figures, backup.",
        discussion: """
            Example:
              countersign store backup /backup/countersign.mdb
            """,
        subcommands: [StoreCheckCommand.self, StoreStats.self, StoreBackup.self])
}
