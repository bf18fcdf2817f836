import CredentialDigest
public import CredentialModel
import LMDB
import Synchronization

// The order is: operations, log, commit, acknowledgement. So everything that was acknowledged is in the log.
//
// A process that ends between log and commit leaves an entry that the store lacks and of which nobody was told. Others
// may have read it, so the store takes it when it is opened again. It may not be on the disk yet: what a killed process
// has written lies in the system's memory, where the next one finds it. So it is written once more before the store
// commits it; otherwise a loss of power could leave a store ahead of its log.
//
// If the commit fails in a way that leaves nothing, for example in a full map, the entry is taken back. A copy of the log
// that was made in just that moment has it, and does not go on from there with the log: it must be copied again.

/// The log of a store that is open for writing: takes each transaction before it is committed.
///
/// Used on the writer thread only.
final class StoreLog {
    private let folder: LogFolder
    private let lock: DirectoryLock
    private let origin: UInt64
    private let lookup: TagKey
    private let options: LogOptions
    let figures: LogFigures
    /// Identifies this opening of the store.
    private let writer = UInt64.random(in: 1...UInt64.max)
    private var file: AppendedFile?
    /// Of the last entry.
    private(set) var position: LogPosition
    /// Before the last entry, until it is committed.
    private var before: (position: LogPosition, byteCount: Int)?
    /// An entry was written, or may have been, of which nobody can tell whether it will be found.
    private(set) var isUnknown = false

    /// Blocks that are allocated ahead of the entries, for some hundred thousand revocations on a full disk.
    private static let reserveBytes = 16 << 20

    private init(
        _ opened: OpenedLog, _ origin: UInt64, _ lookup: TagKey, _ position: LogPosition, _ options: LogOptions,
        isNew: Bool
    ) {
        folder = opened.folder
        lock = opened.lock
        self.origin = origin
        self.lookup = lookup
        self.position = position
        self.options = options
        figures = LogFigures(
            folder: folder, position: position, isNew: isNew, entriesTakenAtOpening: opened.entriesTaken,
            cutAtOpening: opened.cut)
    }

    /// Continues the store's log, or begins a new one.
    /// - Parameter mustBegin: the store is made anew from something else, so that it is no longer what its log describes.
    static func begin(
        _ opened: OpenedLog, for writer: StoreWriter, origin: UInt64, lookup: TagKey, mustBegin: Bool,
        options: LogOptions, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoreLog {
        let old = try writer.logPosition(in: transaction)
        if !mustBegin, let old, let end = opened.end {
            let log = StoreLog(opened, origin, lookup, old, options, isNew: false)
            let file = try opened.folder.file(end.file)
            file.reserve(ahead: reserveBytes)
            log.file = file
            return log
        }
        let log = StoreLog(opened, origin, lookup, .beginning(), options, isNew: true)
        // A log has an entry from its beginning on, so that one without files is known to be missing. It says from where
        // the store came.
        let left = try MetaTable(writer.schema).value(.logPredecessor, in: transaction)
        let predecessor = old?.row ?? left ?? []
        let entry = try log.entry(.beginning, predecessor, for: writer)
        try log.append(entry)
        try writer.setLogPosition(log.position, in: transaction)
        return log
    }

    /// Appends a transaction's operations as an entry, which is durable when this returns.
    /// - Throws: ``StoreFailure/diskFull(directory:)``, ``StoreFailure/writeFailed(directory:_:)``,
    ///   ``LogFailure/tooLong``: nothing was appended. ``StoreFailure/outcomeUnknown(_:)`` and ``LogFailure/displaced(path:)``
    ///   when ``isUnknown`` is set.
    func append(_ writer: StoreWriter, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let operations = writer.recordedBytes
        guard !operations.isEmpty else { return }
        try append(try entry(.transaction, operations, for: writer))
        try writer.setLogPosition(position, in: transaction)
    }

    private func entry(
        _ kind: LogEntry.Kind, _ content: [UInt8], for writer: StoreWriter
    ) throws(StoreFailure) -> LogEntry {
        try LogEntry(
            kind, content, after: position,
            by: LogEntry.Author(writer: self.writer, time: writer.now, mark: writer.mark ?? .always), origin: origin,
            lookup: lookup)
    }

    private func append(_ entry: LogEntry) throws(StoreFailure) {
        let file: AppendedFile
        let byteCount: Int
        do {
            try options.fault?()
            file = try self.file(for: entry)
            byteCount = file.byteCount
            if file.isInPlace { try file.append(entry.bytes) }
        } catch {
            let reason = error.asLMDBError
            if self.file?.isUnknown == true {
                isUnknown = true
                throw .outcomeUnknown(reason)
            }
            throw reason == .diskFull ? .diskFull(directory: folder.path) : .writeFailed(directory: folder.path, reason)
        }
        // What is written to a file that the path no longer leads to is in no copy of the log, and lost at the next start.
        guard file.isInPlace else {
            isUnknown = true
            throw .log(.displaced(path: folder.path))
        }
        file.reserve(ahead: Self.reserveBytes)
        before = (position, byteCount)
        position = entry.position
    }

    /// The file that gets an entry: the last one, or the next if that is large.
    private func file(for entry: LogEntry) throws(FileError) -> AppendedFile {
        if let file {
            let isLarge = file.byteCount > 0 && file.byteCount + entry.bytes.count > options.fileBytesMax
            // On a full disk the space that is held for the present file is all there is.
            if !isLarge || isShortOfSpace { return file }
            // Also removes what a failed append may have left behind the end.
            try file.truncate(to: file.byteCount)
        }
        let name = LogFolder.File(epoch: position.epoch, first: entry.position.number).name
        let next = try AppendedFile(path: folder.path + "/" + name)
        file = next
        return next
    }

    var directory: String { folder.path }

    /// Whether the disk has so little space left that the rest is kept for revocations.
    var isShortOfSpace: Bool { folder.isShortOfSpace }

    /// The last entry is in the store as well.
    func committed() {
        if let before, let file { figures.note(position, bytes: file.byteCount - before.byteCount) }
        before = nil
    }

    /// Takes the last entry back, because its transaction was not committed and nobody was told of it.
    /// - Throws: ``StoreFailure/outcomeUnknown(_:)``: the log may have an entry that the store lacks.
    func withdraw() throws(StoreFailure) {
        guard let file, let before else { return }
        do {
            try file.truncate(to: before.byteCount)
        } catch {
            isUnknown = true
            throw .outcomeUnknown(error.asLMDBError)
        }
        position = before.position
        self.before = nil
    }

    /// Lets another process continue the log.
    func close() { lock.release() }
}

/// How a log is written. The defaults are for all but tests.
struct LogOptions: Sendable {
    /// A file is not continued above this size.
    var fileBytesMax = 64 << 20
    /// Bytes of operations from which on further mutations are left to the next transaction: a log sends an entry as a
    /// whole, so a revocation waits for the one before it.
    var entryBytes = 256 << 10
    /// Called before each append.
    var fault: (@Sendable () throws(FileError) -> Void)?
}

/// A log whose folder is locked, and whose store has all that the log has.
struct OpenedLog {
    let folder: LogFolder
    let lock: DirectoryLock
    /// Nil for a store that is not at an entry of this log.
    var end: LogFolder.End?
    /// Entries that the store lacked.
    var entriesTaken: UInt64 = 0
    /// The file with what was behind the last whole entry.
    var cut: String?

    /// Locks the folder.
    /// - Parameter mayCreate: whether it is created if it is missing.
    /// - Throws: ``LogFailure/held(path:_:)``, ``LogFailure/file(path:reason:)``.
    init(in path: String, mayCreate: Bool) throws(StoreFailure) {
        folder = LogFolder(path: path)
        if mayCreate {
            _ = try LogFolder.converting { () throws(FileError) in try DurableDirectory.create(path: path) }
        }
        // Two copies of a store would continue the same log in two ways.
        do {
            lock = try DirectoryLock(directory: path)
        } catch {
            throw .log(.held(path: path, error))
        }
    }

    /// Gives the store what the log has and it lacks.
    /// - Throws: ``LogFailure`` when the log does not go on from where the store is.
    mutating func catchUp(with replay: Replay) throws {
        let folder = folder
        var cut: String?
        var report = ReplayReport(number: replay.start.number)
        var end: LogFolder.End?
        do {
            end = try replay.run(
                folder, into: &report,
                beforeLast: { (entry, end) throws(StoreFailure) in
                    if end.fileEnd > end.entryEnd { cut = try folder.cut(end) }
                    try Self.rewrite(entry, at: end, in: folder)
                })
        } catch StoreFailure.log(.notGenuine(let number)) where number == replay.start.number + 1 {
            // The one entry that nobody can have been told of: its append was interrupted although its length is there.
            end = try Self.cutOnlyEntry(after: replay.start, in: folder)
        }
        if cut == nil, let end, end.fileEnd > end.entryEnd { cut = try folder.cut(end) }
        self.end = end
        self.cut = cut
        entriesTaken = report.entries
    }

    /// Writes the last entry once more, so that it is durable before the store has it.
    private static func rewrite(_ entry: LogEntry, at end: LogFolder.End, in folder: LogFolder) throws(StoreFailure) {
        // A file that has no entry yet was made when the one before it was complete and durable.
        guard end.entryEnd >= entry.bytes.count else { return }
        let file = try folder.file(end.file)
        try LogFolder.converting { () throws(FileError) in
            try file.truncate(to: end.entryEnd - entry.bytes.count)
            try file.append(entry.bytes)
            guard DurableDirectory.sync(path: folder.path) else { throw .system(path: folder.path, code: 5) }
        }
    }

    private static func cutOnlyEntry(after start: LogPosition, in folder: LogFolder) throws(StoreFailure)
        -> LogFolder.End
    {
        var entries: [LogEntry] = []
        let end = try folder.read(after: start) { (entry) throws(StoreFailure) in
            entries.append(entry)
            return entries.count < 2 ? .next : .stop
        }
        guard let only = entries.first, entries.count == 1 else { throw .log(.notGenuine(number: start.number + 1)) }
        return LogFolder.End(file: end.file, entryEnd: end.entryEnd - only.bytes.count, fileEnd: end.fileEnd)
    }
}

/// What is known of a store's log outside of the writer thread.
public final class LogFigures: Sendable {
    /// The log began when the store was opened. So only a backup that is made from now on can be brought up to date by it.
    public let isNew: Bool
    /// Entries that the log had and the store lacked, when it was opened: more than one if a copy was put in its place.
    public let entriesTakenAtOpening: UInt64
    /// The path of the file with what was behind the last whole entry when the store was opened, and counts as not
    /// written; nil if there was nothing.
    public let cutAtOpening: String?
    private let folder: LogFolder
    private let epoch: UInt64
    private let counts: Mutex<(number: UInt64, entries: UInt64, bytes: UInt64)>

    init(
        folder: LogFolder, position: LogPosition, isNew: Bool, entriesTakenAtOpening: UInt64, cutAtOpening: String?
    ) {
        self.folder = folder
        epoch = position.epoch
        self.isNew = isNew
        self.entriesTakenAtOpening = entriesTakenAtOpening
        self.cutAtOpening = cutAtOpening
        counts = Mutex((position.number, 0, 0))
    }

    /// The folder, if its disk is short of space.
    var fullDirectory: String? { folder.isShortOfSpace ? folder.path : nil }

    /// The number of the last entry.
    public var number: UInt64 { counts.withLock { $0.number } }

    /// Entries that were appended since the store was opened.
    public var entries: UInt64 { counts.withLock { $0.entries } }

    /// The bytes of those entries.
    public var bytes: UInt64 { counts.withLock { $0.bytes } }

    func note(_ position: LogPosition, bytes: Int) {
        counts.withLock { $0 = (position.number, $0.entries + 1, $0.bytes + UInt64(clamping: bytes)) }
    }

    /// Removes files of the log, and of earlier logs in its folder, that were last written before a time: the oldest of
    /// each log, up to the first that is newer. The file that is being written to remains.
    /// - Returns: how many were removed.
    /// - Throws: ``LogFailure/file(path:reason:)``.
    @available(*, noasync)
    @discardableResult
    public func removeFiles(before time: UnixSeconds) throws(StoreFailure) -> Int {
        var count = 0
        for epoch in Set(try folder.files().map(\.epoch)) {
            let files = try folder.files(of: epoch)
            for file in epoch == self.epoch ? files.dropLast() : files[...] {
                let path = folder.path + "/" + file.name
                let isOld = try LogFolder.converting { () throws(FileError) in
                    guard try RegularFile.modified(path) < time.rawValue else { return false }
                    try RegularFile.remove(path)
                    return true
                }
                guard isOld else { break }
                count += 1
            }
        }
        return count
    }
}

extension StoreWriter {
    /// How much of its log the store has; nil for a store without one.
    func logPosition(
        in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> LogPosition? {
        try MetaTable(schema).value(.logPosition, in: transaction).flatMap { LogPosition(row: $0) }
    }

    func setLogPosition(_ position: LogPosition, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            try MetaTable(schema).put(.logPosition, position.row, in: transaction)
        }
    }

    /// From now on the store is changed without a log. The next one will name the position where this one was left: so a
    /// restore that would end with this one can see that there is more.
    func leaveLog(at position: LogPosition, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            try MetaTable(schema).set(MetaName.logPosition.key, nil, in: transaction)
            try MetaTable(schema).put(.logPredecessor, position.row, in: transaction)
        }
    }
}
