import CredentialDigest
public import CredentialModel
import LMDB
import Synchronization

/// A log as files in a folder.
///
/// ```
/// 8f3c01d2a4b5e677-0000000000000001.log      the log's epoch, and the number of the first entry in the file
/// 8f3c01d2a4b5e677-0000000000002c1a.log
/// ```
///
/// A file has entries one behind the other, and is followed by the next one when it is large. Only the last file is
/// written to, at its end. So the folder can be copied while it is in use: at worst the copy ends in the middle of an
/// entry, which is then not read.
struct LogFolder: Sendable {
    let path: String

    /// A file is not continued above this size.
    static let fileBytesMax = 64 << 20

    struct File: Sendable, Equatable {
        let name: String
        let epoch: UInt64
        let first: UInt64

        init(epoch: UInt64, first: UInt64) {
            self.epoch = epoch
            self.first = first
            name = "\(Self.digits(epoch))-\(Self.digits(first)).log"
        }

        /// Nil for a file that is no part of a log.
        init?(name: String) {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            let numbers = parts[0].split(separator: "-").map { UInt64($0, radix: 16) }
            guard parts.count == 2, parts[1] == "log", numbers.count == 2, let epoch = numbers[0],
                let first = numbers[1]
            else { return nil }
            self.init(epoch: epoch, first: first)
            guard self.name == name else { return nil }
        }

        private static func digits(_ number: UInt64) -> String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
    }

    /// The files of all logs.
    /// - Throws: ``LogFailure/file(path:reason:)``.
    func files() throws(StoreFailure) -> [File] {
        try Self.converting { () throws(FileError) in try RegularFile.names(in: path) }.compactMap { File(name: $0) }
    }

    /// The files of one log, in order.
    /// - Throws: ``LogFailure/file(path:reason:)``.
    func files(of epoch: UInt64) throws(StoreFailure) -> [File] {
        try files().filter { $0.epoch == epoch }.sorted { $0.first < $1.first }
    }

    func file(_ file: File, forReading: Bool = false) throws(StoreFailure) -> AppendedFile {
        try Self.converting { () throws(FileError) in
            try AppendedFile(path: path + "/" + file.name, forReading: forReading)
        }
    }

    /// Reads the entries after a position, in order, each checked against the one before it.
    ///
    /// - Returns: the last file that was read and the end of its last whole entry; nil when the log has no file.
    /// - Throws: ``LogFailure``, also when the log ends before `start`; and what `each` throws.
    @discardableResult
    func read(
        after start: LogPosition, _ each: (LogEntry) throws(StoreFailure) -> ScanStep
    ) throws(StoreFailure) -> (file: File, end: Int)? {
        let files = try files(of: start.epoch)
        guard let last = files.last else {
            guard start.number == 0 else { throw .log(.missing(number: start.number)) }
            return nil
        }
        // The first file that can have the entry at `start`, which is compared with it.
        let begin = files.lastIndex { $0.first <= max(start.number, 1) } ?? 0
        guard files[begin].first <= start.number + 1 else { throw .log(.missing(number: start.number + 1)) }
        var position: LogPosition?
        var (end, isOver) = (0, false)
        for file in files[begin...] where !isOver {
            if let position, file.first != position.number + 1 { throw .log(.missing(number: position.number + 1)) }
            end = try read(file, isLast: file == last) { (entry) throws(StoreFailure) in
                let number = entry.position.number
                guard entry.position.epoch == start.epoch, number == position.map({ $0.number + 1 }) ?? file.first
                else {
                    throw .log(.malformed)
                }
                if let position, entry.previousHash != position.hash {
                    throw .log(.otherBranch(number: position.number))
                }
                position = entry.position
                if number == start.number + 1, entry.previousHash != start.hash {
                    throw .log(.otherBranch(number: start.number))
                }
                if number == start.number, entry.position != start { throw .log(.otherBranch(number: number)) }
                if number > start.number, try each(entry) == .stop { isOver = true }
                return isOver ? .stop : .next
            }
        }
        let number = position?.number ?? 0
        guard number >= start.number else { throw .log(.missing(number: number + 1)) }
        return (last, end)
    }

    /// Reads the entries of a file.
    /// - Returns: where its last whole entry ends.
    private func read(
        _ file: File, isLast: Bool, _ each: (LogEntry) throws(StoreFailure) -> ScanStep
    ) throws(StoreFailure) -> Int {
        let source = try self.file(file, forReading: true)
        var offset = 0
        while offset < source.byteCount {
            let header = try Self.converting { () throws(FileError) in
                try source.read(at: offset, count: LogEntry.headerBytes)
            }
            let count = LogEntry.byteCount(header: header)
            guard let count, offset + count <= source.byteCount else {
                // The end of an append that was interrupted, or of a copy: nobody was told that it is there. Unless
                // another entry follows: then this one is damaged.
                guard isLast, try !hasEntry(of: file.epoch, in: source, from: offset + 1) else {
                    throw .log(.malformed)
                }
                return offset
            }
            let bytes = try Self.converting { () throws(FileError) in try source.read(at: offset, count: count) }
            offset += count
            if try each(try LogEntry(bytes)) == .stop { break }
        }
        return offset
    }

    private func hasEntry(of epoch: UInt64, in source: AppendedFile, from offset: Int) throws(StoreFailure) -> Bool {
        let rest = try Self.converting { () throws(FileError) in
            try source.read(at: offset, count: source.byteCount - offset)
        }
        let beginning = LogEntry.beginning(epoch: epoch)
        return rest.indices.contains { rest[$0] == beginning[0] && rest[$0...].starts(with: beginning) }
    }

    static func converting<Value>(_ body: () throws(FileError) -> Value) throws(StoreFailure) -> Value {
        do {
            return try body()
        } catch {
            throw .log(LogFailure(error))
        }
    }
}

/// The log of a store that is open for writing: takes each transaction before it is committed.
///
/// Used on the writer thread only.
///
/// The order is: operations, log, commit, acknowledgement. So everything that was acknowledged is in the log. A process
/// that ends between log and commit leaves an entry that the store lacks, and that nobody was told of; the store takes it
/// when it is opened again, since others may have read it.
final class StoreLog {
    private let folder: LogFolder
    private let lock: DirectoryLock
    private let origin: UInt64
    private let lookup: TagKey
    let figures: LogFigures
    /// Identifies this opening of the store.
    private let writer = UInt64.random(in: 1...UInt64.max)
    private var file: AppendedFile?
    /// Of the last entry.
    private(set) var position: LogPosition
    /// Before the last entry, until it is committed.
    private var before: (position: LogPosition, byteCount: Int)?

    private init(
        _ folder: LogFolder, _ lock: DirectoryLock, _ origin: UInt64, _ lookup: TagKey, _ position: LogPosition,
        isNew: Bool
    ) {
        self.folder = folder
        self.lock = lock
        self.origin = origin
        self.lookup = lookup
        self.position = position
        figures = LogFigures(folder: folder, epoch: position.epoch, isNew: isNew)
    }

    /// Continues the store's log, after applying what the store lacks of it; or begins a new one.
    ///
    /// - Parameter mustBegin: the store is made anew from something else, so that it is no longer what its log describes.
    /// - Throws: ``LogFailure`` when the log does not go on from where the store is.
    static func begin(
        in path: String, for writer: StoreWriter, origin: UInt64, lookup: TagKey, mustBegin: Bool,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoreLog {
        let folder = LogFolder(path: path)
        _ = try LogFolder.converting { () throws(FileError) in try DurableDirectory.create(path: path) }
        // Two copies of a store would continue the same log in two ways.
        let lock: DirectoryLock
        do {
            lock = try DirectoryLock(directory: path)
        } catch {
            throw .log(.held(path: path))
        }
        guard !mustBegin, let position = try writer.logPosition(in: transaction) else {
            let log = StoreLog(folder, lock, origin, lookup, .beginning(), isNew: true)
            try writer.setLogPosition(log.position, in: transaction)
            return log
        }
        let log = StoreLog(folder, lock, origin, lookup, position, isNew: false)
        do throws(StoreFailure) {
            try log.takeWhatIsMissing(for: writer, in: transaction)
        } catch {
            lock.release()
            throw error
        }
        return log
    }

    /// Applies the entries that the store lacks, and removes what is behind the last whole one.
    private func takeWhatIsMissing(
        for writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let end = try folder.read(after: position) { (entry) throws(StoreFailure) in
            try writer.replay(entry, origin: origin, lookup: lookup, in: transaction)
            position = entry.position
            figures.entriesTakenAtOpening += 1
            return .next
        }
        guard let end else { return }
        let file = try folder.file(end.file)
        if file.byteCount > end.end {
            try LogFolder.converting { () throws(FileError) in try file.truncate(to: end.end) }
        }
        self.file = file
    }

    /// Appends a transaction's operations as an entry, which is durable when this returns.
    /// - Throws: ``StoreFailure/diskFull(directory:)``, ``StoreFailure/writeFailed(directory:_:)``,
    ///   ``LogFailure/tooLong``: nothing was appended, unless ``isUnknown`` is set.
    func append(_ writer: StoreWriter, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let operations = writer.recordedBytes
        guard !operations.isEmpty else { return }
        try append(operations, at: writer.now)
        try writer.setLogPosition(position, in: transaction)
    }

    private func append(_ operations: [UInt8], at time: UnixSeconds) throws(StoreFailure) {
        let entry = try LogEntry(
            operations, after: position, origin: origin, writer: writer, time: time, lookup: lookup)
        let file = try file(for: entry)
        let byteCount = file.byteCount
        do {
            try file.append(entry.bytes)
        } catch {
            let reason = error.asLMDBError
            throw reason == .diskFull ? .diskFull(directory: folder.path) : .writeFailed(directory: folder.path, reason)
        }
        before = (position, byteCount)
        position = entry.position
    }

    var directory: String { folder.path }

    /// Whether the disk has so little space left that the rest is kept for revocations.
    var isShortOfSpace: Bool {
        guard let space = try? DiskSpace.of(folder.path) else { return false }
        return space.availableBytes < min(Self.floorBytesMax, space.totalBytes / 20)
    }

    private static let floorBytesMax = 64 << 20

    /// The file that gets an entry: the last one, or the next if that is large.
    private func file(for entry: LogEntry) throws(StoreFailure) -> AppendedFile {
        if let file, file.byteCount == 0 || file.byteCount + entry.bytes.count <= LogFolder.fileBytesMax { return file }
        let next = try folder.file(LogFolder.File(epoch: position.epoch, first: entry.position.number))
        file = next
        return next
    }

    /// Whether a failed append may be in the log all the same.
    var isUnknown: Bool { file?.isUnknown ?? false }

    /// The last entry is in the store as well.
    func committed() {
        if let before, let file { figures.note(bytes: file.byteCount - before.byteCount) }
        before = nil
    }

    /// Lets another process continue the log.
    func close() { lock.release() }

    /// Takes the last entry back, because its transaction was not committed and nobody was told of it.
    /// - Throws: ``LogFailure/file(path:reason:)``: the log may have an entry that the store lacks.
    func withdraw() throws(StoreFailure) {
        guard let file, let before else { return }
        try LogFolder.converting { () throws(FileError) in try file.truncate(to: before.byteCount) }
        position = before.position
        self.before = nil
    }
}

/// What is known of a store's log outside of the writer thread.
public final class LogFigures: Sendable {
    /// The log began when the store was opened. So only a backup that is made from now on can be brought up to date by it.
    public let isNew: Bool
    private let folder: LogFolder
    private let epoch: UInt64
    private let counts = Mutex((entries: UInt64(0), bytes: UInt64(0), atOpening: UInt64(0)))

    init(folder: LogFolder, epoch: UInt64, isNew: Bool) {
        self.folder = folder
        self.epoch = epoch
        self.isNew = isNew
    }

    /// Entries that were appended since the store was opened.
    public var entries: UInt64 { counts.withLock { $0.entries } }

    /// The bytes of those entries.
    public var bytes: UInt64 { counts.withLock { $0.bytes } }

    /// Entries that the log had and the store lacked, when it was opened: more than one if a copy was put in its place.
    public internal(set) var entriesTakenAtOpening: UInt64 {
        get { counts.withLock { $0.atOpening } }
        set { counts.withLock { $0.atOpening = newValue } }
    }

    func note(bytes: Int) {
        counts.withLock { counts in
            counts.entries += 1
            counts.bytes += UInt64(clamping: bytes)
        }
    }

    /// Removes files of the log, and of earlier logs in its folder, that were last written before a time. The file that
    /// is being written to remains.
    /// - Returns: how many were removed.
    /// - Throws: ``LogFailure/file(path:reason:)``.
    @available(*, noasync)
    @discardableResult
    public func removeFiles(before time: UnixSeconds) throws(StoreFailure) -> Int {
        let last = try folder.files(of: epoch).last
        var count = 0
        for file in try folder.files() where file != last {
            let path = folder.path + "/" + file.name
            try LogFolder.converting { () throws(FileError) in
                guard try RegularFile.modified(path) < time.rawValue else { return }
                try RegularFile.remove(path)
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

    /// Nil: from now on the store is changed without a log.
    func setLogPosition(
        _ position: LogPosition?, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            try MetaTable(schema).set(MetaName.logPosition.key, position?.row, in: transaction)
        }
    }

    /// Does what an entry says. The caller has checked that the entry follows on the store's position.
    func replay(
        _ entry: LogEntry, origin: UInt64, lookup: TagKey, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let operations = try entry.operations(origin: origin, lookup: lookup)
        // Not a time that has not come yet: the clock of the entry's writer may have been set far ahead.
        let mark = min(entry.time, UnixSeconds(TrustedClock.Reading.current.wall))
        try begin(now: entry.time, mark: mark, in: transaction)
        var decoder = OperationDecoder(operations, now: entry.time)
        while let operation = try decoder.next(self, in: transaction) { try perform(operation, in: transaction) }
        try end(isReplay: true, in: transaction)
        try setLogPosition(entry.position, in: transaction)
        interning.publish()
        interning.committed()
    }
}

extension LogFailure {
    init(_ error: FileError) {
        let text = error.description
        self =
            switch error {
            case .absent(let path), .exists(let path), .notRegular(let path), .notADirectory(let path),
                .tooOpen(let path, _), .tooLong(let path, _), .system(let path, _):
                .file(path: path, reason: text.hasPrefix(path + ": ") ? String(text.dropFirst(path.count + 2)) : text)
            }
    }
}
