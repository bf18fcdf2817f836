public import CLMDB

/// What read and write transactions have in common. The reads are in an extension.
///
/// Bytes are only borrowed: a value lies in the map and is valid only inside the closure. Its alignment is 2, so load from
/// it unaligned.
public protocol ReadableTransaction: ~Copyable {
    /// For use inside this module only.
    var core: TransactionCore { get }
}

/// A snapshot of the store. Exists only as a borrowed closure parameter.
public struct ReadTransaction: ~Copyable, ReadableTransaction {
    public let core: TransactionCore

    @inlinable init(core: TransactionCore) { self.core = core }

    /// The id of the newest commit in this snapshot.
    @inlinable public var id: UInt64 {
        // SAFETY: the transaction is live while it is borrowed.
        unsafe UInt64(mdb_txn_id(core.handle))
    }
}

extension ReadableTransaction where Self: ~Copyable {
    /// Calls `body` with the value of an integer key; nil when there is none.
    ///
    /// For closures that throw errors other than ``LMDBError`` there is the variant below. A closure with `try` selects it
    /// unless declared `throws(LMDBError)`.
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

    /// Calls `body` with the value of a key of bytes; nil when there is none.
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

    /// The number of keys in the database, which LMDB stores.
    public func count(_ database: Database) throws(LMDBError) -> Int {
        try core.require(database, database.keys)
        var statistics = MDB_stat()
        // SAFETY: the transaction is live while it is borrowed; `statistics` is a local out-parameter.
        try Environment.check(unsafe mdb_stat(core.handle, database.handle, &statistics))
        return Self.plausible(statistics.ms_entries)
    }

    /// Bytes of the pages that hold data as seen by this transaction: the size of a compacted copy.
    ///
    /// Costs some instructions for each database, since LMDB stores the page counts of each tree. All other pages of the map
    /// are free, or become free once no reader needs their old content.
    /// - Parameter databases: all named databases of the environment.
    public func occupiedBytes(_ databases: [Database]) throws(LMDBError) -> Int {
        var pages = Self.metaPages
        var pageBytes = 0
        // The free list and the table of names, LMDB's databases 0 and 1, use pages as well.
        for handle in [0, 1] + databases.map(\.handle) {
            var statistics = MDB_stat()
            // SAFETY: the transaction is live while it is borrowed; `statistics` is a local out-parameter.
            try Environment.check(unsafe mdb_stat(core.handle, handle, &statistics))
            pages &+= Self.plausible(statistics.ms_branch_pages) &+ Self.plausible(statistics.ms_leaf_pages)
            pages &+= Self.plausible(statistics.ms_overflow_pages)
            pageBytes = Int(statistics.ms_psize)
        }
        let (bytes, overflow) = Self.plausible(pages).multipliedReportingOverflow(by: pageBytes)
        return overflow ? .max / 2 : bytes
    }

    private static var metaPages: Int { 2 }

    /// A count of keys or pages that a damaged file states, as one with which callers can calculate. It is still more than
    /// addresses of 48 bits have room for: a store that seems to be full takes revocations, and one that fails does not.
    private static func plausible(_ count: Int) -> Int {
        Int(truncatingIfNeeded: min(UInt(bitPattern: count), 1 << 45))
    }
}
