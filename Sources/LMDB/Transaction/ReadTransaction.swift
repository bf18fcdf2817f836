public import CLMDB

/// What a read and a write transaction can both do. The reads are in an extension.
///
/// Bytes are lent, never given: a value lies in the map and is valid inside the closure only. Its alignment is 2, so
/// load from it unaligned.
public protocol ReadableTransaction: ~Copyable {
    /// For this module's own use.
    var core: TransactionCore { get }
}

/// A snapshot of the store. Exists as a borrowed closure parameter only.
public struct ReadTransaction: ~Copyable, ReadableTransaction {
    public let core: TransactionCore

    @inlinable init(core: TransactionCore) { self.core = core }

    /// The id of the newest commit that this snapshot holds.
    @inlinable public var id: UInt64 {
        // SAFETY: the transaction is live while it is borrowed.
        unsafe UInt64(mdb_txn_id(core.handle))
    }
}

extension ReadableTransaction where Self: ~Copyable {
    /// Lends the value of an integer key to `body`; nil when there is none.
    ///
    /// The closure's outcome is a value: for one that throws another error than ``LMDBError`` there is the variant
    /// below. A closure that contains `try` picks that one unless it says `throws(LMDBError)`.
    @inlinable
    public func get<Value: ~Copyable>(
        _ database: Database, key: UInt64, _ body: (RawSpan) throws(LMDBError) -> Value
    ) throws(LMDBError) -> Value? {
        // SAFETY: the bytes stay mapped and unchanged while `body` runs: a snapshot's pages are not reused, and in a
        // write transaction the open view refuses changes. The span cannot leave the synchronous closure.
        guard let bytes = unsafe try core.find(database, key) else { return nil }
        core.beginView()
        defer { core.endView() }
        return try unsafe body(bytes.bytes)
    }

    @inlinable @_disfavoredOverload
    public func get<Value: ~Copyable>(
        _ database: Database, key: UInt64, _ body: (RawSpan) throws -> Value
    ) throws -> Value? {
        // SAFETY: as above.
        guard let bytes = unsafe try core.find(database, key) else { return nil }
        core.beginView()
        defer { core.endView() }
        return try unsafe body(bytes.bytes)
    }

    /// Lends the value of a key of bytes to `body`; nil when there is none.
    @inlinable
    public func get<Value: ~Copyable>(
        _ database: Database, key: RawSpan, _ body: (RawSpan) throws(LMDBError) -> Value
    ) throws(LMDBError) -> Value? {
        // SAFETY: as above.
        guard let bytes = unsafe try core.find(database, key) else { return nil }
        core.beginView()
        defer { core.endView() }
        return try unsafe body(bytes.bytes)
    }

    @inlinable @_disfavoredOverload
    public func get<Value: ~Copyable>(
        _ database: Database, key: RawSpan, _ body: (RawSpan) throws -> Value
    ) throws -> Value? {
        // SAFETY: as above.
        guard let bytes = unsafe try core.find(database, key) else { return nil }
        core.beginView()
        defer { core.endView() }
        return try unsafe body(bytes.bytes)
    }

    @inlinable public func contains(_ database: Database, key: UInt64) throws(LMDBError) -> Bool {
        // SAFETY: the pointer is only compared with nil.
        unsafe try core.find(database, key) != nil
    }

    @inlinable public func contains(_ database: Database, key: RawSpan) throws(LMDBError) -> Bool {
        // SAFETY: the pointer is only compared with nil.
        unsafe try core.find(database, key) != nil
    }

    /// How many keys the database holds. LMDB keeps the number; nothing is walked.
    public func count(_ database: Database) throws(LMDBError) -> Int {
        try core.require(database, database.keys)
        var statistics = MDB_stat()
        // SAFETY: the transaction is live while it is borrowed; `statistics` is a local out-parameter.
        try Environment.check(unsafe mdb_stat(core.handle, database.handle, &statistics))
        return Int(clamping: statistics.ms_entries)
    }
}
