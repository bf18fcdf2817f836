internal import CLMDB

/// The type of a database's keys.
@frozen public enum KeyShape: Equatable, Sendable {
    /// 1 to 511 bytes in the order of memcmp.
    case bytes
    /// A native UInt64 in numeric order (MDB_INTEGERKEY): small keys, wide pages.
    case integer
}

/// A handle to a named database, valid in every transaction of the environment that opened it.
@frozen public struct Database: Equatable, Sendable {
    @usableFromInline let handle: UInt32
    public let keys: KeyShape
    /// The environment it belongs to: in another one, its number would mean another database.
    @usableFromInline let environment: UInt32

    init(handle: UInt32, keys: KeyShape, environment: UInt32) {
        self.handle = handle
        self.keys = keys
        self.environment = environment
    }
}

extension Environment {
    /// Opens a named database inside a write transaction.
    ///
    /// The handle is valid in every transaction once this one has committed; if it aborts, discard the handle.
    /// - Parameter create: creates the database if it is missing.
    /// - Throws: ``LMDBError/notFound``, ``LMDBError/databasesFull``, or ``LMDBError/incompatible`` when it exists with
    ///   the other key shape.
    public func openDatabase(
        _ name: String, keys: KeyShape, in transaction: borrowing WriteTransaction, create: Bool
    ) throws(LMDBError) -> Database {
        let core = transaction.core
        guard core.environment == number else { throw .badTransaction }
        try core.requireNoView()
        do throws(LMDBError) {
            // SAFETY: the borrow keeps the transaction alive.
            return try unsafe openDatabase(name, keys, core.handle, flags: 0)
        } catch .notFound where create {
            // Two steps, so that only a database that was really created counts as a change.
            // SAFETY: the borrow keeps the transaction alive.
            let database = try unsafe openDatabase(name, keys, core.handle, flags: UInt32(MDB_CREATE))
            core.noteChange()
            return database
        }
    }

    /// Opens an existing named database in a separate transaction, for read-only environments.
    ///
    /// Waits for a running write transaction, because LMDB allows only one transaction at a time to open databases.
    @available(*, noasync)
    public func openDatabase(_ name: String, keys: KeyShape) throws(LMDBError) -> Database {
        try enter()
        defer { leave() }
        guard writer.lock() else { throw .transactionNested }
        defer { writer.unlock() }
        // SAFETY: ended exactly once on each path below, and used by nothing else.
        let transaction = unsafe try begin(flags: UInt32(MDB_RDONLY))
        do throws(LMDBError) {
            let database = try unsafe openDatabase(name, keys, transaction, flags: 0)
            // SAFETY: begun above. Committed, not aborted: an abort would close the new handle. A read transaction's
            // commit cannot fail.
            _ = unsafe mdb_txn_commit(transaction)
            return database
        } catch {
            // SAFETY: begun above, not committed.
            unsafe mdb_txn_abort(transaction)
            throw error
        }
    }

    private func openDatabase(
        _ name: String, _ keys: KeyShape, _ transaction: OpaquePointer, flags: UInt32
    ) throws(LMDBError) -> Database {
        // LMDB would silently take an empty name, or one with a NUL, for another database.
        guard !name.isEmpty, !name.utf8.contains(0) else { throw .badValueSize }
        guard name.utf8.count <= Self.keyBytesMax else { throw .keyTooLong(bytes: name.utf8.count) }
        let wanted = keys == .integer ? UInt32(MDB_INTEGERKEY) : 0
        var database: MDB_dbi = 0
        // SAFETY: the transaction is live; the name is NUL-terminated for the length of the call; LMDB copies it.
        try Self.check(unsafe mdb_dbi_open(transaction, name, flags | wanted, &database))
        var found: UInt32 = 0
        // SAFETY: as above; `found` is a local out-parameter. LMDB itself ignores a mismatch of the key shape.
        try Self.check(unsafe mdb_dbi_flags(transaction, database, &found))
        guard found == wanted else { throw .incompatible }
        recorder?.name(database, name)
        return Database(handle: database, keys: keys, environment: number)
    }
}
