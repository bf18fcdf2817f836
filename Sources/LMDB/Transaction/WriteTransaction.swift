internal import CLMDB

/// The only transaction that may change the store. Exists only as a borrowed closure parameter, on one thread.
public struct WriteTransaction: ~Copyable, ReadableTransaction {
    public let core: TransactionCore

    init(core: TransactionCore) { self.core = core }

    /// The id that this transaction's commit will have, if it changes anything.
    public var id: UInt64 {
        // SAFETY: the transaction is live while it is borrowed.
        unsafe UInt64(mdb_txn_id(core.handle))
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

    /// Writes a value under a key of 1 to 511 bytes; otherwise as above.
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
        return unsafe value.withUnsafeBytes { bytes in
            var key = unsafe MDB_val(mv_size: key.count, mv_data: UnsafeMutableRawPointer(mutating: key.baseAddress))
            var value = unsafe MDB_val(
                mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            // SAFETY: as above.
            return unsafe mdb_put(core.handle, database.handle, &key, &value, flags)
        }
    }

    private func outcome(_ code: Int32, _ overwrite: Bool, _ append: Bool) throws(LMDBError) -> Bool {
        if code == 0 {
            core.noteChange()
            return true
        }
        if code == MDB_KEYEXIST, !overwrite, !append { return false }
        let error = LMDBError(code: code)
        core.noteFailure(error)
        throw error
    }

    private func delete(_ database: Database, _ key: UnsafeRawBufferPointer) throws(LMDBError) -> Bool {
        try core.requireNoView()
        // SAFETY: LMDB only reads the key, during the call; the transaction is live while it is borrowed.
        var key = unsafe MDB_val(mv_size: key.count, mv_data: UnsafeMutableRawPointer(mutating: key.baseAddress))
        let code = unsafe mdb_del(core.handle, database.handle, &key, nil)
        if code == MDB_NOTFOUND { return false }
        guard code == 0 else {
            let error = LMDBError(code: code)
            core.noteFailure(error)
            throw error
        }
        core.noteChange()
        return true
    }
}
