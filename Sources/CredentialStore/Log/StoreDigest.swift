public import CredentialDigest
import CredentialModel
import LMDB

/// What a store contains, as one hash for each table, for comparing copies of it.
///
/// Leaves out what each copy has for itself: last uses, the time of the last commit, and the position in the log.
/// Two copies with the same position have the same hashes, unless one of them was changed in another way than by the log.
public struct StoreDigest: Sendable, Equatable {
    /// The number of the last log entry that the store has; nil for a store without a log.
    public let number: UInt64?
    /// Table, rows, and SHA-256 over all of them in the order of their keys.
    public let tables: [(name: String, rows: Int, hash: [UInt8])]

    public static func == (left: StoreDigest, right: StoreDigest) -> Bool {
        left.number == right.number
            && left.tables.elementsEqual(right.tables) {
                $0.name == $1.name && $0.rows == $1.rows && $0.hash == $1.hash
            }
    }

    /// Reads a whole store in one snapshot. Another process may own it.
    /// - Throws: ``StoreFailure``.
    @available(*, noasync)
    public static func of(_ directory: String, peppers: PepperFile) throws(StoreFailure) -> StoreDigest {
        guard CredentialStore.exists(in: directory) else { throw .noStore(directory: directory) }
        return try convertingErrors { () throws in
            let environment = try Environment(
                directory: directory,
                options: Environment.Options(mapBytes: 0, databasesMax: Schema.tableCount, readOnly: true))
            defer { try? environment.close() }
            let schema = try Schema(following: environment, lookup: peppers.lookup)
            return try environment.read { transaction in
                try MetaTable(schema).require(peppers.lookup, in: transaction)
                let position = try MetaTable(schema).value(.logPosition, in: transaction).flatMap {
                    LogPosition(row: $0)
                }
                let tables = try tables(of: schema, in: transaction) { true }
                return StoreDigest(number: position?.number, tables: tables ?? [])
            }
        }
    }

    /// - Parameter isWanted: asked from time to time.
    /// - Returns: nil when it was not wanted any more.
    static func tables(
        of schema: Schema, in transaction: borrowing ReadTransaction, while isWanted: () -> Bool
    ) throws -> [(name: String, rows: Int, hash: [UInt8])]? {
        var tables: [(name: String, rows: Int, hash: [UInt8])] = []
        for (name, database) in schema.all where !database.isLocal(in: schema) {
            var sum = Sum()
            var isOver = false
            if database.keys == .integer {
                try transaction.scan(database, from: 0) { (key: UInt64, value: RawSpan) in
                    var bytes: [UInt8] = []
                    bytes.append(word64: key)
                    sum.add(bytes, value)
                    isOver = sum.rows % Self.rowsBetweenQuestions == 0 && !isWanted()
                    return isOver ? .stop : .next
                }
            } else {
                try transaction.scan(database, from: nil) { (key: RawSpan, value: RawSpan) in
                    let key = key.copied()
                    if database != schema.meta.database || !MetaName.isLocal(key) { sum.add(key, value) }
                    isOver = sum.rows % Self.rowsBetweenQuestions == 0 && !isWanted()
                    return isOver ? .stop : .next
                }
            }
            if isOver { return nil }
            tables.append((name, sum.rows, sum.hash))
        }
        return tables
    }

    private static let rowsBetweenQuestions = 1_000

    /// Rows are short, so they are hashed one by one, each together with the hash of those before it.
    private struct Sum {
        var rows = 0
        var hash = [UInt8](repeating: 0, count: 32)

        mutating func add(_ key: [UInt8], _ value: RawSpan) {
            rows += 1
            var message = hash
            message.append(word64: UInt64(key.count))
            message += key
            message += value.copied()
            hash = SHA256Digest.of(message.octets)
        }
    }
}

extension Database {
    /// Whether each copy of a store has the table for itself.
    fileprivate func isLocal(in schema: Schema) -> Bool { self == schema.uses }
}
