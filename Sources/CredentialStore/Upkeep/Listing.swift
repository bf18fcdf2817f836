public import CredentialModel
import LMDB

extension CredentialStore {
    /// Rows that one page looks at, at most; a page that finds few matches ends early and can be continued.
    private static let examinedMax = 20_000

    /// The whole row of a credential; nil when there is none.
    @available(*, noasync)
    public func credential(_ id: CredentialID) throws(StoreFailure) -> StoredCredential? {
        try reading { transaction in
            for table in [schema.credentials, schema.tokens] {
                let found = try table.get(id.rawValue, in: transaction) { StoredCredential(row: $0, id: id) }
                if let found { return found }
            }
            return nil
        }
    }

    /// Rows in the order of their ids, after a given id.
    ///
    /// A damaged row is left out, and counted by ``damage``; ``check()`` names them all.
    /// - Parameter owner: only this owner's; nil for all.
    /// - Returns: the rows that `matches` accepts, and where to go on; nil when that was the end.
    @available(*, noasync)
    public func credentials(
        owner: [UInt8]?, after: CredentialID?, limit: Int, matches: (StoredCredential) -> Bool
    ) throws(StoreFailure) -> (rows: [StoredCredential], next: CredentialID?) {
        try reading { transaction in
            var pieces: [Piece] = []
            if let owner {
                pieces.append(try indexed(owner, after, limit, matches, in: transaction))
                pieces.append(try tokens(ofOwner: owner, after, limit, matches, in: transaction))
            } else {
                for table in [schema.credentials, schema.tokens] {
                    pieces.append(try rows(of: table, after, limit, matches, in: transaction))
                }
            }
            // What lies behind the end of the shorter piece may lack rows in between.
            let end = pieces.compactMap(\.end).min()
            var rows = pieces.flatMap(\.rows).filter { row in end.map { row.record.id <= $0 } ?? true }
            rows.sort { $0.record.id < $1.record.id }
            guard rows.count > limit else { return (rows, end) }
            return (Array(rows.prefix(limit)), rows[limit - 1].record.id)
        }
    }

    /// Some rows of one table in order.
    private struct Piece {
        var rows: [StoredCredential] = []
        /// The last id that was looked at; nil when there is no more.
        var end: CredentialID?
    }

    private func rows(
        of table: AuthenticatedTable, _ after: CredentialID?, _ limit: Int, _ matches: (StoredCredential) -> Bool,
        in transaction: borrowing ReadTransaction
    ) throws -> Piece {
        var piece = Piece()
        guard after?.rawValue != UInt64.max else { return piece }
        var examined = 0
        var last: CredentialID?
        try table.scan(
            from: after.map { $0.rawValue + 1 } ?? 0, in: transaction,
            reading: { StoredCredential(row: $1, id: CredentialID(rawValue: $0)) }, damaged: { _ in .next }
        ) { key, credential in
            guard piece.rows.count < limit, examined < Self.examinedMax else {
                piece.end = last
                return .stop
            }
            examined += 1
            last = CredentialID(rawValue: key)
            if matches(credential) { piece.rows.append(credential) }
            return .next
        }
        return piece
    }

    /// What an owner has in the index.
    private func indexed(
        _ owner: [UInt8], _ after: CredentialID?, _ limit: Int, _ matches: (StoredCredential) -> Bool,
        in transaction: borrowing ReadTransaction
    ) throws -> Piece {
        let prefix = TableKey.ownerPrefix(owner)
        var ids: [CredentialID] = []
        var piece = Piece()
        let from = TableKey.owner(owner, after ?? CredentialID(rawValue: 0))
        try transaction.scan(schema.owners, from: from.octets) { key, _ in
            guard key.byteCount == prefix.count + 8, key.extracting(0..<prefix.count).elementsEqual(prefix.octets),
                let number = TableKey.lastNumber(key)
            else { return .stop }
            if number == after?.rawValue { return .next }
            guard ids.count < Self.examinedMax else {
                piece.end = ids.last
                return .stop
            }
            ids.append(CredentialID(rawValue: number))
            return .next
        }
        for (index, id) in ids.enumerated() {
            // As in the other list: a damaged row is noted and left out.
            for table in [schema.credentials, schema.tokens] {
                let found = try table.getIfIntact(id.rawValue, in: transaction) { StoredCredential(row: $0, id: id) }
                if let found, matches(found) { piece.rows.append(found) }
            }
            if piece.rows.count == limit {
                if index + 1 < ids.count { piece.end = id }
                break
            }
        }
        return piece
    }

    /// An owner's tokens that are in no index: all tokens of the last hour are looked through, by the bytes of the owner alone
    /// where that is another.
    private func tokens(
        ofOwner owner: [UInt8], _ after: CredentialID?, _ limit: Int, _ matches: (StoredCredential) -> Bool,
        in transaction: borrowing ReadTransaction
    ) throws -> Piece {
        var piece = Piece()
        guard after?.rawValue != UInt64.max else { return piece }
        var examined = 0
        var last: CredentialID?
        let table = schema.tokens
        let schema = schema
        try transaction.scan(table.database, from: after.map { $0.rawValue + 1 } ?? 0) {
            (key: UInt64, value: RawSpan) in
            guard piece.rows.count < limit, examined < Self.tokensExaminedMax else {
                piece.end = last
                return .stop
            }
            examined += 1
            last = CredentialID(rawValue: key)
            guard RowLayout.ownerIsFirstClaim(of: value, owner) else { return .next }
            let id = CredentialID(rawValue: key)
            let found = schema.tokens.open(value, key: key) { StoredCredential(row: $0, id: id) }
            if let found, !found.record.isIndexed, matches(found) { piece.rows.append(found) }
            return .next
        }
        return piece
    }

    /// Tokens that one page looks at by their owner's bytes alone, at most: some tens of milliseconds.
    private static let tokensExaminedMax = 500_000

    /// How many credentials need each pepper: all but the revoked, which no secret brings back. Reads the whole table.
    /// - Throws: ``StoreFailure/damaged(table:row:)``: which pepper a damaged row needs, nobody can tell.
    @available(*, noasync)
    public func countByPepper() throws(StoreFailure) -> [UInt16: Int] {
        try reading { transaction in
            var counts: [UInt16: Int] = [:]
            for table in [schema.credentials, schema.tokens] {
                try table.scan(
                    from: 0, in: transaction, reading: { StoredCredential(row: $1, id: CredentialID(rawValue: $0)) }
                ) { _, credential in
                    if !published.isRevoked(credential) { counts[credential.record.pepper, default: 0] += 1 }
                    return .next
                }
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
            try schema.journal.scan(
                from: number + 1, in: transaction, reading: { JournalEntry(row: $1, number: $0) }
            ) { _, entry in
                entries.append(entry)
                return entries.count < limit ? .next : .stop
            }
            return entries
        }
    }
}

extension InspectedStore {
    func reading<Value>(_ body: (borrowing ReadTransaction) throws -> Value) throws(StoreFailure) -> Value {
        try naming { try environment.read(body) }
    }
}
