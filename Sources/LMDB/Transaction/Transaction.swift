public import CLMDB

/// The state of a running write transaction. Lives on the stack of ``Environment/write(_:)``.
@usableFromInline struct WriteLedger {
    /// Rows written or deleted so far.
    var changes = 0
    /// Those rows, if somebody compares them (see ``RowRecorder``).
    var rows: [RecordedRow]?
    /// Closures that now borrow bytes of this transaction.
    @usableFromInline var views = 0
    /// The first failure after which LMDB cannot commit.
    @usableFromInline var failure: LMDBError?

    @usableFromInline init() {}
}

/// What read and write transactions have in common. It has no public members, so it is useless outside this module.
// SAFETY: values are created for a closure that borrows the transaction, and every member that dereferences a pointer
// is internal to this module and called during such a borrow.
@safe @frozen public struct TransactionCore {
    @usableFromInline let handle: OpaquePointer
    /// Nil in a read transaction.
    @usableFromInline let ledger: UnsafeMutablePointer<WriteLedger>?
    @usableFromInline let environment: UInt32
    @usableFromInline let pages: PageMap

    @inlinable init(
        handle: OpaquePointer, ledger: UnsafeMutablePointer<WriteLedger>?, environment: UInt32, pages: PageMap
    ) {
        // SAFETY: stored only; the caller guarantees that both outlive the borrow for which they are created.
        unsafe self.handle = handle
        unsafe self.ledger = ledger
        self.environment = environment
        self.pages = pages
    }

    /// - Throws: when the database belongs to another environment or has another key shape.
    @inlinable func require(_ database: Database, _ keys: KeyShape) throws(LMDBError) {
        guard database.environment == environment else { throw .badDatabase }
        guard database.keys == keys else { throw .incompatible }
    }

    /// A change may move or free bytes of a write transaction, so none is allowed while any are lent.
    func requireNoView() throws(LMDBError) {
        // SAFETY: the ledger outlives the transaction.
        if let ledger = unsafe ledger, unsafe ledger.pointee.views > 0 { throw .viewOpen }
    }

    @inlinable func beginView() {
        // SAFETY: the ledger outlives the transaction.
        if let ledger = unsafe ledger { unsafe ledger.pointee.views &+= 1 }
    }

    @inlinable func endView() {
        // SAFETY: the ledger outlives the transaction.
        if let ledger = unsafe ledger { unsafe ledger.pointee.views &-= 1 }
    }

    /// Counts a row that was written or deleted.
    func noteChange() {
        // SAFETY: the ledger outlives the transaction.
        if let ledger = unsafe ledger { unsafe ledger.pointee.changes &+= 1 }
    }

    /// Whether rows are recorded.
    var isRecording: Bool {
        // SAFETY: the ledger outlives the transaction.
        guard let ledger = unsafe ledger else { return false }
        return unsafe ledger.pointee.rows != nil
    }

    func record(_ row: RecordedRow) {
        // SAFETY: the ledger outlives the transaction.
        if let ledger = unsafe ledger { unsafe ledger.pointee.rows?.append(row) }
    }

    /// Records a failure after which LMDB does not commit, so that the transaction fails with this error.
    func noteFailure(_ error: LMDBError) {
        switch error {
        case .keyExists, .notFound, .badValueSize: return
        default: break
        }
        // SAFETY: the ledger outlives the transaction.
        if let ledger = unsafe ledger, unsafe ledger.pointee.failure == nil { unsafe ledger.pointee.failure = error }
    }

    /// The value of an integer key, as bytes inside the map: valid until the transaction's next change or its end.
    @inlinable func find(_ database: Database, _ key: UInt64) throws(LMDBError) -> UnsafeRawBufferPointer? {
        try require(database, .integer)
        var key = key
        // SAFETY: LMDB reads the key during the call only; `value` is a local out-parameter; the transaction is live.
        var value = unsafe MDB_val()
        let code = unsafe withUnsafeMutableBytes(of: &key) { bytes in
            var key = unsafe MDB_val(mv_size: bytes.count, mv_data: bytes.baseAddress)
            return unsafe mdb_get(handle, database.handle, &key, &value)
        }
        if code == MDB_NOTFOUND { return nil }
        guard code == 0 else { throw LMDBError(code: code) }
        // SAFETY: LMDB has set both fields to a value inside the map or a page of this transaction.
        guard unsafe pages.isPlaced(value) else { throw .misplacedPage }
        // SAFETY: LMDB has set both fields to a value inside the map.
        return unsafe UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)
    }

    /// The value of a key of bytes, as bytes inside the map: valid until the transaction's next change or its end.
    @inlinable func find(_ database: Database, _ key: RawSpan) throws(LMDBError) -> UnsafeRawBufferPointer? {
        try require(database, .bytes)
        try KeyLength.require(key)
        // SAFETY: LMDB only reads the key, during the call; `value` is a local out-parameter; the transaction is live.
        var value = unsafe MDB_val()
        let code = unsafe key.withUnsafeBytes { bytes in
            var key = unsafe MDB_val(
                mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            return unsafe mdb_get(handle, database.handle, &key, &value)
        }
        if code == MDB_NOTFOUND { return nil }
        guard code == 0 else { throw LMDBError(code: code) }
        // SAFETY: LMDB has set both fields to a value inside the map or a page of this transaction.
        guard unsafe pages.isPlaced(value) else { throw .misplacedPage }
        // SAFETY: LMDB has set both fields to a value inside the map.
        return unsafe UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)
    }
}

/// LMDB reports an empty key and one of more than 511 bytes with the same vague error, and late; this names each case.
@usableFromInline enum KeyLength {
    @inlinable static func require(_ key: RawSpan) throws(LMDBError) {
        guard key.byteCount > 0 else { throw .emptyKey }
        guard key.byteCount <= 511 else { throw .keyTooLong(bytes: key.byteCount) }
    }
}

/// What read and write transactions have in common. The reads are in an extension.
///
/// Bytes are only borrowed: a value lies in the map and is valid only inside the closure. Its alignment is 2, so load
/// from it unaligned.
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
    /// For closures that throw errors other than ``LMDBError`` there is the variant below. A closure with `try` selects
    /// it unless declared `throws(LMDBError)`.
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
    /// Costs some instructions for each database, since LMDB stores the page counts of each tree. All other pages of
    /// the map are free, or become free once no reader needs their old content.
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

    /// Limits a count of keys or pages, which a damaged file may state too high, so that sums of it do not overflow. The
    /// limit is more than 48-bit addresses have room for, so the store counts as full: it still takes revocations,
    /// which it would not if this threw.
    private static func plausible(_ count: Int) -> Int {
        Int(truncatingIfNeeded: min(UInt(bitPattern: count), 1 << 45))
    }
}

/// The only transaction that may change the store. Exists only as a borrowed closure parameter, on one thread.
public struct WriteTransaction: ~Copyable, ReadableTransaction {
    public let core: TransactionCore

    init(core: TransactionCore) { self.core = core }

    /// The id that this transaction's commit will have, if it changes anything.
    public var id: UInt64 {
        // SAFETY: the transaction is live while it is borrowed.
        unsafe UInt64(mdb_txn_id(core.handle))
    }

    /// How many rows this transaction has written or deleted so far. Deleting an absent row is no change.
    public var changes: Int {
        // SAFETY: the ledger outlives the transaction.
        guard let ledger = unsafe core.ledger else { return 0 }
        return unsafe ledger.pointee.changes
    }

    /// Writes a value.
    ///
    /// - Parameters:
    ///   - overwrite: whether an existing key gets the new value.
    ///   - append: the key must be above all others; faster, and fills pages completely.
    /// - Returns: false when the key exists and `overwrite` is false; then nothing has changed.
    /// - Throws: ``LMDBError/mapFull`` and others, after which the transaction cannot commit;
    ///   ``LMDBError/keyExists`` when an appended key is not above the last; ``LMDBError/viewOpen``.
    @discardableResult
    public func put(
        _ database: Database, key: UInt64, value: RawSpan, overwrite: Bool = true, append: Bool = false
    ) throws(LMDBError) -> Bool {
        try core.require(database, .integer)
        var key = key
        // SAFETY: the key's storage is local and outlives the call.
        let code = unsafe try withUnsafeMutableBytes(of: &key) { bytes throws(LMDBError) in
            unsafe try put(database, UnsafeRawBufferPointer(bytes), value, overwrite, append)
        }
        return try outcome(code, overwrite, append)
    }

    /// Writes a value under a key of 1 to 511 bytes. Parameters, result and errors are those for an integer key.
    @discardableResult
    public func put(
        _ database: Database, key: RawSpan, value: RawSpan, overwrite: Bool = true, append: Bool = false
    ) throws(LMDBError) -> Bool {
        try core.require(database, .bytes)
        try KeyLength.require(key)
        // SAFETY: the span keeps the key's bytes valid during the call.
        let code = unsafe try key.withUnsafeBytes { bytes throws(LMDBError) in
            unsafe try put(database, bytes, value, overwrite, append)
        }
        return try outcome(code, overwrite, append)
    }

    /// Deletes a key. This needs pages too, so a full map can refuse it.
    /// - Returns: false when there is no such key; then nothing has changed.
    @discardableResult
    public func delete(_ database: Database, key: UInt64) throws(LMDBError) -> Bool {
        try core.require(database, .integer)
        var key = key
        // SAFETY: the key's storage is local and outlives the call.
        return unsafe try withUnsafeMutableBytes(of: &key) { bytes throws(LMDBError) in
            unsafe try delete(database, UnsafeRawBufferPointer(bytes))
        }
    }

    @discardableResult
    public func delete(_ database: Database, key: RawSpan) throws(LMDBError) -> Bool {
        try core.require(database, .bytes)
        try KeyLength.require(key)
        // SAFETY: the span keeps the key's bytes valid during the call.
        return unsafe try key.withUnsafeBytes { bytes throws(LMDBError) in unsafe try delete(database, bytes) }
    }

    private func put(
        _ database: Database, _ key: UnsafeRawBufferPointer, _ value: RawSpan, _ overwrite: Bool, _ append: Bool
    ) throws(LMDBError) -> Int32 {
        try core.requireNoView()
        let flags = (overwrite ? 0 : UInt32(MDB_NOOVERWRITE)) | (append ? UInt32(MDB_APPEND) : 0)
        // SAFETY: LMDB copies key and value during the call and writes to neither (no MDB_RESERVE); an empty span may
        // have no address, which LMDB does not read for a size of 0.
        let code = unsafe value.withUnsafeBytes { bytes in
            var key = unsafe MDB_val(mv_size: key.count, mv_data: UnsafeMutableRawPointer(mutating: key.baseAddress))
            var value = unsafe MDB_val(
                mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            // SAFETY: as above.
            return unsafe mdb_put(core.handle, database.handle, &key, &value, flags)
        }
        if code == 0 {
            core.noteChange()
            if core.isRecording {
                // SAFETY: the caller keeps the key's bytes valid during the call; they are copied here.
                core.record(RecordedRow(handle: database.handle, key: unsafe Array(key), value: copy(value)))
            }
        }
        return code
    }

    private func copy(_ bytes: RawSpan) -> [UInt8] {
        // SAFETY: the span keeps its bytes valid during the call.
        unsafe bytes.withUnsafeBytes { unsafe Array($0) }
    }

    private func outcome(_ code: Int32, _ overwrite: Bool, _ append: Bool) throws(LMDBError) -> Bool {
        if code == 0 { return true }
        if code == MDB_KEYEXIST, !overwrite, !append { return false }
        let error = LMDBError(code: code)
        core.noteFailure(error)
        throw error
    }

    private func delete(_ database: Database, _ key: UnsafeRawBufferPointer) throws(LMDBError) -> Bool {
        try core.requireNoView()
        // SAFETY: LMDB only reads the key, during the call; the transaction is live while it is borrowed.
        var value = unsafe MDB_val(mv_size: key.count, mv_data: UnsafeMutableRawPointer(mutating: key.baseAddress))
        let code = unsafe mdb_del(core.handle, database.handle, &value, nil)
        if code == MDB_NOTFOUND { return false }
        guard code == 0 else {
            let error = LMDBError(code: code)
            core.noteFailure(error)
            throw error
        }
        core.noteChange()
        if core.isRecording {
            // SAFETY: the caller keeps the key's bytes valid during the call; they are copied here.
            core.record(RecordedRow(handle: database.handle, key: unsafe Array(key), value: nil))
        }
        return true
    }
}
