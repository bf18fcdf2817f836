import ArgumentParser

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "The audit log: who did what.",
        discussion: """
            Example:
              countersign audit list --json
            """,
        subcommands: [AuditList.self, AuditVerify.self])
}
