public import CredentialModel
import LMDB

extension CredentialStore {
    /// Most rows that one page examines; a page with few matches ends early and can be continued.
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
    /// A damaged row is skipped and counted by ``damage``; ``check()`` names all of them.
    /// - Parameters:
    ///   - owner: only this owner's; nil for all.
    ///   - kind: only this kind; nil for all. All but access tokens are indexed by owner, so that no tokens are
    ///     scanned.
    /// - Returns: the rows that `matches` accepts, and where to continue; nil at the end.
    @available(*, noasync)
    public func credentials(
        owner: [UInt8]?, kind: CredentialKind? = nil, after: CredentialID?, limit: Int,
        matches: (StoredCredential) -> Bool
    ) throws(StoreFailure) -> (rows: [StoredCredential], next: CredentialID?) {
        func isWanted(_ row: StoredCredential) -> Bool {
            if let kind, kind != row.record.kind { return false }
            return matches(row)
        }
        let tables = kind.map { [schema.table(of: $0)] } ?? [schema.credentials, schema.tokens]
        return try reading { transaction in
            var pieces: [Piece] = []
            if let owner {
                pieces.append(try indexed(owner, tables, after, limit, isWanted, in: transaction))
                if tables.contains(where: { $0.name == .tokens }) {
                    pieces.append(try tokens(ofOwner: owner, after, limit, isWanted, in: transaction))
                }
            } else {
                for table in tables {
                    pieces.append(try rows(of: table, after, limit, isWanted, in: transaction))
                }
            }
            // After the end of the shorter piece, rows may be missing in between.
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
        /// The last id examined; nil when there are no more.
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

    /// An owner's credentials in the index.
    private func indexed(
        _ owner: [UInt8], _ tables: [AuthenticatedTable], _ after: CredentialID?, _ limit: Int,
        _ matches: (StoredCredential) -> Bool, in transaction: borrowing ReadTransaction
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
            // As in the other list: a damaged row is recorded and skipped.
            for table in tables {
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

    /// An owner's unindexed tokens: scans all tokens of the last hour, and decodes only rows with this owner's bytes.
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
            if let found, !found.isIndexed, matches(found) { piece.rows.append(found) }
            return .next
        }
        return piece
    }

    /// Most tokens that one page compares by owner alone: some tens of milliseconds.
    private static let tokensExaminedMax = 500_000

    /// How many credentials need each pepper: all but the revoked, which no secret makes valid again. Reads whole
    /// tables.
    /// - Throws: ``StoreFailure/damaged(table:row:)``: which pepper a damaged row needs is unknown.
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
        try convertingErrors { try environment.read(body) }
    }
}

extension CredentialStore {
    /// Owners that one read transaction examines.
    private static let ownersAtOnce = 1_000

    /// Calls `body` with each owner that has a credential, valid or not, in byte order. Owners that have only unindexed
    /// access tokens are left out.
    ///
    /// Takes one index step for each owner, not for each credential: from the last entry that an owner can have to the
    /// first of the next owner.
    /// - Parameter limit: the time it may take; the remaining owners are left out.
    /// - Throws: ``StoreFailure``.
    @available(*, noasync)
    public func eachOwner(within limit: Duration, _ body: (String) -> Void) throws(StoreFailure) {
        let deadline = ContinuousClock.now + limit
        var last: [UInt8]?
        repeat {
            var count = 0
            try reading { transaction in
                repeat {
                    var found: [UInt8]?
                    let from = last.map { TableKey.owner($0, CredentialID(rawValue: .max)) }
                    try transaction.scan(schema.owners, from: from?.octets) { key, _ in
                        guard key.byteCount > 9 else { return .next }
                        let owner = key.extracting(0..<key.byteCount - 9).copied()
                        if owner == last { return .next }
                        found = owner
                        return .stop
                    }
                    last = found
                    if let text = found.flatMap({ String(validating: $0, as: UTF8.self) }) { body(text) }
                    count += 1
                } while last != nil && count < Self.ownersAtOnce
            }
        } while last != nil && ContinuousClock.now < deadline
    }
}
