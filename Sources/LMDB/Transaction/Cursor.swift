internal import CLMDB

/// A position in a database, used for one scan.
@safe struct Cursor: ~Copyable {
    private let handle: OpaquePointer
    private let core: TransactionCore
    // SAFETY: point into the map; read only until the cursor moves or the transaction changes something.
    private var keyValue = unsafe MDB_val()
    private var dataValue = unsafe MDB_val()

    init(_ core: TransactionCore, _ database: Database) throws(LMDBError) {
        var opened: OpaquePointer?
        // SAFETY: the transaction is live while the scan borrows it; `opened` is a local out-parameter.
        let code = unsafe mdb_cursor_open(core.handle, database.handle, &opened)
        guard code == 0, let cursor = unsafe opened else { throw LMDBError(code: code) }
        unsafe handle = cursor
        self.core = core
    }

    deinit {
        // SAFETY: opened in init; the scan that owns this cursor ends before its transaction does.
        unsafe mdb_cursor_close(handle)
    }

    /// The current key, inside the map: valid until the cursor moves or the transaction changes something.
    var key: UnsafeRawBufferPointer {
        // SAFETY: set by the last successful move.
        unsafe UnsafeRawBufferPointer(start: keyValue.mv_data, count: keyValue.mv_size)
    }

    /// The current key of an integer database.
    var integerKey: UInt64 {
        get throws(LMDBError) {
            // SAFETY: read before anything moves; the length is checked before the load.
            guard unsafe key.count == MemoryLayout<UInt64>.size else { throw .corrupted }
            return unsafe key.loadUnaligned(as: UInt64.self)
        }
    }

    /// The current value; as above.
    var value: UnsafeRawBufferPointer {
        // SAFETY: set by the last successful move.
        unsafe UnsafeRawBufferPointer(start: dataValue.mv_data, count: dataValue.mv_size)
    }

    /// Moves to the first record, or to the last when going backward. False when there is none.
    mutating func start(_ direction: ScanDirection) throws(LMDBError) -> Bool {
        try move(direction == .forward ? MDB_FIRST : MDB_LAST)
    }

    /// Moves to the first record at or above `key`, or to the last one at or below it when going backward.
    mutating func start(_ direction: ScanDirection, at key: RawSpan) throws(LMDBError) -> Bool {
        // SAFETY: LMDB reads the wanted key during the call and then points `keyValue` into the map.
        let found = unsafe try key.withUnsafeBytes { bytes throws(LMDBError) in
            unsafe keyValue = MDB_val(
                mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            return try move(MDB_SET_RANGE)
        }
        guard direction == .backward else { return found }
        guard found else { return try move(MDB_LAST) }
        return isAt(key) ? true : try move(MDB_PREV)
    }

    mutating func advance(_ direction: ScanDirection) throws(LMDBError) -> Bool {
        try move(direction == .forward ? MDB_NEXT : MDB_PREV)
    }

    /// Deletes the current record. The next ``advance(_:)`` continues next to the gap.
    mutating func delete() throws(LMDBError) {
        // SAFETY: the cursor stands on a record; no bytes of the transaction are lent out.
        let code = unsafe mdb_cursor_del(handle, 0)
        guard code == 0 else {
            let error = LMDBError(code: code)
            core.noteFailure(error)
            throw error
        }
        core.noteChange()
    }

    private mutating func move(_ operation: MDB_cursor_op) throws(LMDBError) -> Bool {
        // SAFETY: cursor and transaction are live; both values are this cursor's own.
        let code = unsafe mdb_cursor_get(handle, &keyValue, &dataValue, operation)
        if code == MDB_NOTFOUND { return false }
        guard code == 0 else { throw LMDBError(code: code) }
        return true
    }

    private func isAt(_ wanted: RawSpan) -> Bool {
        // SAFETY: neither cursor nor span moves during the comparison.
        unsafe wanted.withUnsafeBytes { wanted in unsafe key.elementsEqual(wanted) }
    }
}
