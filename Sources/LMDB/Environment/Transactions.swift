internal import CLMDB

/// The result of a committed write transaction.
public struct Commit<Value: ~Copyable>: ~Copyable {
    /// What the closure returned.
    public let value: Value
    /// The newest transaction id of the store when this one ended: its own if it changed anything, else the previous
    /// one. A commit without changes keeps the old id.
    public let transactionID: UInt64
    /// Whether anything was written.
    public let changed: Bool
}

extension Commit: Copyable where Value: Copyable {}
extension Commit: Sendable where Value: Sendable & ~Copyable {}

extension Environment {
    /// Runs a write transaction on this thread from begin to commit, after waiting for other writers.
    ///
    /// When this returns, the changes are durable. If the closure throws, nothing remains. A failed change makes the
    /// whole transaction fail with that error, even if the closure ignored it.
    /// - Throws: what the closure throws; ``LMDBError`` when nothing was written; ``CommitFailure`` when the commit
    ///   failed while writing the meta page, so that the outcome is unknown.
    @available(*, noasync)
    public func write<Value: ~Copyable>(
        _ body: (borrowing WriteTransaction) throws -> Value
    ) throws -> Commit<Value> {
        guard !isReadOnly else { throw LMDBError.readOnly }
        try enter()
        defer { leave() }
        guard writer.lock() else { throw LMDBError.transactionNested }
        defer { writer.unlock() }
        releaseKeptSnapshots()
        var ledger = WriteLedger()
        if recorder != nil { ledger.rows = [] }
        // SAFETY: the pointer is used inside this closure only; transactions cannot outlive it.
        return try unsafe withUnsafeMutablePointer(to: &ledger) { ledger throws -> Commit<Value> in
            let handle = unsafe try begin(flags: 0)
            var isLive = true
            // SAFETY: begun above; a commit frees it, whether it succeeds or fails, and clears the flag first.
            defer { if isLive { unsafe mdb_txn_abort(handle) } }
            let value = try body(
                // SAFETY: `handle` is live until the commit or abort, and the borrow ends before.
                unsafe WriteTransaction(
                    core: TransactionCore(handle: handle, ledger: ledger, environment: number, pages: pages.value)))
            if let failure = unsafe ledger.pointee.failure { throw explained(failure) }
            // SAFETY: the id is read first, because the commit frees the transaction.
            let id = unsafe UInt64(mdb_txn_id(handle))
            let changed = unsafe ledger.pointee.changes > 0
            isLive = false
            let code = unsafe mdb_txn_commit(handle)
            if code != 0 {
                let reason = explained(LMDBError(code: code))
                guard isUnwritten(id) else { throw CommitFailure(reason: reason) }
                throw reason
            }
            // SAFETY: the ledger outlives this closure; the commit does not touch it.
            if let recorder, let rows = unsafe ledger.pointee.rows { recorder.add(rows) }
            // The first commit of a new store makes its tables.
            if pages.value.start == 0 { try? locatePages() }
            return Commit(value: value, transactionID: changed ? id : id &- 1, changed: changed)
        }
    }

    /// Whether a failed commit has certainly left nothing.
    ///
    /// LMDB writes a transaction's pages to places that no snapshot uses, syncs them, and then writes its meta page,
    /// which alone makes them valid (mdb_txn_commit: mdb_page_flush, mdb_env_sync, mdb_env_write_meta). Only if the
    /// last of these fails, it marks the environment so that no transaction can begin (MDB_FATAL_ERROR). So if one can
    /// begin, with the same id, the meta page was not touched.
    private func isUnwritten(_ id: UInt64) -> Bool {
        // SAFETY: the commit freed the failed transaction; this one ends before the function does.
        guard let probe = try? unsafe begin(flags: 0) else { return false }
        defer { unsafe mdb_txn_abort(probe) }
        return unsafe UInt64(mdb_txn_id(probe)) == id
    }

    /// Runs a single read transaction: a snapshot that lasts while the closure runs.
    ///
    /// It takes a reader slot and two allocations; for repeated reads use ``makeReader()``. A long one pins old pages,
    /// so the file grows.
    @available(*, noasync)
    public func read<Value: ~Copyable>(_ body: (borrowing ReadTransaction) throws -> Value) throws -> Value {
        try enter()
        defer { leave() }
        // SAFETY: ended once, after the last use.
        let handle = unsafe try begin(flags: UInt32(MDB_RDONLY))
        defer { unsafe mdb_txn_abort(handle) }
        return try body(
            // SAFETY: `handle` is live until the defer above runs, and the borrow ends before.
            unsafe ReadTransaction(
                core: TransactionCore(handle: handle, ledger: nil, environment: number, pages: pages.value)))
    }

    /// Makes a read transaction that is kept and renewed: one for each thread that reads often.
    public func makeReader() throws(LMDBError) -> Reader {
        try enter()
        defer { leave() }
        // SAFETY: the slot owns the transaction from here on. A reset keeps its slot and releases the snapshot.
        let handle = unsafe try begin(flags: UInt32(MDB_RDONLY))
        unsafe mdb_txn_reset(handle)
        let slot = unsafe ReaderSlot(handle: handle)
        register(slot)
        return Reader(environment: self, slot: slot)
    }

    /// The id of the newest committed transaction, of any process.
    public func lastTransactionID() throws(LMDBError) -> UInt64 {
        try enter()
        defer { leave() }
        // SAFETY: the handle is live between enter and leave; `info` is a local out-parameter.
        var info = unsafe MDB_envinfo()
        try Self.check(unsafe mdb_env_info(handle, &info))
        return unsafe UInt64(info.me_last_txnid)
    }

    /// Begins a transaction. Callers must be between ``enter()`` and ``leave()``.
    func begin(flags: UInt32) throws(LMDBError) -> OpaquePointer {
        var begun: OpaquePointer?
        // SAFETY: the environment is open: the caller has entered. `begun` is a local out-parameter.
        let code = unsafe mdb_txn_begin(handle, nil, flags, &begun)
        guard code == 0, let transaction = unsafe begun else { throw LMDBError(code: code) }
        return unsafe transaction
    }
}

/// Reads the id of a store's newest commit, by any process, without a transaction: it loads two words of the map.
///
/// While it exists, the environment can be neither closed nor resized.
// SAFETY: the count in `environment` keeps its handle open and its map in place for as long as this object lives.
@safe public final class CommitWatch: Sendable {
    private let environment: Environment

    init(_ environment: Environment) throws(LMDBError) {
        try environment.enter()
        self.environment = environment
    }

    deinit { environment.leave() }

    /// The id of the newest commit. It covers every commit, of any process, that returned before this call: each writes
    /// its id to the file before it returns, and the map consists of the file's own pages.
    ///
    /// It may be a commit that is about to return and that no snapshot can have yet.
    public var newest: UInt64 {
        // SAFETY: the handle is open, see above; `info` is a local out-parameter.
        var info = unsafe MDB_envinfo()
        // Fails only without a handle. Then there always seems to be a newer commit than the caller knows.
        guard unsafe mdb_env_info(environment.handle, &info) == 0 else { return .max }
        return unsafe UInt64(info.me_last_txnid)
    }
}

extension Environment {
    /// Makes a watch. Any number of threads may use it at once.
    public func makeCommitWatch() throws(LMDBError) -> CommitWatch { try CommitWatch(self) }

    /// Whether the path that was opened still leads to the open file. Another file may have replaced it.
    public var isInPlace: Bool {
        guard let file = try? file() else { return false }
        return FileIdentity.of(directory) == identity && FileIdentity.of(directory + "/data.mdb") == file
    }
}
