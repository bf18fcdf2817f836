public import CredentialDigest
public import CredentialModel
public import LMDB

// Changes of the rows of credentials. First what is decided about them, which checks everything and ends in operations;
// then what the operations write. Each of those also changes the indexes that lead to the row, writes the journal, and
// says what readers must learn.

extension StoreWriter {
    /// The row of a credential; nil when there is none.
    public func credential(
        _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoredCredential? {
        for table in [schema.credentials, schema.tokens] {
            let found = try table.get(id.rawValue, in: transaction) { StoredCredential(row: $0, id: id) }
            if let found { return found }
        }
        return nil
    }

    /// The row of a credential, for work that must continue: nil also for a damaged row.
    func intactCredential(
        _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoredCredential? {
        for table in [schema.credentials, schema.tokens] {
            let found = try table.getIfIntact(id.rawValue, in: transaction) { StoredCredential(row: $0, id: id) }
            if let found { return found }
        }
        return nil
    }

    /// The result of a search for a credential.
    public enum Found {
        case absent
        case intact(StoredCredential)
        /// There is a row, but it is not as it was written.
        case damaged
    }

    /// The row of a credential, for callers that can handle a damaged one.
    public func find(
        _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Found {
        if let credential = try intactCredential(id, in: transaction) { return .intact(credential) }
        for table in [schema.credentials, schema.tokens] where try table.contains(id.rawValue, in: transaction) {
            return .damaged
        }
        return .absent
    }

    /// Revokes a credential whose row is damaged, so that what it was can no longer be known. Its row is replaced by
    /// one that is revoked and has no other content. The new row has no expiry: that of the old one is unknown, and a
    /// backup may hold it intact; or it may have belonged to an import, which is kept for good.
    ///
    /// The family, if there was one, remains valid: revoke it by its owner or its client.
    public func revokeDamaged(_ id: CredentialID, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let isToken = try schema.tokens.contains(id.rawValue, in: transaction)
        try perform(.replaceDamaged(id, isToken: isToken), in: transaction)
    }

    /// Adds a new credential under the next journal number.
    /// - Returns: false when its id is taken or its tag is not under the newest pepper. Then nothing is written; try
    ///   another.
    public func insert(
        _ credential: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        let record = credential.record
        guard try record.pepper == newestPepper(in: transaction) else { return false }
        // The cache identifies records by id alone, so no two may share one, not even in different tables.
        guard record.id.rawValue != 0, try !schema.tokens.contains(record.id.rawValue, in: transaction),
            try !schema.credentials.contains(record.id.rawValue, in: transaction)
        else { return false }
        try perform(.issue(credential), in: transaction)
        return true
    }

    /// Replaces a row that was read in this transaction. Readers drop their copies before the acknowledgement.
    ///
    /// Owner, client and id never change. A row with a critical claim of a later version is rewritten only to revoke
    /// it.
    ///
    /// This is the only place where an expiry changes. So here, and not in each edit or rotation, the row notes an
    /// expiry that is set to an earlier time: backups have the old one. It notes the time of a revocation, too.
    public func replace(
        _ old: StoredCredential, by new: StoredCredential, event: JournalEntry.Event,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        guard !old.record.flags.contains(.hasUnknownCriticalClaim) || event == .revoked else {
            throw .corrupt(table: "credentials")
        }
        var new = new
        new.record.id = old.record.id
        new.record.client = old.record.client
        new.record.journalNumber = old.record.journalNumber
        new.record.owner = old.record.owner
        new.owner = old.owner
        new.longestEnd = new.record.expiresAt < old.record.expiresAt ? old.latestEnd : old.longestEnd
        // The time is in the journal and in the audit log too; without it the row keeps its length.
        if event == .revoked, try isUnderPressure(in: transaction) { new.revokedAt = old.revokedAt }
        new.endedBy = old.endedBy
        new.noteEnd(at: now)
        try perform(.replace(old, by: new, event: event), in: transaction)
    }

    /// Changes tag and pepper of a row whose tag is still `expected`; false when it is not.
    ///
    /// A compare-and-set on the current row: a late re-tag can neither undo a revocation made meanwhile nor bring a
    /// pepper back into use. It changes nothing that is visible outside, so it is not in the journal.
    public func retag(
        _ id: CredentialID, expected: Tag, to tag: Tag, pepper: UInt16,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        guard try pepper == newestPepper(in: transaction) else { return false }
        guard let old = try credential(id, in: transaction), ConstantTime.equal(old.record.tag, expected),
            !old.record.flags.contains(.hasUnknownCriticalClaim)
        else { return false }
        var new = old
        new.record.tag = tag
        new.record.pepper = pepper
        // Nothing is taken away, but copies with the old tag would request this again at each use.
        try perform(.replace(old, by: new, event: nil), in: transaction)
        return true
    }

    /// Removes a row and its index entries. Only for the sweep.
    func remove(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try perform(.remove(credential), in: transaction)
    }

    /// Marks an expired credential as revoked whose row must be kept because a backup may hold it with a later expiry.
    /// Only for the sweep.
    ///
    /// So it has ended for good: an expired row would keep its pepper from being retired. It has been inactive for
    /// long, so this is not in the journal; and without a time of revocation the row keeps its length, also in a full
    /// map. Its new index entry replaces the one that the sweep deletes.
    func retain(
        _ credential: StoredCredential, at time: UnixSeconds, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var retained = credential
        retained.record.flags.insert(.revoked)
        retained.noteEnd(at: max(time, now))
        guard retained.record.flags != credential.record.flags || retained.endedBy != credential.endedBy else { return }
        try perform(.replace(credential, by: retained, event: nil), in: transaction)
    }
}

// MARK: What operations write

extension StoreWriter {
    func issue(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        var credential = credential
        credential.record.journalNumber = journalNumber + 1
        let record = credential.record
        guard try put(credential, overwrite: false, in: transaction) else { throw .log(.diverged(.idTaken)) }
        if credential.isIndexed {
            for key in credential.expiryKeys { try putExpiry(credential, key, in: transaction) }
            try putOwner(credential, in: transaction)
        }
        try journal(.issued, kind: record.kind, id: record.id, in: transaction)
        publication.issued.append(record.id)
    }

    func replaceRow(
        _ old: StoredCredential, by new: StoredCredential, _ event: JournalEntry.Event?,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try put(new, overwrite: true, in: transaction)
        if old.record.expiresAt != new.record.expiresAt || old.endedBy != new.endedBy, new.isIndexed {
            let (before, after) = (old.isIndexed ? old.expiryKeys : [], new.expiryKeys)
            for key in before where !after.contains(key) { try delete(schema.expiry, key, in: transaction) }
            for key in after where !before.contains(key) { try putExpiry(new, key, in: transaction) }
            if !old.isIndexed { try putOwner(new, in: transaction) }
        }
        if let event { try journal(event, kind: new.record.kind, id: new.record.id, in: transaction) }
        publication.floors.append(new.record.id)
    }

    func replaceDamaged(
        _ id: CredentialID, isToken: Bool, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var record = CredentialRecord(
            id: id, kind: isToken ? .accessToken : .apiKey, tag: Tag(0, 0, 0, 0), pepper: 0)
        record.flags = [.revoked, .unreadable]
        record.issuedAt = now
        record.journalNumber = journalNumber + 1
        var ended = StoredCredential(record: record, owner: [], name: nil)
        ended.revokedAt = now
        try put(ended, overwrite: true, in: transaction)
        try journal(.revoked, id: id, in: transaction)
        publication.floors.append(id)
    }

    func removeRow(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let record = credential.record
        if credential.isIndexed {
            try delete(schema.owners, TableKey.owner(credential.owner, record.id), in: transaction)
            for key in credential.expiryKeys { try delete(schema.expiry, key, in: transaction) }
        }
        try schema.table(of: record.kind).delete(record.id.rawValue, in: transaction)
        _ = try convertingErrors { () throws in try transaction.delete(schema.uses, key: record.id.rawValue) }
        publication.floors.append(record.id)
    }

    @discardableResult
    private func put(
        _ credential: StoredCredential, overwrite: Bool, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        let (id, table) = (credential.record.id.rawValue, schema.table(of: credential.record.kind))
        // An appended row fills the last page and then begins the next; otherwise the page would be split in two
        // halves.
        var isLast = false
        if table.name == .tokens { isLast = try table.lastKey(in: transaction) < id }
        return try table.put(id, credential.row, overwrite: overwrite || isLast, append: isLast, in: transaction)
    }

    /// The value is the kind, so that the sweep need not read rows that are kept longer.
    private func putExpiry(
        _ credential: StoredCredential, _ key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try put(schema.expiry, key, [credential.record.kind.rawValue], in: transaction)
    }

    private func putOwner(
        _ credential: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        guard !credential.owner.isEmpty else { return }
        try put(schema.owners, TableKey.owner(credential.owner, credential.record.id), [], in: transaction)
    }
}

// A store records the schemes by which its credentials were imported. Readers hash and look up a presented text once
// for each of them and for no other. A store that needs a key of the pepper file for that is not opened without it.

extension StoreWriter {
    /// The id of an imported credential; nil when it was never imported.
    public func alias(_ key: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreFailure) -> CredentialID?
    {
        try schema.aliases.get(key.octets, in: transaction) { AliasRow.id($0) }
    }

    /// Assigns an id to an imported credential. Readers look up such credentials from the acknowledgement on.
    public func setAlias(
        _ key: [UInt8], _ id: CredentialID, by scheme: ForeignScheme = .raw, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        if try !uses(scheme, in: transaction) {
            try perform(.meta(.foreignScheme(scheme.name), scheme.checkValue), in: transaction)
        }
        try perform(.alias(key, id), in: transaction)
        publication.foreignSchemes.insert(scheme)
    }

    func putAlias(
        _ key: [UInt8], _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var value: [UInt8] = []
        value.append(word64: id.rawValue)
        try schema.aliases.put(key, value, in: transaction)
    }

    /// Whether credentials were imported by a scheme, including in this transaction.
    public func uses(
        _ scheme: ForeignScheme, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        if publication.foreignSchemes.contains(scheme) { return true }
        return try schema.meta.contains(MetaName.foreignScheme(scheme.name).key.octets, in: transaction)
    }
}

/// A row of `aliases`: the id.
enum AliasRow {
    @inline(__always)
    static func id(_ row: RawSpan) -> CredentialID? {
        row.byteCount == 8 ? CredentialID(rawValue: row.word64(at: 0)) : nil
    }
}

extension ForeignScheme {
    /// The value stored for the scheme: if it needs a key, the check value of that key.
    var checkValue: [UInt8] {
        if case .hmacSHA256(let key) = self { key.checkValue } else { [1] }
    }
}
