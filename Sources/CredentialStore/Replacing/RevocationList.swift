public import CredentialModel
import LMDB
public import RecordCache

// A backup does not know what was ended after it. So a store can export its revocations and the expiries that were set
// to an earlier time, and they are applied to a backup that replaces it before the first verification. The list is not
// relative to some time, so it needs no record of which backup is which, and can be applied twice. For this the sweep
// keeps each ended credential until it is expired in every backup (``StoredCredential/latestEnd``).
//
// A key without an expiry never is. So the sweep removes it once every backup that holds it as valid is older
// than any that is restored (``RetentionPolicy/backupSeconds``). It notes the time of the revocation; the list has
// everything that was ended since the latest such time, and a restore refuses an older backup with it. What counts is
// what was removed and not the setting, which may have been another before.
//
// ```
// countersign-revocations 2
// store ii 17316120448112834151              vendor and origin
// incarnation 8 7:100                        the store's incarnations: see ``Lineage``
// complete-since 1761004800                  the oldest backup that this list is complete for; 0: any
// revoked EoDdrWzLqRF 1795478762             a credential, and when
// ends 3xKq0bT2mZa 1795565162                a rotated credential, and its expiry
// shortened 9aKq0bT2mZa 1795565162           a credential that once had a later expiry, and its expiry
// owner acme 88 0                            a bulk revocation: journal number, issued before
// client 3 1795478762                        a client, and when
// client-watermark 3 88 0
// family-watermark 77 88 0
// end 6 93                                   number of entries; the highest journal number
// ```
//
// Bytes of an owner outside 0x21...0x7E, and `%`, are percent-encoded. The list has no secrets.
//
// Version 1, which is still read, has no `incarnation`, `complete-since` and `shortened`. A program that knows only
// version 1 refuses version 2 as a whole: without what it does not know, it would restore too much.

/// What a store has revoked, for a backup that will replace it.
public struct RevocationList: Sendable {
    public enum Entry: Sendable, Equatable {
        case revoked(CredentialID, at: UnixSeconds)
        case ends(CredentialID, at: UnixSeconds)
        case shortened(CredentialID, at: UnixSeconds)
        case watermark(WatermarkSubject, Watermark)
        /// A client by its number.
        case clientRevoked(UInt32, at: UnixSeconds)
    }

    public let vendor: Vendor
    /// The store's first incarnation, which all its backups share.
    public let origin: UInt64
    /// The highest journal number that was assigned.
    public let journalNumber: UInt64
    public let entries: [Entry]
    /// Nil in version 1.
    let lineage: Lineage?
    /// For a backup from before this time it lacks revocations, because their rows were removed. ``UnixSeconds/always``
    /// in version 1.
    let completeSince: UnixSeconds

    /// Parses a whole list.
    /// - Throws: ``RevocationListError`` that names the line; a truncated list is refused.
    public init(parsing text: [UInt8]) throws(RevocationListError) {
        var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.popLast()?.isEmpty == true, lines.count >= 3 else { throw .truncated }
        let version = try Self.version(lines[0])
        let store = Self.words(lines[1])
        guard store.count == 3, store[0] == "store", let vendor = Vendor(store[1]), let origin = UInt64(store[2]) else {
            throw .line(2)
        }
        var lineage: Lineage?
        var completeSince = UnixSeconds.always
        if version >= 2 {
            lineage = Lineage(words: Self.words(lines[2]))
            guard lineage != nil else { throw .line(3) }
            guard lines.count >= 5 else { throw .truncated }
            let words = Self.words(lines[3])
            guard words.count == 2, words[0] == "complete-since", let time = Entry.time(words[1]) else {
                throw .line(4)
            }
            completeSince = time
        }
        var entries: [Entry] = []
        entries.reserveCapacity(lines.count)
        for (index, line) in lines.enumerated().dropFirst(version >= 2 ? 4 : 2).dropLast() {
            guard let entry = Entry(words: Self.words(line), version: version) else { throw .line(index + 1) }
            entries.append(entry)
        }
        let end = Self.words(lines[lines.count - 1])
        guard end.count == 3, end[0] == "end", let journalNumber = UInt64(end[2]) else { throw .truncated }
        guard Int(end[1]) == entries.count else { throw .truncated }
        guard journalNumber <= JournalEntry.numberMax else { throw .line(lines.count) }
        self.vendor = vendor
        self.origin = origin
        self.journalNumber = journalNumber
        self.entries = entries
        self.lineage = lineage
        self.completeSince = completeSince
    }

    private static func version(_ line: ArraySlice<UInt8>) throws(RevocationListError) -> Int {
        switch words(line) {
        case ["countersign-revocations", "1"]: 1
        case ["countersign-revocations", "2"]: 2
        default: throw .unknownFormat
        }
    }

    private static func words(_ line: ArraySlice<UInt8>) -> [String] {
        line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            // No word of the format is empty, so a line with a word that is not UTF-8 is refused.
            .map { String(validating: $0, as: UTF8.self) ?? "" }
    }

    static func head(vendor: Vendor, origin: UInt64, lineage: Lineage, completeSince: UnixSeconds) -> String {
        "countersign-revocations 2\nstore \(vendor) \(origin)\n\(lineage.line)complete-since \(completeSince)\n"
    }

    static func end(entryCount: Int, journalNumber: UInt64) -> String {
        "end \(entryCount) \(journalNumber)\n"
    }
}

extension RevocationList.Entry {
    var line: String {
        switch self {
        case .revoked(let id, let time): "revoked \(id) \(time)\n"
        case .ends(let id, let time): "ends \(id) \(time)\n"
        case .shortened(let id, let time): "shortened \(id) \(time)\n"
        case .clientRevoked(let number, let time): "client \(number) \(time)\n"
        case .watermark(let subject, let mark):
            switch subject {
            case .owner(let owner): "owner \(OwnerWord.encode(owner)) \(mark.journalNumber) \(mark.issuedBefore)\n"
            case .client(let number): "client-watermark \(number) \(mark.journalNumber) \(mark.issuedBefore)\n"
            case .family(let number): "family-watermark \(number) \(mark.journalNumber) \(mark.issuedBefore)\n"
            }
        }
    }

    init?(words: [String], version: Int) {
        guard words.count >= 3, version >= 2 || words[0] != "shortened" else { return nil }
        switch (words[0], words.count) {
        case ("revoked", 3), ("ends", 3), ("shortened", 3):
            guard let id = CredentialID(words[1]), let time = Self.time(words[2]) else { return nil }
            switch words[0] {
            case "revoked": self = .revoked(id, at: time)
            case "ends": self = .ends(id, at: time)
            default: self = .shortened(id, at: time)
            }
        case ("client", 3):
            guard let number = UInt32(words[1]), let time = Self.time(words[2]) else { return nil }
            self = .clientRevoked(number, at: time)
        case ("owner", 4), ("client-watermark", 4), ("family-watermark", 4):
            guard let subject = Self.subject(words[0], words[1]), let number = UInt64(words[2]),
                let issuedBefore = Self.time(words[3])
            else { return nil }
            self = .watermark(subject, Watermark(journalNumber: number, issuedBefore: issuedBefore))
        default: return nil
        }
    }

    private static func subject(_ kind: String, _ word: String) -> WatermarkSubject? {
        switch kind {
        case "owner": OwnerWord.decode(word).map { .owner($0) }
        case "client-watermark": UInt32(word).map { .client($0) }
        default: UInt64(word).map { .family($0) }
        }
    }

    fileprivate static func time(_ word: String) -> UnixSeconds? {
        Int64(word).flatMap { $0 >= 0 ? UnixSeconds($0) : nil }
    }
}

/// An owner as one word of printable ASCII.
private enum OwnerWord {
    static func encode(_ owner: [UInt8]) -> String {
        PercentEncoding.encode(bytes: owner) { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "%") }
    }

    static func decode(_ word: String) -> [UInt8]? {
        guard let owner = PercentEncoding.decode(word, plusIsSpace: false)?.utf8, !owner.isEmpty, !owner.contains(0)
        else { return nil }
        return Array(owner)
    }
}

/// Why a list is refused.
public enum RevocationListError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownFormat
    case line(Int)
    case truncated

    public var description: String {
        switch self {
        case .unknownFormat: "the file is not a list of revocations: make one with `countersign store revocations FILE`"
        case .line(let number): "line \(number) of the list of revocations is malformed: export it again"
        case .truncated: "the list of revocations is truncated: export or copy it again"
        }
    }
}

extension CredentialStore {
    /// Bytes of text passed to `emit` at once.
    private static let chunkBytes = 1 << 16

    /// Exports everything that was revoked or set to expire earlier, as of one snapshot that has everything
    /// acknowledged before the call.
    ///
    /// - Parameter emit: receives the text of a ``RevocationList``, piece by piece.
    /// - Throws: ``StoreFailure``, and what `emit` throws.
    @available(*, noasync)
    public func exportRevocations(_ emit: ([UInt8]) throws -> Void) throws {
        var text: [UInt8] = []
        var count = 0
        func add(_ entry: RevocationList.Entry) throws {
            count += 1
            text.append(contentsOf: entry.line.utf8)
            if text.count >= Self.chunkBytes {
                try emit(text)
                text.removeAll(keepingCapacity: true)
            }
        }
        let reader = try environment.makeReader()
        try reader.read { transaction in
            let lineage = try Lineage(of: MetaTable(schema), in: transaction)
            let since = try MetaTable(schema).number(.completeSince, in: transaction) ?? 0
            let completeSince = UnixSeconds(Int64(clamping: since))
            text += Array(
                RevocationList.head(vendor: vendor, origin: origin, lineage: lineage, completeSince: completeSince).utf8
            )
            for table in [schema.credentials, schema.tokens] {
                try table.scan(
                    from: 0, in: transaction, reading: { StoredCredential(row: $1, id: CredentialID(rawValue: $0)) }
                ) { key, credential in
                    let id = CredentialID(rawValue: key)
                    let record = credential.record
                    if record.flags.contains(.revoked) {
                        // One that the sweep has marked was not revoked: it ended when it expired.
                        let end = credential.isShortened ? record.expiresAt : .always
                        try add(.revoked(id, at: credential.revokedAt ?? end))
                    } else if record.flags.contains(.superseded) {
                        try add(.ends(id, at: record.expiresAt))
                    } else if credential.isShortened {
                        try add(.shortened(id, at: record.expiresAt))
                    }
                    return .next
                }
            }
            try WatermarkRow.readAll(schema, in: transaction) { try add(.watermark($0, $1)) }
            try schema.clients.scan(from: 0, in: transaction, reading: { ClientDefinition(key: $0, row: $1) }) {
                _, client in
                if let time = client.revokedAt { try add(.clientRevoked(client.number, at: time)) }
                return .next
            }
            let number = try MetaTable(schema).number(.journalNumber, in: transaction)
            text.append(contentsOf: RevocationList.end(entryCount: count, journalNumber: number ?? 0).utf8)
            try emit(text)
        }
    }
}

/// The result of applying a list to a store.
public struct AppliedRevocations: Sendable, Equatable {
    /// Entries that changed something.
    public var applied = 0
    /// Credentials and clients that the store does not know: created after the backup, and lost.
    public var unknown = 0
}

extension StoreWriter {
    /// Revokes what the list says was revoked, and sets expiries that are later than in the list to those. What is
    /// already revoked stays so; nothing is restored.
    func apply(
        _ list: RevocationList, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> AppliedRevocations {
        var outcome = AppliedRevocations()
        for entry in list.entries {
            switch try apply(entry, in: transaction) {
            case true?: outcome.applied += 1
            case false?: break
            case nil: outcome.unknown += 1
            }
        }
        return outcome
    }

    /// Nil when the subject is not in this store; false when nothing needed to change.
    private func apply(
        _ entry: RevocationList.Entry, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool? {
        switch entry {
        case .revoked(let id, let time):
            guard let old = try credential(id, in: transaction) else { return nil }
            guard !old.record.flags.contains(.revoked) else { return false }
            var new = old
            new.record.flags.insert(.revoked)
            new.revokedAt = time
            try replace(old, by: new, event: .revoked, in: transaction)
        case .ends(let id, let time), .shortened(let id, let time):
            guard let old = try credential(id, in: transaction) else { return nil }
            guard old.record.expiresAt > time else { return false }
            var new = old
            new.record.expiresAt = time
            if case .ends = entry { new.record.flags.insert(.superseded) }
            try replace(old, by: new, event: .edited, in: transaction)
        case .watermark(let subject, let watermark):
            let old =
                try self.watermark(of: subject, in: transaction) ?? Watermark(journalNumber: 0, issuedBefore: .always)
            let both = Watermark(
                journalNumber: max(old.journalNumber, watermark.journalNumber),
                issuedBefore: max(old.issuedBefore, watermark.issuedBefore))
            guard both != old else { return false }
            try perform(.watermark(subject, both), in: transaction)
        case .clientRevoked(let number, let time):
            guard var client = try client(number, in: transaction) else { return nil }
            guard client.revokedAt == nil else { return false }
            client.revokedAt = time
            try putClient(client, in: transaction)
        }
        return true
    }
}

extension StoreWriter {
    /// Notes that rows were removed that an older backup holds as valid. Only for the sweep and for a restore.
    func noteComplete(since time: UnixSeconds, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let time = UInt64(clamping: time.rawValue)
        if try number(.completeSince, in: transaction) ?? 0 < time {
            try perform(.meta(.completeSince, number: time), in: transaction)
        }
    }
}
