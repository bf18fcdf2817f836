import ArgumentParser

struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "The store: check, figures, backup, restore, upgrade.",
        discussion: """
            Example:
              countersign store backup /backup/countersign.mdb
            """,
        subcommands: [
            StoreCheckCommand.self, StoreStats.self, StoreBackup.self, StoreRevocations.self, StoreRestore.self,
            StoreUpgrade.self,
        ])
}
