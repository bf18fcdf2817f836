import CredentialDigest
import CredentialModel
import LMDB
import RecordCache

extension CredentialStore {
    /// Reads every row of every table in one snapshot, checks the tables against each other, and verifies the audit
    /// log.
    ///
    /// Takes as long as reading the whole file. Findings contain no credentials, hashes of secrets or texts. LMDB kills
    /// the process on damaged pages: check a store that may be damaged in a separate process that follows it.
    /// - Returns: the faults, in words; empty when the store is sound.
    @available(*, noasync)
    public func check() throws(StoreFailure) -> [String] { try findings() }
}

extension FollowedStore {
    /// The same for a store that another process may own.
    @available(*, noasync)
    public func check() throws(StoreFailure) -> [String] { try findings() }
}

/// What is needed to inspect a store, whoever owns it.
protocol InspectedStore {
    var environment: Environment { get }
    var schema: Schema { get }
    var published: Published { get }
    var peppers: PepperRing { get }
    var auditChain: AuditChain { get }
}

extension CredentialStore: InspectedStore {}
extension FollowedStore: InspectedStore {}

extension InspectedStore {
    fileprivate func findings() throws(StoreFailure) -> [String] {
        let fault = try reading { try verifyAudit(recorded: nil, in: $0) }.fault
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
            try checkRows(in: transaction, into: &findings)
            return findings
        }
    }

    /// Each row is readable, indexed where required, and refers to existing interned numbers and a pepper in use.
    private func checkCredentials(
        in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        for table in [schema.credentials, schema.tokens] {
            try check(table, in: transaction, into: &findings)
        }
    }

    private func check(
        _ table: AuthenticatedTable, in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        var rows: [StoredCredential] = []
        var after: UInt64? = 0
        while let from = after {
            rows.removeAll()
            after = nil
            try table.scan(
                from: from, in: transaction,
                reading: { StoredCredential(row: $1, id: CredentialID(rawValue: $0)) },
                damaged: { key in
                    findings.append("credential \(CredentialID(rawValue: key)): the row is damaged")
                    return .next
                }
            ) { key, credential in
                if rows.count == 1_000 {
                    after = key
                    return .stop
                }
                rows.append(credential)
                return .next
            }
            for credential in rows where schema.table(of: credential.record.kind).name != table.name {
                findings.append("credential \(credential.record.id): is in another table than its kind's")
            }
            for credential in rows { try check(credential, in: transaction, into: &findings) }
        }
    }

    private func check(
        _ credential: StoredCredential, in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        let record = credential.record
        // The entry that the sweep needs. Of a shortened credential, it has deleted that of the present expiry.
        let end = credential.latestEnd
        if credential.isIndexed, end < .never, !credential.isKeptForGood,
            try !transaction.contains(schema.expiry, key: TableKey.expiry(end, record.id).octets)
        {
            findings.append("credential \(record.id): expires, but is not in the expiry index")
        }
        if let endedBy = credential.endedBy,
            try !transaction.contains(schema.expiry, key: TableKey.ended(endedBy, record.id).octets)
        {
            findings.append("credential \(record.id): is revoked, but the expiry index does not have that")
        }
        if credential.isIndexed, !credential.owner.isEmpty,
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
            if try !schema.interned.contains(TableKey.interned(UInt8(kind.rawValue), number).octets, in: transaction) {
                findings.append("credential \(record.id): names \(kind) \(number), which is not there")
            }
        }
    }

    /// Index entries refer to rows with the same content.
    private func checkIndexes(
        in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        try transaction.scan(schema.owners, from: nil) { key, _ in
            guard let number = TableKey.lastNumber(key), key.byteCount > 9 else {
                findings.append("an entry of the owners' index is damaged")
                return .next
            }
            let id = CredentialID(rawValue: number)
            // A credential revoked because its row was damaged no longer has its owner.
            var credential: StoredCredential?
            for table in [schema.credentials, schema.tokens] where credential == nil {
                credential = try table.getIfIntact(number, in: transaction) { StoredCredential(row: $0, id: id) }
            }
            guard credential?.record.flags.contains(.unreadable) != true else { return .next }
            if credential?.owner != key.extracting(0..<key.byteCount - 9).copied() {
                findings.append("credential \(id): is in the index of an owner that it does not have")
            }
            return .next
        }
        try schema.aliases.scan(
            from: nil, in: transaction, reading: { $0.byteCount == 16 ? AliasRow.id($1) : nil },
            damaged: { _ in
                findings.append("an alias is damaged")
                return .next
            }
        ) { _ in .next }
    }

    /// Rows not read above are unchanged, and no watermark is missing.
    private func checkRows(
        in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        let schema = schema
        func note(_ failure: StoreFailure) -> ScanStep {
            if case .damaged(let table, let row) = failure { findings.append("\(table) \(row): the row is damaged") }
            return .next
        }
        try schema.interned.scan(
            from: nil, in: transaction, reading: { InternedText(key: $0, text: $1) },
            damaged: { note(schema.interned.damaged(key: $0)) }
        ) { _ in .next }
        try schema.clients.scan(
            from: 0, in: transaction, reading: { ClientDefinition(key: $0, row: $1) },
            damaged: { note(schema.clients.damaged(key: $0)) }
        ) { _, _ in .next }
        try schema.consents.scan(
            from: nil, in: transaction, reading: { Consent(key: $0, row: $1) },
            damaged: { note(schema.consents.damaged(key: $0)) }
        ) { _ in .next }
        do {
            try WatermarkRow.readAll(schema, in: transaction) { _, _ in }
        } catch let failure as StoreFailure {
            guard case .damaged = failure else { throw failure }
            _ = note(failure)
        }
        let plain = MetaName.plainNames
        try transaction.scan(schema.meta.database, from: nil) { key, value in
            guard !plain.contains(String(decoding: key.copied(), as: UTF8.self)) else { return .next }
            return schema.meta.open(value, key: key) { _ in true } != nil ? .next : note(schema.meta.damaged(key: key))
        }
    }

    /// Numbers are consecutive, and the highest is the one in `meta`.
    private func checkJournal(
        in transaction: borrowing ReadTransaction, into findings: inout [String]
    ) throws {
        var last: UInt64?
        try schema.journal.scan(
            from: 0, in: transaction, reading: { JournalEntry(row: $1, number: $0) },
            damaged: { number in
                findings.append("journal \(number): the row is damaged")
                if let last, number != last &+ 1 { findings.append("journal \(number): follows \(last)") }
                last = number
                return .next
            }
        ) { number, entry in
            if let last, number != last &+ 1, entry.event != .restored {
                findings.append("journal \(number): follows \(last)")
            }
            last = number
            return .next
        }
        // If it is damaged, that is reported with its own table.
        let high = (try? MetaTable(schema).number(.journalNumber, in: transaction)) ?? 0
        if let last, last != high { findings.append("journal: ends at \(last), but \(high) were given") }
    }
}
