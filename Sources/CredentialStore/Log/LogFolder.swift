import CredentialDigest
import CredentialModel
import LMDB

/// A log as files in a folder.
///
/// ```
/// 8f3c01d2a4b5e677-0000000000000001.log      the log's epoch, and the number of the first entry in the file
/// 8f3c01d2a4b5e677-0000000000002c1a.log
/// ```
///
/// A file has entries one behind the other, and is followed by the next one when it is large. Only the last file is
/// written to, at its end. So the folder can be copied while it is in use: the copy may end in the middle of an entry,
/// which is then not read. A copy in which a file ends too early and the next one is there was made while the log went on
/// to that: it is refused, and must be made again.
struct LogFolder: Sendable {
    let path: String

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
            // Entries are numbered from 1.
            guard self.name == name, first > 0 else { return nil }
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

    /// Where a log ends.
    struct End: Sendable {
        let file: File
        /// Where the last whole entry ends, and the file.
        let entryEnd: Int
        let fileEnd: Int
        /// Whether the file was read to its end.
        var isWhole = true
    }

    /// Reads the entries after a position, in order, each checked against the one before it.
    /// - Returns: the end of what was read.
    /// - Throws: ``LogFailure``, also when the log has no file or ends before `start`; and what `each` throws.
    @discardableResult
    func read(
        after start: LogPosition, _ each: (LogEntry) throws(StoreFailure) -> ScanStep
    ) throws(StoreFailure) -> End {
        let files = try files(of: start.epoch)
        // The last file that can have the entry at `start`, which is compared with it.
        guard let last = files.last, let begin = files.lastIndex(where: { $0.first <= max(start.number, 1) }) else {
            throw .log(.missing(number: max(start.number, 1), folder: path))
        }
        var position: LogPosition?
        var number = files[begin].first - 1
        var end = End(file: files[begin], entryEnd: 0, fileEnd: 0)
        var isOver = false
        for file in files[begin...] where !isOver {
            guard file.first == number + 1 else { throw .log(.missing(number: number + 1, folder: path)) }
            end = try read(file, isLast: file == last) { (entry) throws(StoreFailure) in
                number += 1
                guard entry.position.epoch == start.epoch, entry.position.number == number else {
                    throw .log(.damaged(file: path + "/" + file.name))
                }
                let before = number == start.number + 1 ? start : position
                if let before, entry.previousHash != before.hash { throw .log(.otherBranch(number: before.number)) }
                if number == start.number, entry.position != start { throw .log(.otherBranch(number: number)) }
                position = entry.position
                if number > start.number, try each(entry) == .stop { isOver = true }
                return isOver ? .stop : .next
            }
        }
        guard number >= start.number else { throw .log(.missing(number: number + 1, folder: path)) }
        return end
    }

    /// Reads the entries of a file.
    private func read(
        _ file: File, isLast: Bool, _ each: (LogEntry) throws(StoreFailure) -> ScanStep
    ) throws(StoreFailure) -> End {
        let source = try self.file(file, forReading: true)
        var (offset, isWhole) = (0, true)
        while offset < source.byteCount {
            let header = try Self.converting { () throws(FileError) in
                try source.read(at: offset, count: LogEntry.headerBytes)
            }
            let count = LogEntry.byteCount(header: header)
            guard let count, offset + count <= source.byteCount else {
                // The end of an append that was interrupted, or of a copy: nobody was told that it is there. Unless
                // another entry follows: then this one is damaged.
                guard isLast, try !hasEntry(of: file.epoch, in: source, from: offset + 1) else {
                    throw .log(.damaged(file: source.path))
                }
                break
            }
            let bytes = try Self.converting { () throws(FileError) in try source.read(at: offset, count: count) }
            offset += count
            if try each(try LogEntry(bytes)) == .stop {
                isWhole = false
                break
            }
        }
        return End(file: file, entryEnd: offset, fileEnd: source.byteCount, isWhole: isWhole)
    }

    /// When another log began in this folder with which the store went on: one that names this log as its predecessor, or
    /// one that is not older than the store.
    func beginningOfLaterLog(
        than epoch: UInt64, after time: UnixSeconds, origin: UInt64, lookup: TagKey
    ) throws(StoreFailure) -> UnixSeconds? {
        var latest: UnixSeconds?
        for file in try files() where file.epoch != epoch && file.first == 1 {
            // One that cannot be read is of another store, or was never complete.
            guard let first = try? beginning(of: file),
                let content = try? first.content(origin: origin, lookup: lookup)
            else { continue }
            if LogPosition(row: content)?.epoch == epoch || first.time >= time {
                latest = max(latest ?? first.time, first.time)
            }
        }
        return latest
    }

    /// The first entry of a log's first file.
    private func beginning(of file: File) throws(StoreFailure) -> LogEntry? {
        let source = try self.file(file, forReading: true)
        return try Self.converting { () throws(FileError) in
            let header = try source.read(at: 0, count: LogEntry.headerBytes)
            guard let count = LogEntry.byteCount(header: header), count <= Self.beginningBytesMax else { return nil }
            let bytes = try source.read(at: 0, count: count)
            return try? LogEntry(bytes)
        }
    }

    /// The first entry of a log has one position at most.
    private static let beginningBytesMax = 1_024

    /// Moves what is behind the last whole entry into a file of its own, `NAME.cut-NUMBER`: it counts as not written, but
    /// should it have been damaged and not torn, somebody may want to look at it.
    /// - Returns: the path of that file.
    func cut(_ end: End) throws(StoreFailure) -> String {
        let file = try file(end.file)
        return try Self.converting { () throws(FileError) in
            let rest = try file.read(at: end.entryEnd, count: end.fileEnd - end.entryEnd)
            let aside = try AppendedFile(
                path: "\(file.path).cut-\(UInt64.random(in: 0...UInt64.max))", mustBeNew: true)
            try aside.append(rest)
            try file.truncate(to: end.entryEnd)
            return aside.path
        }
    }

    private func hasEntry(of epoch: UInt64, in source: AppendedFile, from offset: Int) throws(StoreFailure) -> Bool {
        // No file of a log is as long as that.
        guard source.byteCount - offset <= 4 * LogEntry.bytesMax else { return true }
        let rest = try Self.converting { () throws(FileError) in
            try source.read(at: offset, count: source.byteCount - offset)
        }
        return rest.indices.contains { LogEntry.begins(rest[$0...], epoch: epoch) }
    }

    /// Whether the disk has so little space left that the rest is kept for revocations.
    var isShortOfSpace: Bool {
        guard let space = try? DiskSpace.of(path) else { return false }
        return space.availableBytes < min(Self.floorBytesMax, space.totalBytes / 20)
    }

    private static let floorBytesMax = 64 << 20

    static func converting<Value>(_ body: () throws(FileError) -> Value) throws(StoreFailure) -> Value {
        do {
            return try body()
        } catch {
            throw .log(LogFailure(error))
        }
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
