internal import CLMDB

/// The direction of a scan.
public enum ScanDirection: Sendable { case forward, backward }

/// What a scan does after a record.
public enum ScanStep: Sendable { case next, stop }

/// What a deleting scan does with the current record.
public enum DeletingStep: Sendable {
    case keep, delete
    /// Keeps this record and ends.
    case stop
    /// Deletes this record and ends.
    case deleteAndStop
}

extension ReadableTransaction where Self: ~Copyable {
    /// Calls `body` with the records of an integer database in order.
    ///
    /// - Parameter start: the key to begin at, or the nearest one in the direction of the scan; nil begins at the end.
    ///   An explicit `from: nil` selects the variant for keys of bytes.
    @_disfavoredOverload
    public func scan(
        _ database: Database, from start: UInt64? = nil, direction: ScanDirection = .forward,
        _ body: (UInt64, RawSpan) throws -> ScanStep
    ) throws {
        try core.require(database, .integer)
        var cursor = try Cursor(core, database)
        core.beginView()
        defer { core.endView() }
        var found = try cursor.start(direction, atInteger: start)
        while found {
            // SAFETY: the cursor does not move before the closure has returned, and the open view refuses changes.
            guard unsafe try body(cursor.integerKey, cursor.value.bytes) == .next else { return }
            found = try cursor.advance(direction)
        }
    }

    /// Calls `body` with the records of a database with keys of bytes, in order.
    public func scan(
        _ database: Database, from start: RawSpan?, direction: ScanDirection = .forward,
        _ body: (RawSpan, RawSpan) throws -> ScanStep
    ) throws {
        try core.require(database, .bytes)
        var cursor = try Cursor(core, database)
        core.beginView()
        defer { core.endView() }
        var found = try cursor.start(direction, atBytes: start)
        while found {
            // SAFETY: as above.
            guard unsafe try body(cursor.key.bytes, cursor.value.bytes) == .next else { return }
            found = try cursor.advance(direction)
        }
    }

    /// The lowest key of an integer database.
    public func firstKey(_ database: Database) throws(LMDBError) -> UInt64? { try endKey(database, .forward) }

    /// The highest key of an integer database.
    public func lastKey(_ database: Database) throws(LMDBError) -> UInt64? { try endKey(database, .backward) }

    private func endKey(_ database: Database, _ direction: ScanDirection) throws(LMDBError) -> UInt64? {
        try core.require(database, .integer)
        var cursor = try Cursor(core, database)
        return try cursor.start(direction) ? cursor.integerKey : nil
    }
}

extension WriteTransaction {
    /// Calls `body` with the records of an integer database in order and deletes those for which it says so.
    /// - Returns: how many were deleted.
    @discardableResult @_disfavoredOverload
    public func scanDeleting(
        _ database: Database, from start: UInt64? = nil, direction: ScanDirection = .forward,
        _ body: (UInt64, RawSpan) throws -> DeletingStep
    ) throws -> Int {
        try core.require(database, .integer)
        try core.requireNoView()
        var cursor = try Cursor(core, database)
        var found = try cursor.start(direction, atInteger: start)
        var deleted = 0
        while found {
            // SAFETY: the cursor does not move before the closure has returned, and the open view refuses changes.
            let step = try lending { unsafe try body(cursor.integerKey, cursor.value.bytes) }
            if step == .delete || step == .deleteAndStop {
                try cursor.delete()
                deleted += 1
            }
            if step == .stop || step == .deleteAndStop { break }
            found = try cursor.advance(direction)
        }
        return deleted
    }

    /// Calls `body` with the records of a database with keys of bytes in order and deletes those for which it says so.
    /// - Returns: how many were deleted.
    @discardableResult
    public func scanDeleting(
        _ database: Database, from start: RawSpan?, direction: ScanDirection = .forward,
        _ body: (RawSpan, RawSpan) throws -> DeletingStep
    ) throws -> Int {
        try core.require(database, .bytes)
        try core.requireNoView()
        var cursor = try Cursor(core, database)
        var found = try cursor.start(direction, atBytes: start)
        var deleted = 0
        while found {
            // SAFETY: as above.
            let step = try lending { unsafe try body(cursor.key.bytes, cursor.value.bytes) }
            if step == .delete || step == .deleteAndStop {
                try cursor.delete()
                deleted += 1
            }
            if step == .stop || step == .deleteAndStop { break }
            found = try cursor.advance(direction)
        }
        return deleted
    }

    private func lending(_ body: () throws -> DeletingStep) throws -> DeletingStep {
        core.beginView()
        defer { core.endView() }
        return try body()
    }
}

extension Cursor {
    fileprivate mutating func start(
        _ direction: ScanDirection, atInteger key: UInt64?
    ) throws(LMDBError) -> Bool {
        guard let key else { return try start(direction) }
        // SAFETY: `bytes` is marked unsafe for types with padding; UInt64 has none. The array outlives the call.
        return unsafe try start(direction, at: [key].span.bytes)
    }

    fileprivate mutating func start(_ direction: ScanDirection, atBytes key: RawSpan?) throws(LMDBError) -> Bool {
        guard let key else { return try start(direction) }
        try KeyLength.require(key)
        return try start(direction, at: key)
    }
}

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

    /// The current value, inside the map: valid until the cursor moves or the transaction changes something.
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
        // A value may be on pages of its own.
        guard unsafe core.pages.isPlaced(keyValue), unsafe core.pages.isPlaced(dataValue) else {
            throw .misplacedPage
        }
        return true
    }

    private func isAt(_ wanted: RawSpan) -> Bool {
        // SAFETY: neither cursor nor span moves during the comparison.
        unsafe wanted.withUnsafeBytes { wanted in unsafe key.elementsEqual(wanted) }
    }
}
