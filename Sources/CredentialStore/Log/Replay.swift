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
    /// Bytes behind the last whole entry, which were not read: the end of an interrupted append or copy, or damage.
    public var unreadBytes = 0
}

extension CredentialStore {
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
            guard let replay = try Replay(environment, peppers.lookup) else { throw StoreFailure.log(.noPosition) }
            var report = ReplayReport(number: replay.start.number)
            guard replay.mayReplay(limit) else { throw StoreFailure.log(.alreadyBeyond(number: replay.start.number)) }
            let end = try replay.run(LogFolder(path: log), limit, into: &report, progress)
            report.unreadBytes = end.isWhole ? end.fileEnd - end.entryEnd : 0
            return report
        }
    }
}

/// Applies entries in commits of several.
struct Replay {
    private let environment: Environment
    private let lookup: TagKey
    private let writer: StoreWriter
    private let origin: UInt64
    let start: LogPosition
    /// The time of the store's last commit.
    private let storeTime: UnixSeconds

    /// Entries that one commit takes, at most, and their bytes.
    private static let entriesPerCommit = 64
    private static let bytesPerCommit = 4 << 20

    /// - Returns: nil for a store without a position in a log.
    init?(_ environment: Environment, _ lookup: TagKey) throws {
        let opened = try environment.write { transaction -> (StoreWriter, UInt64, LogPosition, UnixSeconds)? in
            try CredentialStore.requireSchema(of: environment, in: transaction)
            let schema = try Schema(environment, lookup: lookup, create: false, in: transaction)
            let meta = MetaTable(schema)
            try meta.require(lookup, in: transaction)
            try meta.requireKnownLevel(in: transaction)
            // Numbers up to the highest are assigned; their texts are not needed.
            let interning = Interning(table: InternedTable())
            for kind in InternedTable.Kind.allCases {
                let highest = try meta.number(.internedHighest(kind), in: transaction) ?? 0
                interning.load(highest: UInt32(truncatingIfNeeded: highest), of: kind)
            }
            let writer = StoreWriter(schema: schema, interning: interning, auditChain: AuditChain(key: lookup))
            guard let position = try writer.logPosition(in: transaction) else { return nil }
            let time = UnixSeconds(Int64(clamping: try meta.number(.time, in: transaction) ?? 0))
            return (writer, try meta.number(.origin, in: transaction) ?? 0, position, time)
        }.value
        guard let opened else { return nil }
        self.environment = environment
        self.lookup = lookup
        (writer, origin, start, storeTime) = opened
    }

    /// Whether the store is not beyond the limit already.
    func mayReplay(_ limit: ReplayLimit) -> Bool {
        start.number <= limit.through ?? .max && storeTime <= limit.until ?? .never
    }

    func beginningOfLaterLog(in folder: LogFolder) throws(StoreFailure) -> UnixSeconds? {
        try folder.beginningOfLaterLog(than: start.epoch, after: storeTime, origin: origin, lookup: lookup)
    }

    /// Applies the entries after the store's position.
    /// - Parameters:
    ///   - report: how far it came, also when it throws.
    ///   - beforeLast: called with the last entry before that is committed, and with the end of the log.
    /// - Returns: the end of what was read.
    @discardableResult
    func run(
        _ folder: LogFolder, _ limit: ReplayLimit = ReplayLimit(), into report: inout ReplayReport,
        _ progress: (UInt64) -> Void = { _ in },
        beforeLast: (LogEntry, LogFolder.End) throws(StoreFailure) -> Void = { _, _ in }
    ) throws -> LogFolder.End {
        var waiting: [LogEntry] = []
        var bytes = 0
        func commit(_ count: Int) throws(StoreFailure) {
            guard count > 0 else { return }
            let last = waiting[count - 1]
            try apply(waiting[..<count])
            report.entries += UInt64(count)
            (report.number, report.time) = (last.position.number, last.time)
            waiting.removeFirst(count)
            bytes = waiting.reduce(0) { $0 + $1.bytes.count }
            progress(report.entries)
        }
        let end = try folder.read(after: start) { (entry) throws(StoreFailure) in
            guard limit.allows(entry) else { return .stop }
            waiting.append(entry)
            bytes += entry.bytes.count
            if waiting.count > Self.entriesPerCommit || bytes >= Self.bytesPerCommit { try commit(waiting.count - 1) }
            return .next
        }
        try commit(waiting.count - 1)
        if let last = waiting.last { try beforeLast(last, end) }
        try commit(waiting.count)
        return end
    }

    /// Applies entries in one commit; in a full map in smaller ones, which copy fewer pages, and if that is not enough,
    /// in a larger map: the original got by with what it has because its commits left other pages free.
    private func apply(_ entries: ArraySlice<LogEntry>) throws(StoreFailure) {
        do throws(StoreFailure) {
            try convertingErrors { () throws in
                _ = try environment.write { transaction in
                    for entry in entries {
                        try writer.replay(entry, origin: origin, lookup: lookup, in: transaction)
                    }
                }
            }
            writer.interning.committed()
        } catch {
            writer.interning.aborted()
            guard error == .lmdb(.mapFull) else { throw error }
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

extension StoreWriter {
    /// Does what an entry says. The caller has checked that the entry follows on the store's position, and tells the
    /// numbers of texts whether the transaction was committed.
    func replay(
        _ entry: LogEntry, origin: UInt64, lookup: TagKey, notAfter limit: UnixSeconds = .never,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let content = try entry.content(origin: origin, lookup: lookup)
        if entry.kind == .transaction {
            let (time, mark) = (entry.author.time, entry.author.mark)
            try begin(now: time, mark: mark > .always && mark <= limit ? mark : nil, in: transaction)
            var decoder = OperationDecoder(content, now: time)
            while let operation = try decoder.next(self, in: transaction) { try perform(operation, in: transaction) }
            try end(isReplay: true, in: transaction)
        }
        try setLogPosition(entry.position, in: transaction)
    }
}
