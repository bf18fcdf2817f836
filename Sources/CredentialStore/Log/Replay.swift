public import CredentialDigest
public import CredentialModel
import LMDB
import RecordCache

/// How far a log is replayed.
public struct ReplayLimit: Sendable {
    /// The last entry to apply; nil for all.
    public var through: UInt64?
    /// Entries of later transactions are not applied.
    public var until: UnixSeconds?

    public init(through: UInt64? = nil, until: UnixSeconds? = nil) {
        self.through = through
        self.until = until
    }

    func allows(_ entry: LogEntry) -> Bool {
        entry.position.number <= through ?? .max && entry.time <= until ?? .never
    }
}

/// What a replay did.
public struct ReplayReport: Sendable, Equatable {
    /// Entries that were applied.
    public var entries: UInt64 = 0
    /// The number of the last entry that the store now has.
    public var number: UInt64
    /// The time of that entry; nil when none was applied.
    public var time: UnixSeconds?
}

extension CredentialStore {
    /// Entries that one commit takes, at most, and their bytes.
    private static let entriesPerCommit = 64
    private static let bytesPerCommit = 4 << 20

    /// Brings a store that no process holds up to what its log says: a copy that was backed up while the store had a
    /// log gets everything that was changed since.
    ///
    /// Every commit ends with an entry, so a replay that was interrupted can be continued.
    /// - Parameters:
    ///   - log: the folder of the log, or a copy of it.
    ///   - progress: entries applied so far.
    /// - Throws: ``StoreFailure``. ``LogFailure/noPosition`` for a store that has no log; ``LogFailure/missing(number:)``
    ///   when the log begins after the store's position; ``LogFailure/diverged(_:)`` when they do not fit.
    @available(*, noasync)
    public static func replay(
        log: String, to directory: String, peppers: PepperFile, limit: ReplayLimit = ReplayLimit(),
        options: StoreOptions = StoreOptions(), progress: (UInt64) -> Void = { _ in }
    ) throws(StoreFailure) -> ReplayReport {
        guard exists(in: directory), let lock = try lockIfPresent(directory) else {
            throw .noStore(directory: directory)
        }
        defer { lock.release() }
        let environment = try convertingErrors { () throws in
            try Environment(
                directory: directory,
                options: Environment.Options(
                    mapBytes: options.mapBytes, databasesMax: Schema.tableCount, recorder: options.recorder))
        }
        defer { try? environment.close() }
        return try convertingErrors { () throws in
            try Replay(environment, peppers.lookup).run(LogFolder(path: log), limit, progress)
        }
    }

    /// Applies entries in commits of several.
    private struct Replay {
        let environment: Environment
        let lookup: TagKey
        let writer: StoreWriter
        let origin: UInt64
        let start: LogPosition

        init(_ environment: Environment, _ lookup: TagKey) throws {
            let opened = try environment.write { transaction in
                try requireSchema(of: environment, in: transaction)
                let schema = try Schema(environment, lookup: lookup, create: false, in: transaction)
                let meta = MetaTable(schema)
                try meta.require(lookup, in: transaction)
                let writer = StoreWriter(
                    schema: schema, interning: Interning(table: InternedTable()), auditChain: AuditChain(key: lookup))
                guard let position = try writer.logPosition(in: transaction) else {
                    throw StoreFailure.log(.noPosition)
                }
                return (writer, try meta.number(.origin, in: transaction) ?? 0, position)
            }.value
            self.environment = environment
            self.lookup = lookup
            (writer, origin, start) = opened
        }

        func run(_ folder: LogFolder, _ limit: ReplayLimit, _ progress: (UInt64) -> Void) throws -> ReplayReport {
            var report = ReplayReport(number: start.number)
            var waiting: [LogEntry] = []
            var bytes = 0
            func commit() throws(StoreFailure) {
                guard let last = waiting.last else { return }
                try apply(waiting[...])
                report.entries += UInt64(waiting.count)
                (report.number, report.time) = (last.position.number, last.time)
                waiting.removeAll()
                bytes = 0
                progress(report.entries)
            }
            try folder.read(after: start) { (entry) throws(StoreFailure) in
                guard limit.allows(entry) else { return .stop }
                waiting.append(entry)
                bytes += entry.bytes.count
                if waiting.count >= entriesPerCommit || bytes >= bytesPerCommit { try commit() }
                return .next
            }
            try commit()
            return report
        }

        /// Applies entries in one commit; in a full map in smaller ones, which copy fewer pages, and if that is not
        /// enough, in a larger map: the original got by with what it has because its commits left other pages free.
        private func apply(_ entries: ArraySlice<LogEntry>) throws(StoreFailure) {
            do throws(StoreFailure) {
                try convertingErrors { () throws in
                    _ = try environment.write { transaction in
                        for entry in entries {
                            try writer.replay(entry, origin: origin, lookup: lookup, in: transaction)
                        }
                    }
                }
            } catch .lmdb(.mapFull) {
                writer.interning.aborted()
                guard entries.count == 1 else {
                    let half = entries.startIndex + entries.count / 2
                    try apply(entries[..<half])
                    return try apply(entries[half...])
                }
                try convertingErrors { () throws in
                    try environment.resize(mapBytes: environment.usage().mapBytes * 2)
                }
                try apply(entries)
            }
        }
    }
}
