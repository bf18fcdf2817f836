public import CredentialModel
public import LMDB
public import RecordCache

/// Encodes a watermark for its table: kind and exact subject as the key, two numbers as the value.
///
/// A watermark that cannot be found makes everything that it revoked valid again, and the code of a missing row cannot
/// reveal that. So `meta` stores the number of watermarks and the XOR of their codes (``Sum``). They are compared
/// whenever all watermarks are read: at the start, by followers, and by `store check`.
enum WatermarkRow {
    static func key(_ subject: WatermarkSubject) -> [UInt8] {
        switch subject {
        case .owner(let owner): [1] + owner
        case .client(let number): numbered(2, UInt64(number))
        case .family(let number): numbered(3, number)
        }
    }

    private static func numbered(_ kind: UInt8, _ number: UInt64) -> [UInt8] {
        var key: [UInt8] = [kind]
        key.append(bigEndian: number)
        return key
    }

    static func subject(_ key: RawSpan) -> WatermarkSubject? {
        guard key.byteCount >= 1 else { return nil }
        switch key.byte(at: 0) {
        case 1: return .owner(key.extracting(1...).copied())
        case 2 where key.byteCount == 9: return TableKey.lastNumber(key).map { .client(UInt32(truncatingIfNeeded: $0)) }
        case 3 where key.byteCount == 9: return TableKey.lastNumber(key).map { .family($0) }
        default: return nil
        }
    }

    static func row(_ watermark: Watermark) -> [UInt8] {
        var row: [UInt8] = []
        row.append(word64: watermark.journalNumber)
        row.append(word64: UInt64(bitPattern: watermark.issuedBefore.rawValue))
        return row
    }

    static func watermark(_ row: RawSpan) -> Watermark? {
        guard row.byteCount == 16 else { return nil }
        return Watermark(
            journalNumber: row.word64(at: 0), issuedBefore: UnixSeconds(Int64(bitPattern: row.word64(at: 8))))
    }

    /// The journal event and subject of a watermark.
    static func event(_ subject: WatermarkSubject) -> (JournalEntry.Event, [UInt8]) {
        switch subject {
        case .owner(let owner): (.ownerRevoked, owner)
        case .client(let number): (.clientRevoked, Array("\(number)".utf8))
        case .family(let number): (.familyRevoked, Array("\(number)".utf8))
        }
    }

    /// What `meta` stores about all watermarks together.
    struct Sum: Equatable {
        var count: UInt64 = 0
        var codes: UInt64 = 0

        mutating func add(_ sealed: RawSpan) {
            count &+= 1
            codes ^= sealed.word64(at: sealed.byteCount &- AuthenticatedTable.codeBytes)
        }

        mutating func remove(_ sealed: RawSpan) {
            count &-= 1
            codes ^= sealed.word64(at: sealed.byteCount &- AuthenticatedTable.codeBytes)
        }

        init() {}

        /// As stored in `meta`; nil when it has none.
        init?(_ meta: MetaTable, in transaction: borrowing some ReadableTransaction & ~Copyable) throws(StoreFailure) {
            guard let value = try meta.value(.watermarkSum, in: transaction), value.count == 16 else { return nil }
            count = value.octets.word64(at: 0)
            codes = value.octets.word64(at: 8)
        }

        func write(_ meta: MetaTable, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
            var value: [UInt8] = []
            value.append(word64: count)
            value.append(word64: codes)
            try meta.put(.watermarkSum, value, in: transaction)
        }
    }

    /// Calls `body` with every watermark.
    /// - Throws: ``StoreFailure/damaged(table:row:)`` when one is damaged, is missing or is not of this store.
    static func readAll(
        _ schema: Schema, in transaction: borrowing some ReadableTransaction & ~Copyable,
        _ body: (WatermarkSubject, Watermark) throws -> Void
    ) throws {
        let table = schema.watermarks
        var sum = Sum()
        try table.scan(
            from: nil, in: transaction,
            reading: { key, row in
                guard let subject = subject(key), let watermark = watermark(row) else { return nil }
                sum.add(table.sealed(row.copied(), key: key.copied()).octets)
                return (subject, watermark)
            }
        ) { (found: (WatermarkSubject, Watermark)) in
            try body(found.0, found.1)
            return .next
        }
        guard try sum == Sum(MetaTable(schema), in: transaction) else {
            let failure = StoreFailure.damaged(table: "watermarks", row: "that is missing")
            schema.damage.note(failure)
            throw failure
        }
    }
}

extension StoreWriter {
    /// Writes a watermark, and updates the sum in `meta`.
    func putWatermark(
        _ subject: WatermarkSubject, _ watermark: Watermark, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let key = WatermarkRow.key(subject)
        let row = WatermarkRow.row(watermark)
        let table = schema.watermarks
        let old = try table.get(key.octets, in: transaction) { $0.copied() }
        guard var sum = try WatermarkRow.Sum(MetaTable(schema), in: transaction) else {
            throw .damaged(table: "meta", row: "watermark-sum")
        }
        if let old { sum.remove(table.sealed(old, key: key).octets) }
        sum.add(table.sealed(row, key: key).octets)
        try table.put(key, row, in: transaction)
        try sum.write(MetaTable(schema), in: transaction)
        publication.watermarks.append((subject, watermark))
    }

    /// Whether a watermark covers this credential.
    public func watermarkRevokes(
        _ credential: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        let record = credential.record
        var subjects: [WatermarkSubject] = [.owner(credential.owner)]
        if record.client != 0 { subjects.append(.client(record.client)) }
        if record.family != 0 { subjects.append(.family(record.family)) }
        for subject in subjects {
            guard let watermark = try watermark(of: subject, in: transaction) else { continue }
            if watermark.revokes(journalNumber: record.journalNumber, issuedAt: record.issuedAt) { return true }
        }
        return false
    }

    /// The watermark of a subject as this transaction sees it.
    public func watermark(
        of subject: WatermarkSubject, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Watermark? {
        try schema.watermarks.get(WatermarkRow.key(subject).octets, in: transaction) { WatermarkRow.watermark($0) }
    }

    /// Revokes everything of a subject issued up to now or, with a time, before that time. Returns the journal number.
    public func raiseWatermark(
        of subject: WatermarkSubject, issuedBefore: UnixSeconds?, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> UInt64 {
        try perform(.raise(subject, issuedBefore: issuedBefore), in: transaction)
        return journalNumber
    }

    func raise(
        _ subject: WatermarkSubject, _ issuedBefore: UnixSeconds?, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let old = try watermark(of: subject, in: transaction)
        let (event, name) = WatermarkRow.event(subject)
        let number = try journal(event, issuedBefore: issuedBefore, subject: name, in: transaction)
        let watermark =
            if let issuedBefore {
                Watermark(
                    journalNumber: old?.journalNumber ?? 0,
                    issuedBefore: max(issuedBefore, old?.issuedBefore ?? .always))
            } else {
                Watermark(journalNumber: number, issuedBefore: old?.issuedBefore ?? .always)
            }
        try putWatermark(subject, watermark, in: transaction)
    }
}
