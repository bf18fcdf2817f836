import ArgumentParser
import CredentialStore
import Foundation

struct StoreRestore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Put a backup in the place of the store.",
        discussion: """
            No daemon may run. The backup is checked row by row before it takes the folder's place, in one step; the \
            folder that was there is kept beside it. Credentials made, edited and rotated since the backup are lost. \
            What was revoked since, or set to expire earlier, must not come back: give the list that \
            'store revocations' wrote, or say that those revocations are lost. A backup that is older than \
            retention.backup-seconds may be refused, since the list no longer has all of them.

            Example:
              countersign store restore /backup/countersign.mdb --revocations-from /backup/revocations.txt
            """)

    @Argument(help: ArgumentHelp("File that 'store backup' wrote.", valueName: "file"), transform: PathText.argument)
    var file: String

    @Option(help: ArgumentHelp("List that 'store revocations' wrote.", valueName: "file"), transform: PathText.argument)
    var revocationsFrom: String?

    @Flag(help: "What was revoked since the backup is accepted again.")
    var acceptLostRevocations = false

    @Flag(help: "Apply the list although it lacks some of what was revoked since this backup.")
    var acceptIncompleteList = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var replaced: ReplacedStore

    /// Not in `validate`, which comes before the parser complains of an option that it does not know.
    private func requireList() throws(CommandFailure) {
        guard (revocationsFrom != nil) != acceptLostRevocations else {
            throw CommandFailure(
                "Give --revocations-from FILE, or --accept-lost-revocations when there is no such list.", status: .usage
            )
        }
        guard !acceptIncompleteList || revocationsFrom != nil else {
            throw CommandFailure("--accept-incomplete-list needs --revocations-from FILE.", status: .usage)
        }
    }

    func run() async throws {
        try requireList()
        let revocations = try revocationsFrom.map(Self.list)
        let peppers = try replaced.peppers()
        let path = replaced.path
        let (file, acceptsIncomplete) = (file, acceptIncompleteList)
        let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
        let outcome = try await ReplacedStore.offThread {
            var bar = ProgressBar("restore")
            defer { bar.finish() }
            return try CredentialStore.restore(
                backup: file, to: path, peppers: peppers, revocations: revocations,
                acceptsIncomplete: acceptsIncomplete, options: ReplacedStore.options
            ) { bar.update(done: Int(clamping: $0), of: size) }
        }
        if output.json { return try Console.json(RestoredStore(path, outcome)) }
        if let applied = outcome.revocations {
            try Console.line("revoked since   \(applied.applied)")
            try Console.line("not in backup   \(applied.unknown)")
        }
        if let kept = outcome.kept { try Console.line("old folder      \(kept)") }
        try Console.line("restored        \(path)")
    }

    private static func list(_ path: String) throws -> RevocationList {
        guard let bytes = try? Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) else {
            throw CommandFailure("'\(path)' cannot be read.")
        }
        do {
            return try RevocationList(parsing: Array(bytes))
        } catch {
            throw CommandFailure("'\(path)': \(error.description).")
        }
    }
}

/// What `restore --json` says.
private struct RestoredStore: Encodable {
    let restored: String
    let kept: String?
    let revocations_applied: Int?
    let revocations_unknown: Int?

    init(_ path: String, _ outcome: Replacement) {
        restored = path
        kept = outcome.kept
        revocations_applied = outcome.revocations?.applied
        revocations_unknown = outcome.revocations?.unknown
    }
}
