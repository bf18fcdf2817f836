public import CLMDB

/// The state of a running write transaction. Lives on the stack of ``Environment/write(_:)``.
@usableFromInline struct WriteLedger {
    /// Whether anything was written.
    @usableFromInline var changed = false
    /// Closures that now borrow bytes of this transaction.
    @usableFromInline var views = 0
    /// The first failure after which LMDB cannot commit.
    @usableFromInline var failure: LMDBError?

    @usableFromInline init() {}
}

/// What read and write transactions have in common. It has no public members, so it is useless outside this module.
// SAFETY: values are created for a closure that borrows the transaction, and every member that dereferences a pointer is
// internal to this module and called during such a borrow.
@safe @frozen public struct TransactionCore {
    @usableFromInline let handle: OpaquePointer
    /// Nil in a read transaction.
    @usableFromInline let ledger: UnsafeMutablePointer<WriteLedger>?
    @usableFromInline let environment: UInt32

    @inlinable init(handle: OpaquePointer, ledger: UnsafeMutablePointer<WriteLedger>?, environment: UInt32) {
        // SAFETY: stored only; the caller guarantees that both outlive the borrow for which they are created.
        unsafe self.handle = handle
        unsafe self.ledger = ledger
        self.environment = environment
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

    func noteChange() {
        // SAFETY: the ledger outlives the transaction.
        if let ledger = unsafe ledger { unsafe ledger.pointee.changed = true }
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
        // SAFETY: LMDB has set both fields to a value inside the map.
        return unsafe UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)
    }

    /// The value of a key of bytes; as above.
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
