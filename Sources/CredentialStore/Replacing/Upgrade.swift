public import CredentialDigest
import CredentialModel
import LMDB

/// The result of an upgrade.
public enum UpgradeOutcome: Sendable, Equatable {
    /// The store already has the current schema; nothing was changed.
    case current(schema: UInt64)
    case upgraded(from: UInt64, to: UInt64, Replacement)
}

extension CredentialStore {
    /// Upgrades a store to the current schema, in a compacted copy that is checked row by row and then replaces the
    /// folder. The old folder is kept unchanged.
    ///
    /// - Parameter directory: the store's folder, which no process may hold.
    /// - Throws: ``StoreFailure``; then nothing has changed.
    @available(*, noasync)
    public static func upgrade(
        in directory: String, peppers: PepperFile, options: StoreOptions = StoreOptions(),
        progress: @escaping (UInt64) -> Void = { _ in }
    ) throws(StoreFailure) -> UpgradeOutcome {
        guard exists(in: directory), let lock = try lockIfPresent(directory) else {
            throw .noStore(directory: directory)
        }
        defer { lock.release() }
        let environment = try convertingErrors { () throws in
            try Environment(
                directory: directory, options: Environment.Options(mapBytes: 0, databasesMax: Schema.tableCount))
        }
        defer { try? environment.close() }
        let found = try convertingErrors { () throws in
            try environment.write { transaction in try Schema.version(of: environment, in: transaction) }.value
        }
        guard found < Schema.version else {
            guard found == Schema.version else { throw .schemaTooNew(found: found, known: Schema.version) }
            return .current(schema: found)
        }
        let replacement = try replacing(directory, suffix: ".schema-\(found)-") { staged throws(StoreFailure) in
            try convertingErrors { () throws in
                try environment.copyCompacted(toDirectory: staged) { written in
                    progress(written)
                    return true
                }
                try environment.close()
            }
            try Migration.run(in: staged, lookup: peppers.lookup, mapBytes: options.mapBytes)
            let store = try open(staged, creating: nil, expected: nil, peppers: peppers, options: options)
            defer { store.close() }
            try requireSound(store)
            return Replacement()
        }
        return .upgraded(from: found, to: Schema.version, replacement)
    }
}

/// The steps from each schema to the next. They run only on a copy, in one transaction.
enum Migration {
    private typealias Step = @Sendable (Environment, TagKey, borrowing WriteTransaction) throws -> Void

    /// From schema 1 on, in order.
    private static let steps: [Step] = [addOrigin, addConsentsAndAudit, addUsesAndRequests, authenticateRows]

    /// Upgrades the store in a staged folder to the current schema.
    /// - Parameter lookup: the lookup secret of the store's pepper file.
    @available(*, noasync)
    static func run(in directory: String, lookup: TagKey, mapBytes: Int) throws(StoreFailure) {
        try convertingErrors { () throws in
            let environment: Environment
            do throws(LMDBError) {
                environment = try Environment(
                    directory: directory,
                    options: Environment.Options(mapBytes: mapBytes, databasesMax: Schema.tableCount))
            } catch .truncated {
                // An error naming the copy would mean nothing to the user, who knows only the backup.
                throw StoreFailure.truncated
            }
            defer { try? environment.close() }
            guard try environment.isWhole() else { throw StoreFailure.truncated }
            _ = try environment.write { transaction in
                let found = try Schema.version(of: environment, in: transaction)
                guard found >= 1 else { throw LMDBError.notAStore }
                guard found <= Schema.version else {
                    throw StoreFailure.schemaTooNew(found: found, known: Schema.version)
                }
                guard found < Schema.version else { return }
                for step in steps.dropFirst(Int(found) - 1) { try step(environment, lookup, transaction) }
                // The log does not say what the steps have done.
                try forgetLog(environment, transaction)
                let meta = try environment.openDatabase("meta", keys: .bytes, in: transaction, create: false)
                try put(.schema, Schema.version, meta, transaction)
            }
        }
    }

    private static func forgetLog(_ environment: Environment, _ transaction: borrowing WriteTransaction) throws {
        let meta = try environment.openDatabase("meta", keys: .bytes, in: transaction, create: false)
        try transaction.delete(meta, key: MetaName.logPosition.key.octets)
    }

    /// 1 to 2: adds the first incarnation, by which a list of revocations is matched with a backup.
    private static func addOrigin(
        _ environment: Environment, _: TagKey, _ transaction: borrowing WriteTransaction
    ) throws {
        let meta = try environment.openDatabase("meta", keys: .bytes, in: transaction, create: false)
        let incarnation = try transaction.get(meta, key: MetaName.incarnation.key.octets) {
            $0.byteCount == 8 ? $0.word64(at: 0) : 0
        }
        try put(.origin, incarnation ?? 0, meta, transaction)
    }

    /// 2 to 3: adds consents and the audit log.
    private static func addConsentsAndAudit(
        _ environment: Environment, _: TagKey, _ transaction: borrowing WriteTransaction
    ) throws {
        _ = try environment.openDatabase("consents", keys: .bytes, in: transaction, create: true)
        _ = try environment.openDatabase("audit", keys: .integer, in: transaction, create: true)
    }

    /// 3 to 4: adds the times of last use, and the results of repeatable requests.
    private static func addUsesAndRequests(
        _ environment: Environment, _: TagKey, _ transaction: borrowing WriteTransaction
    ) throws {
        _ = try environment.openDatabase("uses", keys: .integer, in: transaction, create: true)
        _ = try environment.openDatabase("requests", keys: .bytes, in: transaction, create: true)
    }

    /// 4 to 5: rows end with a code, access tokens have their own table, and journal entries are shorter.
    ///
    /// The rows of the old store are trusted: nothing in it can distinguish a damaged row from an intact one.
    private static func authenticateRows(
        _ environment: Environment, _ lookup: TagKey, _ transaction: borrowing WriteTransaction
    ) throws {
        let schema = try Schema(environment, lookup: lookup, create: true, in: transaction)
        // Under another secret, nothing could be read any more.
        try MetaTable(schema).require(lookup, in: transaction)
        for table in [schema.credentials, schema.clients] {
            try sealAll(integers: table, in: transaction) { $0.copied() }
        }
        try moveTokens(schema, in: transaction)
        try sealAll(integers: schema.journal, in: transaction) { old in
            guard old.byteCount >= 18 else { throw StoreFailure.corrupt(table: "journal") }
            var row = [old.byte(at: 0), old.byte(at: 1)]
            row.append(word32: UInt32(clamping: Int64(bitPattern: old.word64(at: 2))))
            return row + old.extracting(10...).copied()
        }
        var sum = WatermarkRow.Sum()
        for table in [schema.aliases, schema.interned, schema.consents, schema.watermarks, schema.meta] {
            try sealAll(bytes: table, in: transaction) { sealed in
                if table.name == .watermarks { sum.add(sealed.octets) }
            }
        }
        try sum.write(MetaTable(schema), in: transaction)
    }

    /// Old tokens keep their random ids and their entries in the indexes.
    private static func moveTokens(_ schema: Schema, in transaction: borrowing WriteTransaction) throws {
        var next: UInt64? = 0
        while let from = next {
            var tokens: [(key: UInt64, row: [UInt8])] = []
            var examined = 0
            next = nil
            try transaction.scan(schema.credentials.database, from: from) { (key: UInt64, value: RawSpan) in
                guard examined < rowsAtOnce else {
                    next = key
                    return .stop
                }
                examined += 1
                if value.byteCount > RowLayout.headerBytes, value.byte(at: 1) == CredentialKind.accessToken.rawValue {
                    tokens.append((key, Array(value.copied().dropLast(AuthenticatedTable.codeBytes))))
                }
                return .next
            }
            for (key, row) in tokens {
                try schema.credentials.delete(key, in: transaction)
                try schema.tokens.put(key, row, append: true, in: transaction)
            }
        }
    }

    /// Rows changed between two scans: a scan borrows bytes of pages, which a change may move.
    private static let rowsAtOnce = 10_000

    private static func sealAll(
        integers table: AuthenticatedTable, in transaction: borrowing WriteTransaction,
        _ present: (RawSpan) throws -> [UInt8]
    ) throws {
        var next: UInt64? = 0
        while let from = next {
            var rows: [(key: UInt64, row: [UInt8])] = []
            next = nil
            try transaction.scan(table.database, from: from) { (key: UInt64, row: RawSpan) in
                guard rows.count < rowsAtOnce else {
                    next = key
                    return .stop
                }
                rows.append((key, try present(row)))
                return .next
            }
            for (key, row) in rows { try table.put(key, row, in: transaction) }
        }
    }

    private static func sealAll(
        bytes table: AuthenticatedTable, in transaction: borrowing WriteTransaction, _ note: ([UInt8]) -> Void
    ) throws {
        var next: [UInt8]? = [0]
        while let from = next {
            var rows: [(key: [UInt8], row: [UInt8])] = []
            next = nil
            try transaction.scan(table.database, from: from.octets) { key, row in
                guard rows.count < rowsAtOnce else {
                    next = key.copied()
                    return .stop
                }
                rows.append((key.copied(), row.copied()))
                return .next
            }
            for (key, row) in rows {
                if table.name == .meta, MetaName.plainNames.contains(String(decoding: key, as: UTF8.self)) { continue }
                try table.put(key, row, in: transaction)
                note(table.sealed(row, key: key))
            }
        }
    }

    private static func put(
        _ name: MetaName, _ value: UInt64, _ meta: Database, _ transaction: borrowing WriteTransaction
    ) throws {
        var bytes: [UInt8] = []
        bytes.append(word64: value)
        _ = try transaction.put(meta, key: name.key.octets, value: bytes.octets)
    }
}
