import ArgumentParser
import CredentialModel
import CredentialStore
import NetworkAddress

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
    @OptionGroup var folder: StoreFolderOptions

    func run() async throws {
        let peppers = try folder.peppers()
        let (path, log) = (folder.path, log)
        let limit = ReplayLimit(through: through, until: until.map { UnixSeconds($0.seconds) })
        let report = try await StoreFolder.offThread {
            try CredentialStore.replay(
                log: log, to: path, peppers: peppers, limit: limit, options: StoreFolder.commandOptions)
        }
        if output.json { return try Console.json(ReplayedLog(report)) }
        try Console.line("replayed   \(report.entries) entries")
        if report.unreadBytes > 0 {
            try Console.line("not read   \(report.unreadBytes) bytes behind the last whole entry")
        }
        try Console.line("entry      \(report.number)\(report.time.map { ", of " + TimeText.utc($0.rawValue) } ?? "")")
    }
}

/// The output of `replay --json`.
private struct ReplayedLog: Encodable {
    let entries: UInt64
    let number: UInt64
    let time: Int64?
    let unread_bytes: Int

    init(_ report: ReplayReport) {
        entries = report.entries
        number = report.number
        time = report.time?.rawValue
        unread_bytes = report.unreadBytes
    }
}

struct StoreDigestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "digest", abstract: "Hashes of the tables, for comparing a store with a copy of it.",
        discussion: """
            Reads the whole store, beside a running daemon or without one. Two copies that have the same entry of the log \
            last are equal if all hashes are. Last uses are left out: each copy has its own.

            Example:
              countersign store digest --store /standby/data --pepper-file /standby/pepper
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var folder: StoreFolderOptions

    func run() async throws {
        let peppers = try folder.peppers()
        let path = folder.path
        let digest = try await StoreFolder.offThread { try StoreDigest.of(path, peppers: peppers) }
        if output.json { return try Console.json(DigestOutput(digest)) }
        var list = FieldList()
        list.add("entry", digest.number.map(String.init) ?? "none: the store has no log")
        for table in digest.tables { list.add(table.name, "\(Hexadecimal.encode(table.hash))  \(table.rows) rows") }
        try Console.line(list.render())
    }
}

/// The output of `digest --json`.
private struct DigestOutput: Encodable {
    struct Table: Encodable {
        let name: String
        let rows: Int
        let sha256: String
    }

    let entry: UInt64?
    let tables: [Table]

    init(_ digest: StoreDigest) {
        entry = digest.number
        tables = digest.tables.map { Table(name: $0.name, rows: $0.rows, sha256: Hexadecimal.encode($0.hash)) }
    }
}
