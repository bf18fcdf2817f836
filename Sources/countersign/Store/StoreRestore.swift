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

            If the store has a log (store.log), give its folder with --log. Then nothing is lost: everything that was \
            changed since the backup is done again, and no list is needed.

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

    @Option(help: ArgumentHelp("List that 'store revocations' wrote.", valueName: "file"), transform: PathText.argument)
    var revocationsFrom: String?

    @Flag(help: "Restore without a list: credentials that were revoked since the backup are accepted again.")
    var acceptLostRevocations = false

    @Flag(help: "Use the list although it lacks some revocations since this backup.")
    var acceptIncompleteList = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var replaced: ReplacedStore

    /// Not in `validate`: it runs before the parser looks for unknown options, and its error would hide theirs.
    private func requireList() throws(CommandFailure) {
        // A log has the revocations, too. A list may have some that were made after its end.
        guard log != nil ? !acceptLostRevocations : (revocationsFrom != nil) != acceptLostRevocations else {
            throw CommandFailure(
                "Give --log DIR if the store has a log; else either --revocations-from FILE, or --accept-lost-revocations when there is no list.",
                status: .usage
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
        let (file, log, acceptsIncomplete) = (file, log, acceptIncompleteList)
        let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
        let outcome = try await ReplacedStore.offThread {
            var bar = ProgressBar("restore")
            defer { bar.finish() }
            return try CredentialStore.restore(
                backup: file, to: path, peppers: peppers, log: log, revocations: revocations,
                acceptsIncomplete: acceptsIncomplete, options: ReplacedStore.options
            ) { bar.update(done: Int(clamping: $0), of: size) }
        }
        if output.json { return try Console.json(RestoredStore(path, outcome)) }
        if let replayed = outcome.replayed {
            try Console.line("replayed        \(replayed.entries) entries, up to \(replayed.number)")
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
    let revocations_applied: Int?
    let revocations_unknown: Int?

    init(_ path: String, _ outcome: Replacement) {
        restored = path
        kept = outcome.kept
        replayed_entries = outcome.replayed?.entries
        log_number = outcome.replayed?.number
        revocations_applied = outcome.revocations?.applied
        revocations_unknown = outcome.revocations?.unknown
    }
}

struct StoreReplay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Bring a copy of a store up to what its log says.",
        discussion: """
            For a copy that is kept ready elsewhere: a backup that was put into a folder as data.mdb, and the files of the \
            log (store.log), copied as they grow. No process may hold the copy. It gets every change that the log has and it \
            lacks, and can be replayed to again. The pepper file must be the store's.

            Do not start a daemon on it while the original may still be in use. To replace a store that is lost, use \
            'store restore --log', which tells clients and gateways that it is another one.

            Examples:
              countersign store replay /log --store /standby/data --pepper-file /standby/pepper
              countersign store replay /log --store /standby/data --until 2026-12-31T23:59:59Z
            """)

    @Argument(help: ArgumentHelp("Folder of the log, or a copy of it.", valueName: "dir"), transform: PathText.argument)
    var log: String

    @Option(help: ArgumentHelp("The last entry to apply.", valueName: "number"))
    var through: UInt64?

    @Option(
        help: ArgumentHelp("Apply no changes after this time.", valueName: "time"), transform: TimeArgument.parse)
    var until: TimeArgument?

    @OptionGroup var output: OutputOptions
    @OptionGroup var replaced: ReplacedStore

    func run() async throws {
        let peppers = try replaced.peppers()
        let (path, log) = (replaced.path, log)
        let limit = ReplayLimit(through: through, until: until.map { UnixSeconds($0.seconds) })
        let report = try await ReplacedStore.offThread {
            try CredentialStore.replay(
                log: log, to: path, peppers: peppers, limit: limit, options: ReplacedStore.options)
        }
        if output.json { return try Console.json(ReplayedLog(report)) }
        try Console.line("replayed   \(report.entries) entries")
        try Console.line("entry      \(report.number)\(report.time.map { ", of " + TimeText.utc($0.rawValue) } ?? "")")
    }
}

/// The output of `replay --json`.
private struct ReplayedLog: Encodable {
    let entries: UInt64
    let number: UInt64
    let time: Int64?

    init(_ report: ReplayReport) {
        entries = report.entries
        number = report.number
        time = report.time?.rawValue
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

    @OptionGroup var replaced: ReplacedStore

    func run() async throws {
        let peppers = try replaced.peppers()
        let path = replaced.path
        let outcome = try await ReplacedStore.offThread {
            try CredentialStore.upgrade(in: path, peppers: peppers, options: ReplacedStore.options)
        }
        switch outcome {
        case .current(let schema): try Console.line("The store has schema \(schema) already: nothing to do.")
        case .upgraded(let from, let to, let replacement):
            if let kept = replacement.kept { try Console.line("old folder   \(kept)") }
            try Console.line("upgraded     \(path), from schema \(from) to \(to)")
        }
    }
}

/// The store that `restore` and `upgrade` replace. They work on its folder while no daemon runs.
struct ReplacedStore: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of the store (also COUNTERSIGN_STORE; default: ./countersign-data).", valueName: "dir"),
        transform: PathText.argument)
    var store = ControlOptions.defaultStore

    @Option(
        help: ArgumentHelp(
            "Pepper file of the store (also COUNTERSIGN_PEPPER_FILE; default: the folder's name and '.pepper').",
            valueName: "file"),
        transform: PathText.argument)
    var pepperFile: String?

    /// The folder without a slash at its end, since the old folder and the pepper file are named after it.
    var path: String { URL(fileURLWithPath: store).standardizedFileURL.path }

    func peppers() throws -> PepperFile {
        let path = pepperFile ?? ProcessInfo.processInfo.environment[Setting.pepperFile.variable] ?? path + ".pepper"
        return try StoreFolder.naming { try PepperFileOnDisk.read(path) }
    }

    /// 0: the map has the size that the store records. A command needs little cache.
    static let options = StoreOptions(mapBytes: 0, cacheBytes: 1 << 20)

    /// Runs long work on a thread of its own, so that it blocks none of the cooperative ones.
    /// - Throws: ``CommandFailure``.
    static func offThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await WorkThreads.long.run { try StoreFolder.naming(body) }
    }
}
