import AdministrationAPI
import ArgumentParser
import CredentialStore

struct AuditVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check that the audit log is as it was written.",
        discussion: """
            Each entry is chained to the one before by a hash that needs the pepper file's lookup secret. Exits with 3 at \
            the first entry that does not hold. Whoever has the store's file and that secret could write another log, and \
            whoever puts an older file back has an older one: the head that this prints, written down elsewhere and given \
            with --head, shows both.

            Example:
              countersign audit verify --head 17:5f1cd7b2a40c9e6f3b8812d04c7ae95f60b3d1c82f94a7e65d0b1c3f8a2e4d97
            """)

    @Option(help: ArgumentHelp("A head that an earlier run has printed.", valueName: "number:hash"))
    var head: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        if let head, AuditHead(head) == nil {
            throw ValidationError("A head is NUMBER:HASH, the whole of what stands behind 'head' in an earlier result.")
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
