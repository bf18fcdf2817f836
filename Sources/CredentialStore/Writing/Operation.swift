import CredentialModel
import LMDB
import RecordCache

// A transaction is decided once and can be repeated anywhere. A decision reads the store, the clock and random numbers,
// and ends in operations; an operation depends on nothing but itself, the rows that are there, and the time of its
// transaction. So a store in the same state that is given the same operations gets the same rows, and indexes, journal
// entries and numbers need not be in the log: they follow.
//
//     decide (insert, replace, audit …)  →  operation  →  apply  →  rows, index entries, journal, what readers learn
//                                              ↓                ↑
//                                             log   ────────────┘ of another store
//
// `StoreWriter.perform` is the only way in which a transaction changes rows that other stores have too. Each row that
// LMDB changes is counted, and a transaction that changed one outside of it is not committed. So no change can be
// missing in the log.

/// One change of a transaction.
enum Operation {
    /// A new credential. Its journal number follows from the store.
    case issue(StoredCredential)
    /// Another content of a credential's row. No event: readers drop their copies, but no answer changes.
    case replace(StoredCredential, by: StoredCredential, event: JournalEntry.Event?)
    /// A revoked row without content, instead of one that is damaged in the store of whoever decided this.
    case replaceDamaged(CredentialID, isToken: Bool)
    /// A credential's row and its index entries are removed.
    case remove(StoredCredential)
    /// The id of an imported credential.
    case alias([UInt8], CredentialID)
    /// A number for a text.
    case text(InternedTable.Kind, UInt32, [UInt8])
    case client(ClientDefinition)
    case consent(Consent)
    /// A consent is withdrawn, whether or not it has a row.
    case withdrawal(subject: [UInt8], client: UInt32)
    /// A bulk revocation: of everything issued so far or, with a time, before that time.
    case raise(WatermarkSubject, issuedBefore: UnixSeconds?)
    /// A watermark from a list of revocations.
    case watermark(WatermarkSubject, Watermark)
    /// The content of the next audit entry.
    case audit([UInt8])
    /// A journal entry without another change.
    case event(JournalEntry.Event, kind: CredentialKind?, id: CredentialID?, subject: [UInt8])
    /// All journal entries up to this number are removed.
    case forgetJournal(through: UInt64)
    /// A row of a table in which no other table's rows follow from it; nil: it is removed.
    case row(PlainTable, key: [UInt8], value: [UInt8]?)

    /// The tables of ``row(_:key:value:)``. The numbers are in logs.
    enum PlainTable: UInt8 {
        case meta = 1
        case expiry = 2
        case requests = 3
    }

    static func meta(_ name: MetaName, _ value: [UInt8]?) -> Operation { .row(.meta, key: name.key, value: value) }

    static func meta(_ name: MetaName, number: UInt64) -> Operation {
        var bytes: [UInt8] = []
        bytes.append(word64: number)
        return meta(name, bytes)
    }
}

extension StoreWriter {
    /// Does an operation, and records it if the store has a log.
    ///
    /// All checks come first: an operation that fails leaves a transaction that must be aborted.
    func perform(_ operation: Operation, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        record(operation)
        let before = transaction.changes
        try apply(operation, in: transaction)
        account(for: transaction.changes - before)
    }

    /// Writes the rows of an operation and what follows from them, and notes what readers must learn.
    /// - Throws: ``LogFailure/diverged(_:)`` for an operation that does not fit the rows that are there.
    private func apply(_ operation: Operation, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        switch operation {
        case .issue(let credential): try issue(credential, in: transaction)
        case .replace(let old, let new, let event): try replaceRow(old, by: new, event, in: transaction)
        case .replaceDamaged(let id, let isToken): try replaceDamaged(id, isToken: isToken, in: transaction)
        case .remove(let credential): try removeRow(credential, in: transaction)
        case .alias(let key, let id): try putAlias(key, id, in: transaction)
        case .text(let kind, let number, let text): try putText(kind, number, text, in: transaction)
        case .client(let client): try putRow(of: client, in: transaction)
        case .consent(let consent): try putRow(of: consent, in: transaction)
        case .withdrawal(let subject, let client): try withdraw(subject, client, in: transaction)
        case .raise(let subject, let issuedBefore): try raise(subject, issuedBefore, in: transaction)
        case .watermark(let subject, let watermark): try putWatermark(subject, watermark, in: transaction)
        case .audit(let content): try putAudit(content, in: transaction)
        case .event(let event, let kind, let id, let subject):
            try journal(event, kind: kind, id: id, subject: subject, in: transaction)
        case .forgetJournal(let number): try removeJournal(through: number, in: transaction)
        case .row(let table, let key, let value): try putPlain(table, key, value, in: transaction)
        }
    }

    private func putPlain(
        _ table: Operation.PlainTable, _ key: [UInt8], _ value: [UInt8]?, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let database: Database
        switch table {
        case .meta:
            if MetaName.namesKey(key) { publication.changesKeys = true }
            if key == MetaName.comparison.key, value?.count == 8 {
                publication.comparison = value?.octets.word64(at: 0)
            }
            return try MetaTable(schema).set(key, value, in: transaction)
        case .expiry: database = schema.expiry
        case .requests: database = schema.requests
        }
        guard let value else { return try delete(database, key, in: transaction) }
        try put(database, key, value, in: transaction)
    }

    // MARK: Rows that each store has for itself

    /// Writes rows that are no part of the log: last uses, the time, and the position in the log itself.
    func changeLocally(
        in transaction: borrowing WriteTransaction, _ body: () throws(StoreFailure) -> Void
    ) throws(StoreFailure) {
        let before = transaction.changes
        try body()
        account(for: transaction.changes - before)
    }
}
