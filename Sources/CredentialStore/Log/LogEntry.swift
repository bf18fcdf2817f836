import CredentialDigest
public import CredentialModel
public import LMDB

// A log is a sequence of entries, one for each transaction that changed something. Each entry names the one before it by
// its hash, so a store that has followed a log up to a position can tell whether the next entry continues from there.
//
// ```
//   0 "CS"   2 version   3 kind     4 format level (4)
//   8 epoch             16 number                        the entry's place in the log
//  24 hash of the entry before (32)
//  56 batch id (16)                                      random: the same bytes may arrive twice
//  72 writer            80 time              88 mark    the writer's clocks, see `Author`
//  96 flags (4)        100 bytes of content (4)        flag 1: the author waits until every node has it
// 104 content, encrypted, and 16 bytes of tag
// ```
//
// Operations name owners and scopes, so they are encrypted (AES-256-GCM). The key is derived from the lookup secret,
// which all stores of the same data have, and from everything that makes an entry unique. The header is authenticated
// with them. Whoever has the log and no pepper file can read nothing, and cannot add an entry that a store would take.
// Operations have tags, never secrets.

/// How much of a log a store has: everything up to and including one entry.
public struct LogPosition: Sendable, Equatable {
    /// One log. It is another one after a restore, and after a time in which the store was changed without its log.
    public var epoch: UInt64
    /// The number of the last entry, from 1; 0 at the beginning.
    public var number: UInt64
    /// The hash of that entry; of the beginning: a random number.
    public var hash: [UInt8]

    public static let hashBytes = 32

    /// The beginning of a new log.
    static func beginning() -> LogPosition {
        LogPosition(
            epoch: UInt64.random(in: 1...UInt64.max), number: 0,
            hash: (0..<hashBytes).map { _ in UInt8.random(in: 0...255) })
    }

    // The row in `meta`.

    var row: [UInt8] {
        var row: [UInt8] = []
        row.append(word64: epoch)
        row.append(word64: number)
        return row + hash
    }

    public init(epoch: UInt64, number: UInt64, hash: [UInt8]) {
        self.epoch = epoch
        self.number = number
        self.hash = hash
    }

    init?(row: [UInt8]) {
        guard row.count == 16 + Self.hashBytes else { return nil }
        self.init(epoch: row.octets.word64(at: 0), number: row.octets.word64(at: 8), hash: Array(row[16...]))
    }
}

/// The operations of one transaction, with their place in a log.
public struct LogEntry: Sendable {
    static let headerBytes = 104

    enum Kind: UInt8 {
        /// The content is operations.
        case transaction = 1
        /// The first entry of a log: the content is the position in the store's log before this one, if it had any.
        case beginning = 2
    }

    /// Who wrote an entry, and when.
    struct Author: Equatable {
        /// Identifies one opening of a store.
        var writer: UInt64
        /// Of the transaction.
        var time: UnixSeconds
        /// The time that a restart may rely on (``TrustedClock/mark(_:)``), without steps of the wall clock far ahead; 0
        /// if it is not known.
        var mark: UnixSeconds
    }
    /// The version of the entry's form.
    static let version: UInt8 = 1
    /// An entry is one transaction, which is bounded by its mutations.
    static let bytesMax = 64 << 20

    private static let magic = Array("CS".utf8)
    private static let keyName = Array("countersign log entry".utf8)

    /// The position that a store has reached when it has this entry.
    public let position: LogPosition
    public let previousHash: [UInt8]
    let kind: Kind
    let author: Author
    /// All of it.
    public let bytes: [UInt8]

    var time: UnixSeconds { author.time }

    /// See ``LogLevel``.
    var level: UInt32 { bytes.octets.word32(at: 4) }

    /// Tells the entry from another one for the same place.
    public var batch: UInt64 { bytes.octets.word64(at: 56) }

    /// Whether its author waits until every node that shares the log has it.
    public var wantsConfirmation: Bool { bytes.octets.word32(at: 96) & Self.confirmationFlag != 0 }

    private static let confirmationFlag: UInt32 = 1

    /// Makes the entry that follows on a position.
    /// - Parameters:
    ///   - level: see ``LogLevel``.
    ///   - origin: of the data, so that the entries of two stores never have the same key.
    /// - Throws: ``LogFailure/tooLong``.
    init(
        _ kind: Kind, _ content: [UInt8], after position: LogPosition, by author: Author,
        level: UInt32 = LogLevel.newest, wantsConfirmation: Bool = false, origin: UInt64, lookup: TagKey
    ) throws(StoreFailure) {
        guard content.count + Self.headerBytes + SealedMessage.overheadBytes <= Self.bytesMax else {
            throw .log(.tooLong)
        }
        var header = Self.beginning(kind, level: level, epoch: position.epoch)
        header.append(word64: position.number + 1)
        header += position.hash
        for _ in 0..<2 { header.append(word64: UInt64.random(in: 0...UInt64.max)) }
        header.append(word64: author.writer)
        header.append(word64: UInt64(bitPattern: author.time.rawValue))
        header.append(word64: UInt64(bitPattern: author.mark.rawValue))
        header.append(word32: wantsConfirmation ? Self.confirmationFlag : 0)
        header.append(word32: UInt32(content.count))
        guard let sealed = SealedMessage.seal(content, key: Self.key(header, origin, lookup), associated: header) else {
            throw .lmdb(.system(12))
        }
        self.init(kind, header: header, sealed: sealed)
    }

    /// Reads an entry.
    /// - Parameter bytes: a whole entry; nothing about it is assumed.
    /// - Throws: ``LogFailure/malformed``, ``LogFailure/formatTooNew``.
    public init(_ bytes: [UInt8]) throws(StoreFailure) {
        guard let count = Self.byteCount(header: bytes), count == bytes.count else { throw .log(.malformed) }
        guard bytes[2] == Self.version, let kind = Kind(rawValue: bytes[3]),
            bytes.octets.word32(at: 4) <= LogLevel.newest
        else { throw .log(.formatTooNew) }
        guard bytes.octets.word32(at: 96) & ~Self.confirmationFlag == 0 else { throw .log(.malformed) }
        self.init(kind, header: Array(bytes[..<Self.headerBytes]), sealed: Array(bytes[Self.headerBytes...]))
    }

    private init(_ kind: Kind, header: [UInt8], sealed: [UInt8]) {
        let bytes = header + sealed
        self.kind = kind
        self.bytes = bytes
        position = LogPosition(
            epoch: header.octets.word64(at: 8), number: header.octets.word64(at: 16),
            hash: SHA256Digest.of(bytes.octets))
        previousHash = Array(header[24..<56])
        author = Author(
            writer: header.octets.word64(at: 72), time: UnixSeconds(Int64(bitPattern: header.octets.word64(at: 80))),
            mark: UnixSeconds(Int64(bitPattern: header.octets.word64(at: 88))))
    }

    /// How an entry begins.
    static func beginning(_ kind: Kind = .transaction, level: UInt32, epoch: UInt64) -> [UInt8] {
        var beginning = magic + [version, kind.rawValue]
        beginning.append(word32: level)
        beginning.append(word64: epoch)
        return beginning
    }

    /// Whether bytes begin as an entry with operations does, of any level: also of one that this version does not know.
    static func begins(_ bytes: ArraySlice<UInt8>, epoch: UInt64) -> Bool {
        guard bytes.first == magic[0] else { return false }
        let expected = beginning(level: 0, epoch: epoch)
        return bytes.count >= expected.count
            && zip(bytes, expected).enumerated().allSatisfy { levelPlace.contains($0) || $1.0 == $1.1 }
    }

    private static let levelPlace = 4..<8

    /// The length of the entry that begins with a header; nil when it is none.
    static func byteCount(header: [UInt8]) -> Int? {
        guard header.count >= headerBytes, header.starts(with: magic) else { return nil }
        let count = headerBytes + Int(header.octets.word32(at: 100)) + SealedMessage.overheadBytes
        return count <= bytesMax ? count : nil
    }

    /// The time of the entry that begins with a header; nil when it is none.
    static func time(header: [UInt8]) -> UnixSeconds? {
        byteCount(header: header).map { _ in UnixSeconds(Int64(bitPattern: header.octets.word64(at: 80))) }
    }

    /// Decrypts the content.
    /// - Throws: ``LogFailure/notGenuine``.
    func content(origin: UInt64, lookup: TagKey) throws(StoreFailure) -> [UInt8] {
        let header = Array(bytes[..<Self.headerBytes])
        let sealed = Array(bytes[Self.headerBytes...])
        guard let content = SealedMessage.open(sealed, key: Self.key(header, origin, lookup), associated: header) else {
            throw .log(.notGenuine(number: position.number))
        }
        return content
    }

    /// The key of one entry: no two entries have epoch, number and batch id in common.
    private static func key(_ header: [UInt8], _ origin: UInt64, _ lookup: TagKey) -> Tag {
        var name = keyName
        name.append(word64: origin)
        return SealedMessage.key(lookup, name: name + header[8..<24] + header[56..<72])
    }
}

/// Why a log cannot be written, or why a store does not take an entry.
public enum LogFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// How a store differs from the one that wrote the log.
    public enum Divergence: Equatable, Sendable, CustomStringConvertible {
        case rowMissing, idTaken, numberTaken

        public var description: String {
            switch self {
            case .rowMissing: "changes a credential that is not in the store"
            case .idTaken: "adds a credential whose id is already in the store"
            case .numberTaken: "assigns a number that is already assigned in the store"
            }
        }
    }

    /// An entry does not fit the rows of the store.
    case diverged(Divergence)
    /// An entry that no version writes.
    case malformed
    /// A file has something in it that is no entry, or not the next one.
    case damaged(file: String)
    /// An entry of a later version.
    case formatTooNew
    /// A log's level is raised one by one.
    case levelSkipped(next: UInt32)
    /// An entry that was written with another pepper file, by another store, or changed since.
    case notGenuine(number: UInt64)
    /// More operations than an entry can hold.
    case tooLong
    /// The store has never had a log, or was changed without it.
    case noPosition
    /// The entry that follows on the store's position is not in the log.
    case missing(number: UInt64, folder: String)
    /// The log ends, and the store went on with another one.
    case continuedElsewhere(since: UnixSeconds)
    /// The log is to be replayed up to an entry or a time before the one that the store is at.
    case alreadyBeyond(number: UInt64)
    /// The log has another entry at the store's position.
    case otherBranch(number: UInt64)
    /// The store has a log, and would be changed without it.
    case needed
    /// Another process writes to the log, or its folder cannot be locked.
    case held(path: String, DirectoryLockError)
    /// The log's last file was removed, replaced or shortened while the store was open.
    case displaced(path: String)
    /// The log's files cannot be read or written.
    case file(path: String, reason: String)

    public var description: String {
        switch self {
        case .diverged(let divergence):
            "the log \(divergence): the store was changed in another way than by its log; restore a backup, and replay the log on it"
        case .malformed: "the log has an entry that is damaged: copy it again, or restore the folder from a copy"
        case .damaged(let file):
            "\(file) is damaged: copy it again, or restore it from a copy; a store that is sound goes on with a new log when this one is moved away and store.log names an empty folder, after one start without store.log"
        case .formatTooNew: "the log was written by a newer version: use that one"
        case .levelSkipped(let next): "the level of a log is raised one by one: the next one is \(next)"
        case .notGenuine(let number):
            "entry \(number) of the log is damaged, or was written with another pepper file or by another store: name the right log and pepper file"
        case .tooLong: "one change is larger than an entry of the log may be: split it"
        case .noPosition:
            "the store has no position in a log: it was made, or changed, without one; take a backup that was made while store.log was set"
        case .missing(let number, let folder):
            "entry \(number) is not in \(folder), and the store or backup needs it: check that this is the right folder and that its disk is mounted, copy all files of the log, or take a later backup; a store that is sound goes on with a new log after one start without store.log"
        case .continuedElsewhere(let time):
            "the log ends, and the store went on with another one, which began \(time.rawValue) seconds after 1970-01-01: what was changed then, revocations included, does not fit this backup. Take a backup made since, or say with --log-until up to which earlier time"
        case .alreadyBeyond(let number):
            "the backup or copy has entry \(number) of the log already, which is later than you asked for: take an earlier backup"
        case .otherBranch(let number):
            "entry \(number) of the log differs from the one that the store has: take a backup made from this log, or copy the log again"
        case .needed:
            "the store has a log, which must have every change: let the daemon do it, or name the folder of the log in COUNTERSIGN_STORE_LOG"
        case .held(let path, .heldBy(let pid)):
            "the folder of the log \(path) is in use by \(pid.map { "process \($0)" } ?? "another process"): end that process, or name another folder"
        case .held(let path, .notOwner(let uid)):
            "the folder of the log \(path) belongs to uid \(uid): run as that user, or change its owner"
        case .held(let path, let reason):
            "the folder of the log \(path) cannot be locked (\(reason)): check its permissions"
        case .displaced(let path):
            "the last file of the log in \(path) was removed, replaced or shortened while the store was open, so what follows would be in no copy of it: move the folder away, start once without store.log, then set it again and make a backup"
        case .file(let path, let reason): "the log \(path): \(reason)"
        }
    }
}
