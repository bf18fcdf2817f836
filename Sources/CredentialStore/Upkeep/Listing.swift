public import CredentialModel
import LMDB

extension CredentialStore {
    /// Rows that one page looks at, at most; a page that finds few matches ends early and can be continued.
    private static let examinedMax = 20_000

    /// The whole row of a credential; nil when there is none.
    @available(*, noasync)
    public func credential(_ id: CredentialID) throws(StoreFailure) -> StoredCredential? {
        let row = try reading { transaction in
            try transaction.get(schema.credentials, key: id.rawValue) { $0.copied() }
        }
        guard let row else { return nil }
        guard let credential = StoredCredential(row: row.octets, id: id) else { throw .corrupt(table: "credentials") }
        return credential
    }

    /// Rows in the order of their ids, after a given id.
    /// - Parameter owner: only this owner's, found through its index; nil for all.
    /// - Returns: the rows that `matches` accepts, and where to go on; nil when that was the end.
    @available(*, noasync)
    public func credentials(
        owner: [UInt8]?, after: CredentialID?, limit: Int, matches: (StoredCredential) -> Bool
    ) throws(StoreFailure) -> (rows: [StoredCredential], next: CredentialID?) {
        if let owner { return try credentials(ofOwner: owner, after: after, limit: limit, matches: matches) }
        guard after?.rawValue != UInt64.max else { return ([], nil) }
        return try reading { transaction in
            var rows: [StoredCredential] = []
            var examined = 0
            var last: CredentialID?
            var isEnd = true
            try transaction.scan(schema.credentials, from: after.map { $0.rawValue + 1 } ?? 0) {
                (key: UInt64, row: RawSpan) in
                guard rows.count < limit, examined < Self.examinedMax else {
                    isEnd = false
                    return .stop
                }
                examined += 1
                last = CredentialID(rawValue: key)
                if let credential = StoredCredential(row: row, id: CredentialID(rawValue: key)), matches(credential) {
                    rows.append(credential)
                }
                return .next
            }
            return (rows, isEnd ? nil : last)
        }
    }

    private func credentials(
        ofOwner owner: [UInt8], after: CredentialID?, limit: Int, matches: (StoredCredential) -> Bool
    ) throws(StoreFailure) -> (rows: [StoredCredential], next: CredentialID?) {
        try reading { transaction in
            let prefix = TableKey.ownerPrefix(owner)
            var ids: [CredentialID] = []
            var isEnd = true
            let from = TableKey.owner(owner, after ?? CredentialID(rawValue: 0))
            try transaction.scan(schema.owners, from: from.octets) { key, _ in
                guard key.byteCount == prefix.count + 8, key.extracting(0..<prefix.count).elementsEqual(prefix.octets),
                    let number = TableKey.lastNumber(key)
                else { return .stop }
                if number == after?.rawValue { return .next }
                guard ids.count < Self.examinedMax else {
                    isEnd = false
                    return .stop
                }
                ids.append(CredentialID(rawValue: number))
                return .next
            }
            var rows: [StoredCredential] = []
            for (index, id) in ids.enumerated() {
                let credential = try transaction.get(schema.credentials, key: id.rawValue) { row in
                    StoredCredential(row: row, id: id)
                }
                if let credential = credential ?? nil, matches(credential) { rows.append(credential) }
                if rows.count == limit { return (rows, index + 1 < ids.count || !isEnd ? id : nil) }
            }
            return (rows, isEnd ? nil : ids.last)
        }
    }

    /// How many credentials need each pepper: all but the revoked, which no secret brings back. Reads the whole table.
    @available(*, noasync)
    public func countByPepper() throws(StoreFailure) -> [UInt16: Int] {
        try reading { transaction in
            var counts: [UInt16: Int] = [:]
            try transaction.scan(schema.credentials, from: 0) { (key: UInt64, row: RawSpan) in
                if let credential = StoredCredential(row: row, id: CredentialID(rawValue: key)) {
                    if !published.isRevoked(credential) { counts[credential.record.pepper, default: 0] += 1 }
                } else if row.byteCount >= RowLayout.headerBytes {
                    counts[row.word16(at: RowLayout.pepper), default: 0] += 1
                }
                return .next
            }
            return counts
        }
    }

    /// Journal entries with numbers above `number`, in order.
    @available(*, noasync)
    public func journal(after number: UInt64, limit: Int) throws(StoreFailure) -> [JournalEntry] {
        guard number < UInt64.max else { return [] }
        return try reading { transaction in
            var entries: [JournalEntry] = []
            try transaction.scan(schema.journal, from: number + 1) { (key: UInt64, row: RawSpan) in
                if let entry = JournalEntry(row: row, number: key) { entries.append(entry) }
                return entries.count < limit ? .next : .stop
            }
            return entries
        }
    }

    func reading<Value>(_ body: (borrowing ReadTransaction) throws -> Value) throws(StoreFailure) -> Value {
        try naming { try environment.read(body) }
    }
}
