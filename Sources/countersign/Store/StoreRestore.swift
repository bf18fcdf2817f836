import ArgumentParser
import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance

struct StoreRestore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Replace the store by a backup.",
        discussion: """
            No daemon may run. The backup is checked row by row, and then replaces the store's folder in one step. The old \
            folder is kept beside it. Changes since the backup are lost: credentials that were issued, edited or rotated. \
            What was revoked since, or set to expire earlier, must not be accepted again. So give the list that \
            'store revocations' wrote, or accept that those revocations are lost. A backup that is older than \
            retention.backup-seconds may be refused, since the list is no longer complete for it.

            If the store has a log (store.log), give its folder with --log. Then everything is done again that was changed \
            since the backup, up to the last entry of the folder, and no list is needed. The output names that entry and its \
            time: compare the time with that of the last change, if the folder is a copy. --log-until stops before a mistake.

            Examples:
              countersign store restore /backup/countersign.mdb --log /log
              countersign store restore /backup/countersign.mdb --revocations-from /backup/revocations.txt
            """)

    @Argument(help: ArgumentHelp("File that 'store backup' wrote.", valueName: "file"), transform: PathText.argument)
    var file: String

    @Option(
        help: ArgumentHelp("Folder of the store's log, or a copy of it.", valueName: "dir"),
        transform: PathText.argument)
    var log: String?

    @Option(
        help: ArgumentHelp("Do no changes of the log after this time again.", valueName: "time"),
        transform: TimeArgument.parse)
    var logUntil: TimeArgument?

    @Option(help: ArgumentHelp("List that 'store revocations' wrote.", valueName: "file"), transform: PathText.argument)
    var revocationsFrom: String?

    @Flag(help: "Restore without a list: credentials that were revoked since the backup are accepted again.")
    var acceptLostRevocations = false

    @Flag(help: "Use the list although it lacks some revocations since this backup.")
    var acceptIncompleteList = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var folder: StoreFolderOptions

    /// Not in `validate`: it runs before the parser looks for unknown options, and its error would hide theirs.
    private func requireList() throws(CommandFailure) {
        // A log has the revocations, too. A list may have some that were made after its end.
        guard log != nil ? !acceptLostRevocations : (revocationsFrom != nil) != acceptLostRevocations else {
            throw CommandFailure(
                "Give --log DIR if the store has a log; else either --revocations-from FILE, or --accept-lost-revocations "
                    + "when there is no list.", status: .usage)
        }
        guard logUntil == nil || log != nil else {
            throw CommandFailure("--log-until needs --log DIR.", status: .usage)
        }
        guard !acceptIncompleteList || revocationsFrom != nil else {
            throw CommandFailure("--accept-incomplete-list needs --revocations-from FILE.", status: .usage)
        }
    }

    func run() async throws {
        try requireList()
        let revocations = try revocationsFrom.map(Self.list)
        let peppers = try folder.peppers()
        let path = folder.path
        let (file, log, acceptsIncomplete) = (file, log, acceptIncompleteList)
        let limit = logUntil.map { ReplayLimit(until: UnixSeconds($0.seconds)) }
        let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
        let outcome = try await StoreFolder.offThread {
            var bar = ProgressBar("restore")
            defer { bar.finish() }
            return try CredentialStore.restore(
                backup: file, to: path, peppers: peppers, log: log, limit: limit, revocations: revocations,
                acceptsIncomplete: acceptsIncomplete, options: StoreFolder.commandOptions
            ) { bar.update(done: Int(clamping: $0), of: size) }
        }
        if output.json { return try Console.json(RestoredStore(path, outcome)) }
        if let replayed = outcome.replayed {
            let time = replayed.time.map { ", of \(TimeText.utc($0.rawValue))" } ?? ""
            try Console.line("replayed        \(replayed.entries) entries, up to \(replayed.number)\(time)")
            if replayed.unreadBytes > 0 {
                try Console.line("not read        \(replayed.unreadBytes) bytes behind the last whole entry")
            }
        }
        if let applied = outcome.revocations {
            try Console.line("revoked since   \(applied.applied)")
            try Console.line("not in backup   \(applied.unknown)")
        }
        if let kept = outcome.kept { try Console.line("old folder      \(kept)") }
        try Console.line("restored        \(path)")
    }

    private static func list(_ path: String) throws -> RevocationList {
        guard let bytes = try? Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) else {
            throw CommandFailure(
                "The list of revocations '\(path)' cannot be read. Check the path and its permissions.")
        }
        do {
            return try RevocationList(parsing: Array(bytes))
        } catch {
            throw CommandFailure("'\(path)': \(error.description).")
        }
    }
}

/// The output of `restore --json`.
private struct RestoredStore: Encodable {
    let restored: String
    let kept: String?
    let replayed_entries: UInt64?
    let log_number: UInt64?
    let log_unread_bytes: Int?
    let revocations_applied: Int?
    let revocations_unknown: Int?

    init(_ path: String, _ outcome: Replacement) {
        restored = path
        kept = outcome.kept
        replayed_entries = outcome.replayed?.entries
        log_number = outcome.replayed?.number
        log_unread_bytes = outcome.replayed?.unreadBytes
        revocations_applied = outcome.revocations?.applied
        revocations_unknown = outcome.revocations?.unknown
    }
}

struct StoreUpgrade: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade", abstract: "Convert the store of an earlier version to the current schema.",
        discussion: """
            No daemon may run. The store is copied, the copy is converted and checked row by row, and then replaces the \
            store's folder in one step. The old folder is kept beside it, so that you can go back.

            Example:
              countersign store upgrade --store /var/lib/countersign/data
            """)

    @OptionGroup var folder: StoreFolderOptions

    func run() async throws {
        let peppers = try folder.peppers()
        let path = folder.path
        let outcome = try await StoreFolder.offThread {
            try CredentialStore.upgrade(in: path, peppers: peppers, options: StoreFolder.commandOptions)
        }
        switch outcome {
        case .current(let schema): try Console.line("The store has schema \(schema) already: nothing to do.")
        case .upgraded(let from, let to, let replacement):
            if let kept = replacement.kept { try Console.line("old folder   \(kept)") }
            try Console.line("upgraded     \(path), from schema \(from) to \(to)")
        }
    }
}
