import CredentialModel
import LMDB
import RecordCache

// Operations as bytes: a code, then fields. Integers are varints (LEB128), ids and tags are raw, and texts have their
// length in front. Times are relative to the time of the transaction.
//
// Most of a log is tokens, so the row of a new credential is written as its difference from the one before it in the
// same transaction, and the row of a changed one as its difference from what it was. A token then takes 42 bytes: its
// id, its tag, and two bytes that say that nothing else differs. Ids that were written shortly before are written as
// their place among those: a used refresh token and its successor name each other.
//
// The codes are part of the format: none may get another meaning.

/// Writes the operations of one transaction.
struct OperationEncoder {
    private(set) var bytes: [UInt8] = []
    private var context: RowDifference.Context
    private var lastIssued = RowDifference.blank

    init(now: UnixSeconds) {
        context = RowDifference.Context(now: now)
    }

    mutating func append(_ operation: Operation) {
        bytes.append(operation.code.rawValue)
        switch operation {
        case .issue(let credential):
            let row = credential.template
            RowDifference.append(from: lastIssued, to: row, &context, &bytes)
            bytes.append(word64: credential.record.id.rawValue)
            context.note(credential.record.id.rawValue)
            bytes.append(contentsOf: credential.record.tag.bytes)
            lastIssued = row
        case .replace(let old, let new, let event):
            context.append(id: new.record.id.rawValue, &bytes)
            bytes.append(event?.rawValue ?? 0)
            RowDifference.append(from: old.row, to: new.row, &context, &bytes)
        case .replaceDamaged(let id, let isToken):
            bytes.append(word64: id.rawValue)
            bytes.append(isToken ? 1 : 0)
        case .remove(let credential):
            bytes.append(word64: credential.record.id.rawValue)
        case .alias(let key, let id):
            bytes.append(text: key)
            bytes.append(word64: id.rawValue)
        case .text(let kind, let number, let text):
            bytes.append(UInt8(kind.rawValue))
            bytes.append(varint: UInt64(number))
            bytes.append(text: text)
        case .client(let client):
            bytes.append(varint: UInt64(client.number))
            bytes.append(text: client.row)
        case .consent(let consent):
            bytes.append(text: Consent.key(consent.subject, consent.client))
            bytes.append(text: consent.row)
        case .withdrawal(let subject, let client):
            bytes.append(text: subject)
            bytes.append(varint: UInt64(client))
        case .raise(let subject, let issuedBefore):
            bytes.append(text: WatermarkRow.key(subject))
            bytes.append(issuedBefore == nil ? 0 : 1)
            if let issuedBefore { bytes.append(word64: UInt64(bitPattern: issuedBefore.rawValue)) }
        case .watermark(let subject, let watermark):
            bytes.append(text: WatermarkRow.key(subject))
            bytes.append(text: WatermarkRow.row(watermark))
        case .audit(let content):
            bytes.append(text: content)
        case .event(let event, let kind, let id, let subject):
            bytes.append(event.rawValue)
            bytes.append(kind?.rawValue ?? 0)
            bytes.append(word64: id?.rawValue ?? 0)
            bytes.append(text: subject)
        case .forgetJournal(let number):
            bytes.append(varint: number)
        case .row(let table, let key, let value):
            bytes.append(table.rawValue)
            bytes.append(text: key)
            bytes.append(value == nil ? 0 : 1)
            if let value { bytes.append(text: value) }
        }
    }
}

extension Operation {
    fileprivate enum Code: UInt8 {
        case issue = 1
        case replace = 2
        case replaceDamaged = 3
        case remove = 4
        case alias = 5
        case text = 6
        case client = 7
        case consent = 8
        case withdrawal = 9
        case raise = 10
        case watermark = 11
        case audit = 12
        case event = 13
        case forgetJournal = 14
        case row = 15
    }

    fileprivate var code: Code {
        switch self {
        case .issue: .issue
        case .replace: .replace
        case .replaceDamaged: .replaceDamaged
        case .remove: .remove
        case .alias: .alias
        case .text: .text
        case .client: .client
        case .consent: .consent
        case .withdrawal: .withdrawal
        case .raise: .raise
        case .watermark: .watermark
        case .audit: .audit
        case .event: .event
        case .forgetJournal: .forgetJournal
        case .row: .row
        }
    }
}

/// Reads the operations of one transaction, one by one: what one means can depend on what the one before it has done.
///
/// The bytes are authenticated, so they are as some program has written them; nevertheless nothing about them is
/// assumed.
struct OperationDecoder {
    private var bytes: ByteReader
    private var context: RowDifference.Context
    private var lastIssued = RowDifference.blank

    init(_ bytes: [UInt8], now: UnixSeconds) {
        self.bytes = ByteReader(bytes)
        context = RowDifference.Context(now: now)
    }

    /// The next operation; nil at the end.
    /// - Throws: ``LogFailure/malformed``, and ``LogFailure/diverged(_:)`` when the store lacks a row to be changed.
    mutating func next(
        _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Operation? {
        if bytes.isAtEnd { return nil }
        guard let code = Operation.Code(rawValue: try bytes.byte()) else { throw .log(.formatTooNew) }
        switch code {
        case .issue:
            lastIssued = try RowDifference.apply(to: lastIssued, &context, &bytes)
            let id = CredentialID(rawValue: try bytes.word64())
            context.note(id.rawValue)
            var credential = try Self.credential(lastIssued, id)
            credential.record.tag = try bytes.tag()
            return .issue(credential)
        case .replace:
            let id = CredentialID(rawValue: try context.id(&bytes))
            let event = try bytes.optional { JournalEntry.Event(rawValue: $0) }
            let old = try Self.existing(id, writer, in: transaction)
            let row = try RowDifference.apply(to: old.row, &context, &bytes)
            return .replace(old, by: try Self.credential(row, id), event: event)
        case .replaceDamaged:
            return .replaceDamaged(CredentialID(rawValue: try bytes.word64()), isToken: try bytes.byte() == 1)
        case .remove:
            let id = CredentialID(rawValue: try bytes.word64())
            return .remove(try Self.existing(id, writer, in: transaction))
        case .alias:
            return .alias(try bytes.text(), CredentialID(rawValue: try bytes.word64()))
        case .text:
            guard let kind = InternedTable.Kind(rawValue: Int(try bytes.byte())) else { throw .log(.formatTooNew) }
            return .text(kind, try bytes.number32(), try bytes.text())
        case .client:
            let number = try bytes.number32()
            let row = try bytes.text()
            guard let client = ClientDefinition(row: row.octets, number: number) else {
                throw .log(.formatTooNew)
            }
            return .client(client)
        case .consent:
            let (key, row) = (try bytes.text(), try bytes.text())
            guard let consent = Consent(key: key.octets, row: row.octets) else { throw .log(.malformed) }
            return .consent(consent)
        case .withdrawal:
            return .withdrawal(subject: try bytes.text(), client: try bytes.number32())
        case .raise:
            let subject = try watermarkSubject()
            guard try bytes.byte() == 1 else { return .raise(subject, issuedBefore: nil) }
            return .raise(subject, issuedBefore: UnixSeconds(Int64(bitPattern: try bytes.word64())))
        case .watermark:
            let subject = try watermarkSubject()
            let row = try bytes.text()
            guard let watermark = WatermarkRow.watermark(row.octets) else { throw .log(.malformed) }
            return .watermark(subject, watermark)
        case .audit:
            return .audit(try bytes.text())
        case .event:
            guard let event = try bytes.optional({ JournalEntry.Event(rawValue: $0) }) else { throw .log(.malformed) }
            let kind = try bytes.optional { CredentialKind(rawValue: $0) }
            let id = try bytes.word64()
            return .event(
                event, kind: kind, id: id == 0 ? nil : CredentialID(rawValue: id), subject: try bytes.text())
        case .forgetJournal:
            return .forgetJournal(through: try bytes.varint())
        case .row:
            guard let table = Operation.PlainTable(rawValue: try bytes.byte()) else { throw .log(.formatTooNew) }
            let key = try bytes.text()
            return .row(table, key: key, value: try bytes.byte() == 0 ? nil : try bytes.text())
        }
    }

    private mutating func watermarkSubject() throws(StoreFailure) -> WatermarkSubject {
        let key = try bytes.text()
        guard let subject = WatermarkRow.subject(key.octets) else { throw .log(.malformed) }
        return subject
    }

    private static func existing(
        _ id: CredentialID, _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoredCredential {
        guard let credential = try writer.credential(id, in: transaction) else { throw .log(.diverged(.rowMissing)) }
        return credential
    }

    /// A row that this version would write in the same way: another one has content that it does not know.
    private static func credential(_ row: [UInt8], _ id: CredentialID) throws(StoreFailure) -> StoredCredential {
        guard let credential = StoredCredential(row: row.octets, id: id), credential.row == row else {
            throw .log(.formatTooNew)
        }
        return credential
    }
}

extension StoredCredential {
    /// The row without what each credential has for itself.
    fileprivate var template: [UInt8] {
        var template = self
        template.record.tag = Tag(0, 0, 0, 0)
        template.record.journalNumber = 0
        return template.row
    }
}

/// A credential's row as its difference from another one.
///
/// It knows the header's fields and that claims follow, but no claim: a new claim is covered without a change here.
enum RowDifference {
    /// What both sides know when they come to a row.
    struct Context {
        /// The time of the transaction.
        let now: UnixSeconds
        /// The last ids and other numbers of eight bytes, the newest first.
        private var recent: [UInt64] = []

        private static let recentMax = 16

        init(now: UnixSeconds) {
            self.now = now
        }

        mutating func note(_ number: UInt64) {
            if recent.count == Self.recentMax { recent.removeLast() }
            recent.insert(number, at: 0)
        }

        func place(of number: UInt64) -> Int? { recent.firstIndex(of: number) }

        func number(at place: UInt64) throws(StoreFailure) -> UInt64 {
            guard place < UInt64(recent.count) else { throw .log(.malformed) }
            return recent[Int(place)]
        }

        /// Appends 1 and a place, or 0 and the id.
        fileprivate mutating func append(id: UInt64, _ bytes: inout [UInt8]) {
            if let place = place(of: id) {
                bytes.append(UInt8(place + 1))
            } else {
                bytes.append(0)
                bytes.append(word64: id)
                note(id)
            }
        }

        fileprivate mutating func id(_ bytes: inout ByteReader) throws(StoreFailure) -> UInt64 {
            let place = try bytes.byte()
            if place > 0 { return try number(at: UInt64(place) - 1) }
            let id = try bytes.word64()
            note(id)
            return id
        }
    }

    private struct Field {
        let offset: Int
        let byteCount: Int
        var isTime = false
    }

    /// The fields of the header, in the order of the mask's bits. The last two bits are for the tag and the claims.
    private static let fields = [
        Field(offset: 0, byteCount: 1), Field(offset: 1, byteCount: 1), Field(offset: RowLayout.pepper, byteCount: 2),
        Field(offset: RowLayout.flags, byteCount: 2), Field(offset: RowLayout.endedBy, byteCount: 2),
        Field(offset: RowLayout.issuedAt, byteCount: 8, isTime: true),
        Field(offset: RowLayout.expiresAt, byteCount: 8, isTime: true),
        Field(offset: RowLayout.journalNumber, byteCount: 8), Field(offset: RowLayout.client, byteCount: 4),
        Field(offset: RowLayout.scopes, byteCount: 4), Field(offset: RowLayout.audiences, byteCount: 4),
        Field(offset: RowLayout.networks, byteCount: 4),
    ]
    private static let tagBit: UInt64 = 1 << 12
    private static let claimsBit: UInt64 = 1 << 13
    private static let tagEnd = RowLayout.headerBytes

    /// What the first row of a transaction differs from.
    static let blank = [UInt8](repeating: 0, count: RowLayout.headerBytes)

    /// Appends what must be done to `old` to get `new`. Both are whole rows.
    static func append(from old: [UInt8], to new: [UInt8], _ context: inout Context, _ bytes: inout [UInt8]) {
        var mask: UInt64 = 0
        for (bit, field) in fields.enumerated() where value(old, field) != value(new, field) { mask |= 1 << bit }
        if old[RowLayout.tag..<tagEnd] != new[RowLayout.tag..<tagEnd] { mask |= tagBit }
        if old[tagEnd...] != new[tagEnd...] { mask |= claimsBit }
        bytes.append(varint: mask)
        for (bit, field) in fields.enumerated() where mask & 1 << bit != 0 {
            let value = value(new, field)
            bytes.append(varint: field.isTime ? zigzag(Int64(bitPattern: value) &- context.now.rawValue) : value)
        }
        if mask & tagBit != 0 { bytes.append(contentsOf: new[RowLayout.tag..<tagEnd]) }
        if mask & claimsBit != 0 { appendClaims(from: claims(old), to: claims(new), &context, &bytes) }
    }

    /// The row that differs from `old` by what the bytes say.
    static func apply(
        to old: [UInt8], _ context: inout Context, _ bytes: inout ByteReader
    ) throws(StoreFailure) -> [UInt8] {
        let mask = try bytes.varint()
        guard mask < claimsBit << 1 else { throw .log(.formatTooNew) }
        var new = Array(old[..<RowLayout.headerBytes])
        for (bit, field) in fields.enumerated() where mask & 1 << bit != 0 {
            let number = try bytes.varint()
            let value = field.isTime ? UInt64(bitPattern: unzigzag(number) &+ context.now.rawValue) : number
            for index in 0..<field.byteCount {
                new[field.offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
            }
        }
        if mask & tagBit != 0 { new.replaceSubrange(RowLayout.tag..<tagEnd, with: try bytes.take(32)) }
        guard mask & claimsBit != 0 else { return new + old[tagEnd...] }
        for claim in try readClaims(from: claims(old), &context, &bytes) {
            new.append(claim.type)
            new.append(word16: UInt16(clamping: claim.value.count))
            new += claim.value
        }
        return new
    }

    private static func value(_ row: [UInt8], _ field: Field) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<field.byteCount { value |= UInt64(row[field.offset + index]) << (8 * index) }
        return value
    }

    // MARK: Claims

    private struct Claim: Equatable {
        let type: UInt8
        let value: [UInt8]
    }

    private static func claims(_ row: [UInt8]) -> [Claim] {
        var claims: [Claim] = []
        var offset = RowLayout.headerBytes
        while offset + 3 <= row.count {
            let end = min(offset + 3 + Int(row.octets.word16(at: offset + 1)), row.count)
            claims.append(Claim(type: row[offset], value: Array(row[(offset + 3)..<end])))
            offset = end
        }
        return claims
    }

    // All claims of the new row, each as its type and a form. A number of eight bytes has the shortest of three:
    //
    //     0      the same value as in the old row
    //     1      eight bytes, of which as many follow as the next byte says, and zeros
    //     2      a time: its distance from that of the transaction follows
    //     3      a recent number: its place follows
    //     4 + n  n bytes follow
    private enum Form {
        static let same: UInt8 = 0
        static let number: UInt8 = 1
        static let time: UInt8 = 2
        static let recent: UInt8 = 3
        static let bytes: UInt64 = 4
    }

    private static func appendClaims(
        from old: [Claim], to new: [Claim], _ context: inout Context, _ bytes: inout [UInt8]
    ) {
        bytes.append(varint: UInt64(new.count))
        for claim in new {
            bytes.append(claim.type)
            if old.first(where: { $0.type == claim.type }) == claim {
                bytes.append(Form.same)
            } else if claim.value.count == 8 {
                append(number: claim.value.octets.word64(at: 0), &context, &bytes)
            } else {
                bytes.append(varint: UInt64(claim.value.count) + Form.bytes)
                bytes += claim.value
            }
        }
    }

    private static func append(number: UInt64, _ context: inout Context, _ bytes: inout [UInt8]) {
        let byteCount = (64 - number.leadingZeroBitCount + 7) / 8
        var distance: [UInt8] = []
        distance.append(varint: zigzag(Int64(bitPattern: number) &- context.now.rawValue))
        if byteCount > 1, let place = context.place(of: number) {
            bytes += [Form.recent, UInt8(place)]
        } else if distance.count <= byteCount {
            bytes.append(Form.time)
            bytes += distance
        } else {
            bytes += [Form.number, UInt8(byteCount)]
            for index in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * index))) }
            if byteCount == 8 { context.note(number) }
        }
    }

    private static func readClaims(
        from old: [Claim], _ context: inout Context, _ bytes: inout ByteReader
    ) throws(StoreFailure) -> [Claim] {
        let count = try bytes.varint()
        guard count <= 256 else { throw .log(.malformed) }
        var claims: [Claim] = []
        for _ in 0..<count {
            let type = try bytes.byte()
            let form = try bytes.varint()
            switch form {
            case UInt64(Form.same):
                guard let claim = old.first(where: { $0.type == type }) else { throw .log(.malformed) }
                claims.append(claim)
            case UInt64(Form.number), UInt64(Form.time), UInt64(Form.recent):
                var value: [UInt8] = []
                value.append(word64: try readNumber(UInt8(form), &context, &bytes))
                claims.append(Claim(type: type, value: value))
            default:
                guard form - Form.bytes <= UInt64(UInt16.max) else { throw .log(.malformed) }
                claims.append(Claim(type: type, value: try bytes.take(Int(form - Form.bytes))))
            }
        }
        return claims
    }

    private static func readNumber(
        _ form: UInt8, _ context: inout Context, _ bytes: inout ByteReader
    ) throws(StoreFailure) -> UInt64 {
        if form == Form.recent { return try context.number(at: try bytes.varint()) }
        if form == Form.time {
            return UInt64(bitPattern: unzigzag(try bytes.varint()) &+ context.now.rawValue)
        }
        let byteCount = Int(try bytes.byte())
        guard byteCount <= 8 else { throw .log(.malformed) }
        var number: UInt64 = 0
        for (index, byte) in try bytes.take(byteCount).enumerated() { number |= UInt64(byte) << (8 * index) }
        if byteCount == 8 { context.note(number) }
        return number
    }

    /// Small numbers of either sign as small unsigned numbers.
    private static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

    private static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}

// MARK: Bytes

extension [UInt8] {
    /// Seven bits to a byte, the lowest first; the highest bit says that more follow.
    fileprivate mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    fileprivate mutating func append(text: [UInt8]) {
        append(varint: UInt64(text.count))
        append(contentsOf: text)
    }
}

/// Reads bytes from front to back, never beyond their end.
struct ByteReader {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func take(_ count: Int) throws(StoreFailure) -> [UInt8] {
        guard count >= 0, count <= bytes.count - offset else { throw .log(.malformed) }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    mutating func byte() throws(StoreFailure) -> UInt8 {
        guard offset < bytes.count else { throw .log(.malformed) }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func word64() throws(StoreFailure) -> UInt64 {
        let bytes = try take(8)
        return bytes.octets.word64(at: 0)
    }

    mutating func tag() throws(StoreFailure) -> Tag {
        let bytes = try take(32)
        return Tag(bytes.octets, at: 0)
    }

    mutating func varint() throws(StoreFailure) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = try byte()
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { throw .log(.malformed) }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw .log(.malformed)
    }

    mutating func number32() throws(StoreFailure) -> UInt32 {
        guard let number = UInt32(exactly: try varint()) else { throw .log(.malformed) }
        return number
    }

    mutating func text() throws(StoreFailure) -> [UInt8] {
        guard let count = Int(exactly: try varint()) else { throw .log(.malformed) }
        return try take(count)
    }

    /// A byte as a value; 0 is none.
    mutating func optional<Value>(_ value: (UInt8) -> Value?) throws(StoreFailure) -> Value? {
        let byte = try byte()
        if byte == 0 { return nil }
        guard let value = value(byte) else { throw .log(.formatTooNew) }
        return value
    }
}
