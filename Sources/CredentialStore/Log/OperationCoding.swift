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
