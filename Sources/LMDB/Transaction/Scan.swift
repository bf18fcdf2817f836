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
    /// - Parameter start: the key to begin at, or the nearest one in the direction of the scan; nil begins at the end. An
    ///   explicit `from: nil` selects the variant for keys of bytes.
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

    /// The same for a database with keys of bytes.
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

    /// The same for a database with keys of bytes.
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
