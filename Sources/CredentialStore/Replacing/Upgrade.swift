public import CredentialDigest
import CredentialModel
import LMDB

/// What an upgrade came to.
public enum UpgradeOutcome: Sendable, Equatable {
    /// The store has the present schema already; nothing was touched.
    case current(schema: UInt64)
    case upgraded(from: UInt64, to: UInt64, Replacement)
}

extension CredentialStore {
    /// Brings a store of an earlier version to the present schema: in a compacted copy, which is checked row by row and
    /// then takes the folder's place. The old folder is kept as it was.
    ///
    /// - Parameter directory: the store's folder; no process may hold it.
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
        let environment = try naming { () throws in
            try Environment(
                directory: directory, options: Environment.Options(mapBytes: 0, databasesMax: Schema.tableCount))
        }
        defer { try? environment.close() }
        let found = try naming { () throws in
            try environment.write { transaction in try Schema.version(of: environment, in: transaction) }.value
        }
        guard found < Schema.version else {
            guard found == Schema.version else { throw .schemaTooNew(found: found, known: Schema.version) }
            return .current(schema: found)
        }
        let replacement = try replacing(directory, suffix: ".schema-\(found)-") { staged throws(StoreFailure) in
            try naming { () throws in
                try environment.copyCompacted(toDirectory: staged) { written in
                    progress(written)
                    return true
                }
                try environment.close()
            }
            try Migration.run(in: staged, mapBytes: options.mapBytes)
            let store = try open(staged, birth: nil, asked: nil, peppers: peppers, options: options)
            defer { store.close() }
            try requireSound(store)
            return Replacement()
        }
        return .upgraded(from: found, to: Schema.version, replacement)
    }
}

/// The steps from each schema to the next. They run on a copy only, in one transaction.
enum Migration {
    private typealias Step = @Sendable (Environment, borrowing WriteTransaction) throws -> Void

    /// From schema 1 on, in order.
    private static let steps: [Step] = [addOrigin, addConsentsAndAudit, addUsesAndRequests]

    /// Brings the store of a staged folder to the present schema.
    @available(*, noasync)
    static func run(in directory: String, mapBytes: Int) throws(StoreFailure) {
        try naming { () throws in
            let environment = try Environment(
                directory: directory, options: Environment.Options(mapBytes: mapBytes, databasesMax: Schema.tableCount))
            defer { try? environment.close() }
            guard try environment.isWhole() else { throw StoreFailure.cutShort }
            _ = try environment.write { transaction in
                let found = try Schema.version(of: environment, in: transaction)
                guard found >= 1 else { throw LMDBError.notAStore }
                guard found <= Schema.version else {
                    throw StoreFailure.schemaTooNew(found: found, known: Schema.version)
                }
                guard found < Schema.version else { return }
                for step in steps.dropFirst(Int(found) - 1) { try step(environment, transaction) }
                let meta = try environment.openDatabase("meta", keys: .bytes, in: transaction, create: false)
                try put(.schema, Schema.version, meta, transaction)
            }
        }
    }

    /// 1 to 2: a store names its first incarnation, so that a list of revocations can be held against a backup.
    private static func addOrigin(_ environment: Environment, _ transaction: borrowing WriteTransaction) throws {
        let meta = try environment.openDatabase("meta", keys: .bytes, in: transaction, create: false)
        let incarnation = try transaction.get(meta, key: MetaName.incarnation.key.octets) {
            $0.byteCount == 8 ? $0.word64(at: 0) : 0
        }
        try put(.origin, incarnation ?? 0, meta, transaction)
    }

    /// 2 to 3: what people have agreed to, and who did what.
    private static func addConsentsAndAudit(
        _ environment: Environment, _ transaction: borrowing WriteTransaction
    ) throws {
        _ = try environment.openDatabase("consents", keys: .bytes, in: transaction, create: true)
        _ = try environment.openDatabase("audit", keys: .integer, in: transaction, create: true)
    }

    /// 3 to 4: when credentials were last accepted, and what repeated requests have made.
    private static func addUsesAndRequests(
        _ environment: Environment, _ transaction: borrowing WriteTransaction
    ) throws {
        _ = try environment.openDatabase("uses", keys: .integer, in: transaction, create: true)
        _ = try environment.openDatabase("requests", keys: .bytes, in: transaction, create: true)
    }

    private static func put(
        _ name: MetaName, _ value: UInt64, _ meta: Database, _ transaction: borrowing WriteTransaction
    ) throws {
        var bytes: [UInt8] = []
        bytes.append(word64: value)
        _ = try transaction.put(meta, key: name.key.octets, value: bytes.octets)
    }
}
