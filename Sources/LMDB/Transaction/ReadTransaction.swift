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

    /// Bytes of the pages that hold data as this transaction sees it: what a compacted copy would take.
    ///
    /// Costs some instructions for each database, since LMDB keeps the page counts of each tree. All other pages of the map
    /// are free, or become free once no reader needs their old content.
    /// - Parameter databases: all named databases of the environment.
    public func occupiedBytes(_ databases: [Database]) throws(LMDBError) -> Int {
        var pages = Self.metaPages
        var pageBytes = 0
        // The free list and the table of names, LMDB's databases 0 and 1, take pages as well.
        for handle in [0, 1] + databases.map(\.handle) {
            var statistics = MDB_stat()
            // SAFETY: the transaction is live while it is borrowed; `statistics` is a local out-parameter.
            try Environment.check(unsafe mdb_stat(core.handle, handle, &statistics))
            pages &+= Int(clamping: statistics.ms_branch_pages) &+ Int(clamping: statistics.ms_leaf_pages)
            pages &+= Int(clamping: statistics.ms_overflow_pages)
            pageBytes = Int(statistics.ms_psize)
        }
        return pages &* pageBytes
    }

    private static var metaPages: Int { 2 }
}
