public import CredentialModel
public import LMDB

/// Changes the rows of the store, during one mutation on the writer thread.
///
/// All changes go through here, as operations (see `Operation`), so that indexes, journal and publication cannot be
/// forgotten: each operation notes what readers must learn, and the commit tells them before it is acknowledged.
public final class StoreWriter {
    let schema: Schema
    let interning: Interning
    let auditChain: AuditChain
    /// Seconds since the Unix epoch, read once for the batch.
    public internal(set) var now: UnixSeconds = .always
    /// The time that a restart may rely on (``TrustedClock/mark(_:)``); nil: not written.
    private(set) var mark: UnixSeconds?
    /// The time in units of 2^-32 seconds, as in ids of access tokens.
    private var instant: UInt64 = 0
    /// The last id assigned to an access token, whether or not its transaction was committed.
    private var lastTokenID: UInt64 = 0
    /// The highest number assigned so far, by this transaction or earlier ones.
    private(set) var journalNumber: UInt64 = 0
    private var journalNumberAtBegin: UInt64 = 0
    /// What readers must learn before the batch is acknowledged.
    var publication = Publication()
    /// The operations of this transaction as they are in the log; nil for a store without one.
    private var recorded: OperationEncoder?
    /// How many operations this transaction has done.
    private var operationCount = 0
    /// Rows that this transaction has changed by operations, or as rows that are no part of the log.
    private var accountedChanges = 0
    /// Rows that were changed otherwise, which only tests allow.
    private var acceptedChanges = 0
    private let tables: [Database]
    private let mapBytes: Int
    /// The room in the map when last measured, and the number of changed rows then.
    private var lastMeasured: (room: Room, changes: Int)?
    /// Most bytes of pages that one put or delete uses: the path to its row, split, and a row of several pages.
    private static let bytesPerChangeMax = 32 << 10
    /// Journal entries kept for followers and the change feed, however short the room is.
    private static let journalEntriesMin = 1_000
    /// How many of the oldest journal entries are removed for each new one when room is short.
    private static let journalEntriesGivenUp = 4

    /// - Parameter mapBytes: the size of the map; unlimited for a writer that need not reserve room for revocations.
    init(schema: Schema, interning: Interning, auditChain: AuditChain, mapBytes: Int = .max) {
        self.schema = schema
        self.interning = interning
        self.auditChain = auditChain
        self.mapBytes = mapBytes
        tables = schema.all.map(\.database)
    }

    /// The number of the next change. Also usable as a unique number for a new family.
    public var nextJournalNumber: UInt64 { journalNumber + 1 }

    /// Begins a transaction.
    func begin(
        now: UnixSeconds, mark: UnixSeconds? = nil, instant: UInt64? = nil, records: Bool = false,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        self.now = now
        recorded = records ? OperationEncoder(now: now) : nil
        self.mark = mark
        self.instant = instant ?? UInt64(clamping: now.rawValue) << 32
        publication = Publication()
        operationCount = 0
        (accountedChanges, acceptedChanges) = (0, transaction.changes)
        lastMeasured = nil
        journalNumber = try number(.journalNumber, in: transaction) ?? 0
        guard journalNumber <= JournalEntry.numberMax else { throw .corrupt(table: "meta") }
        journalNumberAtBegin = journalNumber
    }

    /// Writes values that are stored once per transaction.
    /// - Parameter isReplay: the transaction does what a log says: it decides nothing, and stays with the log.
    /// - Throws: ``StoreFailure/unexpected(_:)`` when a row was changed that no operation accounts for.
    func end(isReplay: Bool = false, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        if !isReplay, journalNumber != journalNumberAtBegin, try isUnderPressure(in: transaction) {
            try shortenJournal(in: transaction)
        }
        let (highest, mark) = (journalNumber, mark.map { UInt64(clamping: $0.rawValue) })
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            if highest != journalNumberAtBegin { try setNumber(.journalNumber, highest, in: transaction) }
            // With each commit that changes something, so that a restart with the clock set back begins no earlier than
            // the last commit. Not the time of the last journal entry: it may come from a clock that was set far ahead.
            if accountedChanges > 0, let mark, try number(.time, in: transaction) ?? 0 < mark {
                try setNumber(.time, mark, in: transaction)
            }
        }
        // A store that is changed without its log is no longer what the log describes.
        if !isReplay, recorded == nil, operationCount > 0, let position = try logPosition(in: transaction) {
            try leaveLog(at: position, in: transaction)
        }
        // Without a log nothing depends on it; tests run with the check all the same.
        if recorded != nil || isReplay || _isDebugAssertConfiguration(),
            transaction.changes != accountedChanges + acceptedChanges
        {
            throw .unexpected("a change that no operation made")
        }
    }

    // MARK: The log

    /// The operations of this transaction; empty when there are none, or when the store has no log.
    var recordedBytes: [UInt8] { recorded?.bytes ?? [] }

    /// How much this transaction has done. If a mutation fails and this has changed, the transaction must be aborted.
    func progress(in transaction: borrowing WriteTransaction) -> Progress {
        Progress(operations: operationCount, changes: transaction.changes)
    }

    struct Progress: Equatable {
        let operations: Int
        let changes: Int
    }

    func record(_ operation: Operation) {
        operationCount += 1
        recorded?.append(operation)
    }

    func account(for changes: Int) { accountedChanges += changes }

    /// Accepts changes that no operation has made. Only for tests that damage a store.
    func acceptChanges(in transaction: borrowing WriteTransaction) {
        acceptedChanges = transaction.changes - accountedChanges
    }

    /// The duration of the last commit.
    var lastCommit = Duration.zero

    /// Begins a piece of long work. A piece bounds the time for which the work delays foreground mutations.
    public func beginPiece() -> Piece { Piece(after: lastCommit) }

    // MARK: Room in the map

    /// The room left, including everything that this transaction has written so far.
    func room(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Room {
        let room = try convertingErrors { () throws in
            Room(
                mapBytes: mapBytes, occupiedBytes: try transaction.occupiedBytes(tables),
                credentials: try transaction.count(schema.credentials.database),
                tokens: try transaction.count(schema.tokens.database))
        }
        lastMeasured = (room, transaction.changes)
        return room
    }

    /// Whether creates are refused.
    func isFull(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool {
        try isNear(0, in: transaction) ? room(in: transaction).isFull : false
    }

    /// Whether creates are refused, or soon will be.
    func isUnderPressure(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool {
        try isNear(lastMeasured?.room.pressureBytes ?? 0, in: transaction)
            ? room(in: transaction).isUnderPressure : false
    }

    /// Whether fewer than `bytes` may be left for creates. Avoids examining all tables while the map has room.
    private func isNear(_ bytes: Int, in transaction: borrowing WriteTransaction) -> Bool {
        guard let (room, before) = lastMeasured else { return true }
        return room.bytesForCreates - (transaction.changes - before) * Self.bytesPerChangeMax < bytes
    }

    /// Makes the transaction one that changes something, as cheaply as possible.
    func touch(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            try setNumber(.journalNumber, journalNumber, in: transaction)
        }
    }

    /// Removes the oldest journal entries, some for each that this transaction has added.
    private func shortenJournal(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let schema = schema
        let added = Int(clamping: journalNumber - journalNumberAtBegin)
        var (last, count) = (UInt64(0), 0)
        try convertingErrors { () throws in
            let spare = try transaction.count(schema.journal.database) - max(Self.journalEntriesMin, added)
            let limit = min(added * Self.journalEntriesGivenUp, spare)
            guard limit > 0 else { return }
            try transaction.scan(schema.journal.database, from: 0) { (number: UInt64, _: RawSpan) in
                (last, count) = (number, count + 1)
                return count < limit ? .next : .stop
            }
        }
        if count > 0 { try perform(.forgetJournal(through: last), in: transaction) }
    }

    /// Begins a new incarnation of the data, which replaces a later state: the journal continues above all numbers that
    /// either may have assigned, so that nothing issued from now on is covered by an old bulk revocation.
    func beginIncarnation(
        above number: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let old = try Lineage(of: MetaTable(schema), in: transaction)
        try perform(.meta(.ancestors, old.row(endingAt: journalNumber)), in: transaction)
        try perform(.meta(.incarnation, number: UInt64.random(in: 1...UInt64.max)), in: transaction)
        journalNumber = max(journalNumber, number)
        try perform(.event(.restored, kind: nil, id: nil, subject: []), in: transaction)
    }

    // MARK: Ids of access tokens

    /// The id of the next access token: higher than all earlier ones.
    /// - Parameter instant: the time in units of 2^-32 seconds; nil for that of the transaction.
    public func nextTokenID(
        at instant: UInt64? = nil, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> CredentialID {
        let instant = instant ?? self.instant
        var last = try schema.tokens.lastKey(in: transaction)
        // Tokens of an earlier schema have random ids: those that seem to be from the future say nothing about the
        // order.
        if last > instant &+ 60 << 32 { last = 0 }
        let id = CredentialID.ordered(at: instant, after: max(last, lastTokenID))
        lastTokenID = id.rawValue
        return id
    }

    // MARK: The journal

    /// Appends to the journal. Only operations do.
    @discardableResult
    func journal(
        _ event: JournalEntry.Event, kind: CredentialKind? = nil, id: CredentialID? = nil,
        issuedBefore: UnixSeconds? = nil, subject: [UInt8] = [],
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> UInt64 {
        journalNumber += 1
        let entry = JournalEntry(
            number: journalNumber, event: event, kind: kind, time: now, id: id, issuedBefore: issuedBefore,
            subject: subject)
        try schema.journal.put(entry.number, entry.row, append: true, in: transaction)
        publication.journalNumber = entry.number
        if !event.invalidatesNothing { publication.otherNumber = entry.number }
        return entry.number
    }

    /// Removes the oldest journal entries, damaged ones too.
    func removeJournal(
        through number: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var numbers: [UInt64] = []
        let schema = schema
        try convertingErrors { () throws in
            try transaction.scan(schema.journal.database, from: 0) { (key: UInt64, _: RawSpan) in
                guard key <= number else { return .stop }
                numbers.append(key)
                return .next
            }
        }
        for number in numbers { try schema.journal.delete(number, in: transaction) }
    }

    // MARK: Rows without a code

    func put(
        _ table: Database, _ key: [UInt8], _ value: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        _ = try convertingErrors { () throws in
            try transaction.put(table, key: key.octets, value: value.octets)
        }
    }

    func delete(
        _ table: Database, _ key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        _ = try convertingErrors { () throws in try transaction.delete(table, key: key.octets) }
    }
}

/// How much of a long work one mutation does: some rows, for less time than a commit takes.
///
/// A revocation submitted meanwhile waits for the piece and its commit, and then for its own commit. So a piece must be
/// short, and change few pages, compared with what a revocation takes alone.
public struct Piece {
    private static let rowsMax = 1_000
    private static let microseconds = 300
    /// Rows between two readings of the clock.
    private static let stride = 8

    private var rows = 0
    private let end: ContinuousClock.Instant

    /// - Parameter commit: the duration of a commit here. On a slow disk pieces may be longer, since commits dominate.
    init(after commit: Duration) {
        end = .now + max(.microseconds(Self.microseconds), commit / 4)
    }

    /// Counts a row. True when it was the last of this piece.
    public mutating func isOver() -> Bool {
        rows += 1
        if rows >= Self.rowsMax { return true }
        return rows.isMultiple(of: Self.stride) && .now >= end
    }
}
