import CredentialDigest
import CredentialModel
import LMDB
import RecordCache

extension CredentialStore {
    /// Reads every row of every table in one snapshot and holds the tables against each other, and walks the audit log.
    ///
    /// Takes as long as reading the whole file. Credentials, their secrets' hashes and texts are not in the findings.
    /// - Returns: what is wrong, in words; empty when the store is sound.
    @available(*, noasync)
    public func check() throws(StoreFailure) -> [String] {
        let fault = try verifyAudit().fault
        return try checkTables() + (fault.map { ["audit \($0.number): \($0.reason)"] } ?? [])
    }

    /// The same without the audit log, on which nothing else depends.
    @available(*, noasync)
    func checkTables() throws(StoreFailure) -> [String] {
        try reading { transaction in
            var findings: [String] = []
            try checkCredentials(in: transaction, into: &findings)
            try checkIndexes(in: transaction, into: &findings)
            try checkJournal(in: transaction, into: &findings)
            return findings
        }
    }

    /// Each row is legible, indexed where it must be, names interned numbers that exist and a pepper that is alive.
    private func checkCredentials(
        in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        var rows: [StoredCredential] = []
        var after: UInt64? = 0
        while let from = after {
            rows.removeAll()
            after = nil
            try transaction.scan(schema.credentials, from: from) { (key: UInt64, row: RawSpan) in
                if rows.count == 1_000 {
                    after = key
                    return .stop
                }
                let id = CredentialID(rawValue: key)
                if let credential = StoredCredential(row: row, id: id) {
                    rows.append(credential)
                } else {
                    findings.append("credential \(id): the row is damaged")
                }
                return .next
            }
            for credential in rows { try check(credential, in: transaction, into: &findings) }
        }
    }

    private func check(
        _ credential: StoredCredential, in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        let record = credential.record
        if record.expiresAt < .never, !credential.mustBeRemembered,
            try !transaction.contains(schema.expiry, key: TableKey.expiry(record.expiresAt, record.id).octets)
        {
            findings.append("credential \(record.id): expires, but is not in the expiry index")
        }
        if !credential.owner.isEmpty,
            try !transaction.contains(schema.owners, key: TableKey.owner(credential.owner, record.id).octets)
        {
            findings.append("credential \(record.id): is not in its owner's index")
        }
        if peppers.place(of: record.pepper) == nil, !published.isRevoked(credential) {
            findings.append("credential \(record.id): names pepper \(record.pepper), which is not alive")
        }
        let interned: [(InternedTable.Kind, UInt32)] = [
            (.client, record.client), (.scopes, record.scopes), (.audiences, record.audiences),
            (.networks, record.networks),
        ]
        for (kind, number) in interned where number != 0 {
            if try !transaction.contains(schema.interned, key: TableKey.interned(UInt8(kind.rawValue), number).octets) {
                findings.append("credential \(record.id): names \(kind) \(number), which is not there")
            }
        }
    }

    /// Index entries lead to rows that have what the entry says.
    private func checkIndexes(
        in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        try transaction.scan(schema.owners, from: nil) { key, _ in
            guard let number = TableKey.lastNumber(key), key.byteCount > 9 else {
                findings.append("an entry of the owners' index is damaged")
                return .next
            }
            let id = CredentialID(rawValue: number)
            let owner = try transaction.get(schema.credentials, key: number) { row in
                StoredCredential(row: row, id: id)?.owner
            }
            if owner != key.extracting(0..<key.byteCount - 9).copied() {
                findings.append("credential \(id): is in the index of an owner that it does not have")
            }
            return .next
        }
        try transaction.scan(schema.aliases, from: nil) { key, value in
            if key.byteCount != 16 || value.byteCount != 8 { findings.append("an alias is damaged") }
            return .next
        }
    }

    /// Numbers go up by one, and the highest is the one that `meta` names.
    private func checkJournal(
        in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        var last: UInt64?
        try transaction.scan(schema.journal, from: 0) { (number: UInt64, row: RawSpan) in
            let entry = JournalEntry(row: row, number: number)
            if entry == nil { findings.append("journal \(number): the row is damaged") }
            if let last, number != last &+ 1, entry?.event != .restored {
                findings.append("journal \(number): follows \(last)")
            }
            last = number
            return .next
        }
        let high = try transaction.get(schema.meta, key: MetaName.journalNumber.key.octets) {
            $0.byteCount == 8 ? $0.word64(at: 0) : 0
        }
        if let last, last != high { findings.append("journal: ends at \(last), but \(high ?? 0) were given") }
    }
}
