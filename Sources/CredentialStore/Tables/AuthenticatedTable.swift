import CredentialDigest
import CredentialModel
import LMDB
import Synchronization

// LMDB has no checksums: a bit flipped in memory, in transfer or on disk would go unnoticed. In a credential's row it
// could make a revoked key valid again or a valid one inactive. So in each table on which verdicts depend, a row ends
// with a code over the table, the key and the row (``RowAuthenticator``), which is checked whenever the row is read:
//
// ```
// value:  row, then 8 bytes of code
// ```
//
// These tables are accessed only through this type, so nobody can forget to write or check the code. A row with a wrong
// code is a failure of the store, not a missing row: the service reports that it cannot answer.
//
// A code cannot reveal that a row is missing (a damaged branch page hides rows) or that it is an earlier version of
// itself. Earlier versions are in the file, on pages that nothing leads to: such a page in a newer one's place is found
// by its number when a row of it is read (``PageMap``). Missing rows matter most for watermarks, so `meta` stores their number and combined
// codes (``WatermarkRow``). See the security model.

/// A table whose rows are proven to be unchanged and under the key to which they were written.
struct AuthenticatedTable: Sendable {
    /// A table's number is part of the code of each row, and must never be reused for another table.
    enum Name: UInt8, Sendable {
        case credentials = 1
        case aliases = 2
        case journal = 3
        case interned = 4
        case clients = 5
        case watermarks = 6
        case consents = 7
        case meta = 8
        case tokens = 9
    }

    static let codeBytes = 8

    let database: Database
    let name: Name
    private let authenticator: RowAuthenticator
    let damage: DamageLog

    init(_ name: Name, _ database: Database, _ authenticator: RowAuthenticator, _ damage: DamageLog) {
        self.name = name
        self.database = database
        self.authenticator = authenticator
        self.damage = damage
    }

    // MARK: Reading

    /// Calls `body` with the row in a stored value. Nil, and recorded as damage, if the code is wrong or `body` returns
    /// nil. No allocation.
    @inline(__always)
    func open<Value>(_ value: RawSpan, key: UInt64, _ body: (RawSpan) -> Value?) -> Value? {
        let count = value.byteCount &- Self.codeBytes
        if count >= 0 {
            let row = value.extracting(0..<count)
            if authenticator.code(table: name.rawValue, key: key, row: row) == value.word64(at: count),
                let content = body(row)
            {
                return content
            }
        }
        damage.note(damaged(key: key))
        return nil
    }

    /// The same for a key of bytes.
    func open<Value>(_ value: RawSpan, key: RawSpan, _ body: (RawSpan) -> Value?) -> Value? {
        let count = value.byteCount &- Self.codeBytes
        if count >= 0 {
            let row = value.extracting(0..<count)
            if authenticator.code(table: name.rawValue, key: key, row: row) == value.word64(at: count),
                let content = body(row)
            {
                return content
            }
        }
        damage.note(damaged(key: key))
        return nil
    }

    /// The result of `body` for the row of an integer key; nil when there is no row.
    /// - Throws: ``StoreFailure/damaged(table:row:)`` also when `body` returns nil.
    func get<Value>(
        _ key: UInt64, in transaction: borrowing some ReadableTransaction & ~Copyable, _ body: (RawSpan) -> Value?
    ) throws(StoreFailure) -> Value? {
        let found: Value??
        do throws(LMDBError) {
            found = try transaction.get(database, key: key) { (value: RawSpan) throws(LMDBError) -> Value? in
                open(value, key: key, body)
            }
        } catch {
            if error == .misplacedPage { damage.note(.lmdb(error)) }
            throw .lmdb(error)
        }
        guard let found else { return nil }
        guard let found else { throw damaged(key: key) }
        return found
    }

    /// The same for a key of bytes.
    func get<Value>(
        _ key: RawSpan, in transaction: borrowing some ReadableTransaction & ~Copyable, _ body: (RawSpan) -> Value?
    ) throws(StoreFailure) -> Value? {
        let found: Value??
        do throws(LMDBError) {
            found = try transaction.get(database, key: key) { (value: RawSpan) throws(LMDBError) -> Value? in
                open(value, key: key, body)
            }
        } catch {
            if error == .misplacedPage { damage.note(.lmdb(error)) }
            throw .lmdb(error)
        }
        guard let found else { return nil }
        guard let found else { throw damaged(key: key) }
        return found
    }

    /// The same, for work that must continue: nil also for a damaged row, which is recorded.
    func getIfIntact<Value>(
        _ key: UInt64, in transaction: borrowing some ReadableTransaction & ~Copyable, _ body: (RawSpan) -> Value?
    ) throws(StoreFailure) -> Value? {
        do throws(StoreFailure) {
            return try get(key, in: transaction, body)
        } catch .damaged {
            return nil
        }
    }

    /// The highest integer key; 0 when there is none.
    func lastKey(
        in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> UInt64 {
        let last: UInt64?
        do { last = try transaction.lastKey(database) } catch { throw .lmdb(error) }
        return last ?? 0
    }

    /// Whether there is a row at a key, damaged or not.
    func contains(
        _ key: UInt64, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> Bool {
        do { return try transaction.contains(database, key: key) } catch { throw .lmdb(error) }
    }

    func contains(
        _ key: RawSpan, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) -> Bool {
        do { return try transaction.contains(database, key: key) } catch { throw .lmdb(error) }
    }

    /// Reads rows in key order, from a key on: `reading` decodes each of them for `body`.
    /// - Parameter damaged: decides how to continue after a row with a wrong code, or one for which `reading` returns
    ///   nil.
    func scan<Value>(
        from start: UInt64, in transaction: borrowing some ReadableTransaction & ~Copyable,
        reading read: (UInt64, RawSpan) -> Value?, damaged: (UInt64) throws -> ScanStep,
        _ body: (UInt64, Value) throws -> ScanStep
    ) throws {
        try transaction.scan(database, from: start) { (key: UInt64, value: RawSpan) throws -> ScanStep in
            guard let content = open(value, key: key, { read(key, $0) }) else { return try damaged(key) }
            return try body(key, content)
        }
    }

    /// The same; a damaged row ends it with ``StoreFailure/damaged(table:row:)``.
    func scan<Value>(
        from start: UInt64, in transaction: borrowing some ReadableTransaction & ~Copyable,
        reading read: (UInt64, RawSpan) -> Value?, _ body: (UInt64, Value) throws -> ScanStep
    ) throws {
        try scan(from: start, in: transaction, reading: read, damaged: { throw damaged(key: $0) }, body)
    }

    /// The same for keys of bytes, up to the first that `within` rejects.
    func scan<Value>(
        from start: RawSpan?, in transaction: borrowing some ReadableTransaction & ~Copyable,
        within: (RawSpan) -> Bool = { _ in true }, reading read: (RawSpan, RawSpan) -> Value?,
        damaged: (RawSpan) throws -> ScanStep, _ body: (Value) throws -> ScanStep
    ) throws {
        try transaction.scan(database, from: start) { (key: RawSpan, value: RawSpan) throws -> ScanStep in
            guard within(key) else { return .stop }
            guard let content = open(value, key: key, { read(key, $0) }) else { return try damaged(key) }
            return try body(content)
        }
    }

    /// The same; a damaged row ends it.
    func scan<Value>(
        from start: RawSpan?, in transaction: borrowing some ReadableTransaction & ~Copyable,
        within: (RawSpan) -> Bool = { _ in true }, reading read: (RawSpan, RawSpan) -> Value?,
        _ body: (Value) throws -> ScanStep
    ) throws {
        try scan(from: start, in: transaction, within: within, reading: read, damaged: { throw damaged(key: $0) }, body)
    }

    // MARK: Writing

    /// A row with its code, as it is stored.
    func sealed(_ row: [UInt8], key: UInt64) -> [UInt8] {
        var value = row
        value.append(word64: authenticator.code(table: name.rawValue, key: key, row: row.octets))
        return value
    }

    func sealed(_ row: [UInt8], key: [UInt8]) -> [UInt8] {
        var value = row
        value.append(word64: authenticator.code(table: name.rawValue, key: key.octets, row: row.octets))
        return value
    }

    /// Writes a row.
    /// - Returns: false when the key exists and `overwrite` is false.
    @discardableResult
    func put(
        _ key: UInt64, _ row: [UInt8], overwrite: Bool = true, append: Bool = false,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        do {
            return try transaction.put(
                database, key: key, value: sealed(row, key: key).octets, overwrite: overwrite, append: append)
        } catch {
            throw .lmdb(error)
        }
    }

    func put(
        _ key: [UInt8], _ row: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        do {
            try transaction.put(database, key: key.octets, value: sealed(row, key: key).octets)
        } catch {
            throw .lmdb(error)
        }
    }

    @discardableResult
    func delete(_ key: UInt64, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool {
        do { return try transaction.delete(database, key: key) } catch { throw .lmdb(error) }
    }

    func delete(_ key: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        do { try transaction.delete(database, key: key.octets) } catch { throw .lmdb(error) }
    }

    // MARK: Damage

    /// The failure for a damaged row. Names only its public parts, never an owner or a text.
    func damaged(key: UInt64) -> StoreFailure {
        let row =
            switch name {
            case .credentials, .tokens: CredentialID(rawValue: key).description
            default: String(key)
            }
        return .damaged(table: "\(name)", row: row)
    }

    func damaged(key: RawSpan) -> StoreFailure {
        let kind = key.byteCount > 0 ? key.byte(at: 0) : 0
        let number = TableKey.lastNumber(key) ?? 0
        let row =
            switch name {
            case .meta: String(decoding: key.copied(), as: UTF8.self)
            case .interned: "\(kind).\(number)"
            case .watermarks: kind == 1 ? "of an owner" : (kind == 2 ? "of client \(number)" : "of family \(number)")
            case .consents: "for client \(number)"
            default: "under an alias"
            }
        return .damaged(table: "\(name)", row: row)
    }
}

/// Counts reads that found a damaged row, and keeps the last failure: for a metric, and an occasional line in the log.
public final class DamageLog: Sendable {
    private let state = Mutex<(count: UInt64, last: StoreFailure?)>((0, nil))

    init() {}

    /// Reads that found a damaged row since the start.
    public var count: UInt64 { state.withLock { $0.count } }

    /// The failure of the last such read.
    public var last: StoreFailure? { state.withLock { $0.last } }

    func note(_ failure: StoreFailure) {
        state.withLock { state in
            state.count &+= 1
            state.last = failure
        }
    }
}
