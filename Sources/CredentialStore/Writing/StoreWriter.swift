public import CredentialDigest
public import CredentialModel
public import LMDB
public import RecordCache

/// Changes the rows of the store, during one mutation on the writer thread.
///
/// All changes go through here, so that indexes, journal and publication cannot be forgotten: each change records what
/// readers must learn, and the commit tells them before it is acknowledged.
public final class StoreWriter {
    let schema: Schema
    let interning: Interning
    let auditChain: AuditChain
    /// Seconds since the Unix epoch, read once for the batch.
    public internal(set) var now: UnixSeconds = .always
    /// The time that a restart may rely on (``TrustedClock/mark(_:)``); nil: not written.
    private var mark: UnixSeconds?
    /// The time in units of 2^-32 seconds, as in ids of access tokens.
    private var instant: UInt64 = 0
    /// The last id assigned to an access token, whether or not its transaction was committed.
    private var lastTokenID: UInt64 = 0
    /// The highest number assigned so far, by this transaction or earlier ones.
    private(set) var journalNumber: UInt64 = 0
    private var journalNumberAtBegin: UInt64 = 0
    /// What readers must learn before the batch is acknowledged.
    var publication = Publication()
    /// Number of writes in this transaction: if an operation fails after its first write, the transaction must be aborted.
    private(set) var changes = 0
    private let tables: [Database]
    private let mapBytes: Int
    /// The room in the map when last measured, and the value of `changes` then.
    private var lookedAt: (room: Room, changes: Int)?
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
        now: UnixSeconds, mark: UnixSeconds? = nil, instant: UInt64? = nil,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        self.now = now
        self.mark = mark
        self.instant = instant ?? UInt64(clamping: now.rawValue) << 32
        publication = Publication()
        changes = 0
        lookedAt = nil
        journalNumber = try number(.journalNumber, in: transaction) ?? 0
        guard journalNumber <= JournalEntry.numberMax else { throw .corrupt(table: "meta") }
        journalNumberAtBegin = journalNumber
    }

    /// Writes values that are stored once per transaction.
    func end(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        if journalNumber != journalNumberAtBegin {
            try setNumber(.journalNumber, journalNumber, in: transaction)
            if try isPressed(in: transaction) { try shortenJournal(in: transaction) }
        }
        // With each commit that changes something, so that a restart with the clock set back begins no earlier than the last
        // commit. Not the time of the last journal entry: it may come from a clock that was set far ahead.
        if changes > 0, let mark = mark.map({ UInt64(clamping: $0.rawValue) }),
            try number(.time, in: transaction) ?? 0 < mark
        {
            try setNumber(.time, mark, in: transaction)
        }
    }

    /// The duration of the last commit.
    var lastCommit = Duration.zero

    /// Begins a piece of long work. A piece bounds the time for which the work delays foreground mutations.
    public func beginPiece() -> Piece { Piece(after: lastCommit) }

    // MARK: Room in the map

    /// The room left, including everything that this transaction has written so far.
    func room(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Room {
        let room = try naming { () throws in
            Room(
                mapBytes: mapBytes, occupiedBytes: try transaction.occupiedBytes(tables),
                credentials: try transaction.count(schema.credentials.database),
                tokens: try transaction.count(schema.tokens.database))
        }
        lookedAt = (room, changes)
        return room
    }

    /// Whether creates are refused.
    func isFull(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool {
        try isNear(0) ? room(in: transaction).isFull : false
    }

    /// Whether creates are refused, or soon will be.
    func isPressed(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool {
        try isNear(lookedAt?.room.pressedBytes ?? 0) ? room(in: transaction).isPressed : false
    }

    /// Whether fewer than `bytes` may be left for creates. Avoids examining all tables while the map has room.
    private func isNear(_ bytes: Int) -> Bool {
        guard let (room, before) = lookedAt else { return true }
        return room.bytesForCreates - (changes - before) * Self.bytesPerChangeMax < bytes
    }

    /// Makes the transaction one that changes something, as cheaply as possible.
    func touch(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try setNumber(.journalNumber, journalNumber, in: transaction)
    }

    /// Removes the oldest journal entries, some for each that this transaction has added.
    private func shortenJournal(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let schema = schema
        let added = Int(clamping: journalNumber - journalNumberAtBegin)
        var numbers: [UInt64] = []
        try naming { () throws in
            let spare = try transaction.count(schema.journal.database) - max(Self.journalEntriesMin, added)
            let limit = min(added * Self.journalEntriesGivenUp, spare)
            guard limit > 0 else { return }
            try transaction.scan(schema.journal.database, from: 0) { (number: UInt64, _: RawSpan) in
                numbers.append(number)
                return numbers.count < limit ? .next : .stop
            }
        }
        for number in numbers { try forgetJournal(number, in: transaction) }
    }

    /// Runs a separate change in a transaction that nobody else writes in.
    func change(
        in transaction: borrowing WriteTransaction, _ body: (StoreWriter, borrowing WriteTransaction) throws -> Void
    ) throws {
        // Not before what the data knows: a revocation must not seem to be older than the backup that it is applied to.
        let known = try number(.time, in: transaction) ?? 0
        let now = max(TrustedClock.Reading.current.wall, Int64(clamping: known))
        try begin(now: UnixSeconds(now), in: transaction)
        try body(self, transaction)
        try end(in: transaction)
    }

    /// Begins a new incarnation of the data, which replaces a later state: the journal continues above all numbers that
    /// either may have assigned, so that nothing issued from now on is covered by an old bulk revocation.
    func beginIncarnation(
        above number: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let old = try Lineage(of: MetaTable(schema), in: transaction)
        try setMeta(.ancestors, old.row(endingAt: journalNumber), in: transaction)
        try setNumber(.incarnation, UInt64.random(in: 1...UInt64.max), in: transaction)
        journalNumber = max(journalNumber, number)
        try journal(.restored, in: transaction)
    }

    // MARK: Credentials

    /// The row of a credential; nil when there is none.
    public func credential(
        _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoredCredential? {
        for table in [schema.credentials, schema.tokens] {
            let found = try table.get(id.rawValue, in: transaction) { StoredCredential(row: $0, id: id) }
            if let found { return found }
        }
        return nil
    }

    /// The same, for work that must continue: nil also for a damaged row.
    func intactCredential(
        _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoredCredential? {
        for table in [schema.credentials, schema.tokens] {
            let found = try table.getIfIntact(id.rawValue, in: transaction) { StoredCredential(row: $0, id: id) }
            if let found { return found }
        }
        return nil
    }

    /// The result of a search for a credential.
    public enum Found {
        case absent
        case intact(StoredCredential)
        /// There is a row, but it is not as it was written.
        case damaged
    }

    /// The row of a credential, for callers that can handle a damaged one.
    public func find(
        _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Found {
        if let credential = try intactCredential(id, in: transaction) { return .intact(credential) }
        for table in [schema.credentials, schema.tokens] where try table.contains(id.rawValue, in: transaction) {
            return .damaged
        }
        return .absent
    }

    /// Revokes a credential whose row is damaged, so that what it was can no longer be known. Its row is replaced by one
    /// that is revoked and has no other content. The new row has no expiry: that of the old one is unknown, and a backup may
    /// hold it intact; or it may have belonged to an import, which is kept for good.
    ///
    /// The family, if there was one, remains valid: revoke it by its owner or its client.
    public func endDamaged(_ id: CredentialID, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let isToken = try schema.tokens.contains(id.rawValue, in: transaction)
        var record = CredentialRecord(
            id: id, kind: isToken ? .accessToken : .apiKey, tag: Tag(0, 0, 0, 0), pepper: 0)
        record.flags = [.revoked, .unreadable]
        record.issuedAt = now
        record.journalNumber = journalNumber + 1
        var ended = StoredCredential(record: record, owner: [], name: nil)
        ended.revokedAt = now
        try put(ended, overwrite: true, in: transaction)
        try journal(.revoked, id: id, in: transaction)
        publication.floors.append(id)
    }

    /// The id of the next access token: higher than all earlier ones.
    /// - Parameter instant: the time in units of 2^-32 seconds; nil for that of the transaction.
    public func nextTokenID(
        at instant: UInt64? = nil, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> CredentialID {
        let instant = instant ?? self.instant
        var last = try schema.tokens.lastKey(in: transaction)
        // Tokens of an earlier schema have random ids: those that seem to be from the future say nothing about the order.
        if last > instant &+ 60 << 32 { last = 0 }
        let id = CredentialID.ordered(at: instant, after: max(last, lastTokenID))
        lastTokenID = id.rawValue
        return id
    }

    /// Adds a new credential under the next journal number.
    /// - Returns: false when its id is taken or its tag is not under the newest pepper. Then nothing is written; try
    ///   another.
    public func insert(
        _ credential: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        var credential = credential
        credential.record.journalNumber = journalNumber + 1
        let record = credential.record
        guard try record.pepper == newestPepper(in: transaction) else { return false }
        // The cache identifies records by id alone, so no two may share one, not even in different tables.
        let others = record.kind == .accessToken ? schema.credentials : schema.tokens
        guard record.id.rawValue != 0, try !others.contains(record.id.rawValue, in: transaction),
            try put(credential, overwrite: false, in: transaction)
        else { return false }
        if credential.isIndexed {
            for key in credential.expiryKeys { try putExpiry(credential, key, in: transaction) }
            try putOwner(credential, in: transaction)
        }
        try journal(.issued, kind: record.kind, id: record.id, in: transaction)
        publication.born.append(record.id)
        return true
    }

    /// Replaces a row that was read in this transaction. Readers drop their copies before the acknowledgement.
    ///
    /// Owner, client and id never change. A row with a critical claim of a later version is rewritten only to revoke it.
    ///
    /// This is the only place where an expiry changes. So here, and not in each edit or rotation, the row notes an expiry
    /// that is set to an earlier time: backups have the old one. It notes the time of a revocation, too.
    public func replace(
        _ old: StoredCredential, by new: StoredCredential, event: JournalEntry.Event,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        guard !old.record.flags.contains(.unintelligible) || event == .revoked else {
            throw .corrupt(table: "credentials")
        }
        var new = new
        new.record.id = old.record.id
        new.record.client = old.record.client
        new.record.journalNumber = old.record.journalNumber
        new.record.owner = old.record.owner
        new.owner = old.owner
        new.longestEnd = new.record.expiresAt < old.record.expiresAt ? old.latestEnd : old.longestEnd
        // The time is in the journal and in the audit log too; without it the row keeps its length.
        if event == .revoked, try isPressed(in: transaction) { new.revokedAt = old.revokedAt }
        new.endedBy = old.endedBy
        new.noteEnd(at: now)
        try put(new, overwrite: true, in: transaction)
        if old.record.expiresAt != new.record.expiresAt || old.endedBy != new.endedBy, new.isIndexed {
            let (before, after) = (old.isIndexed ? old.expiryKeys : [], new.expiryKeys)
            for key in before where !after.contains(key) { try delete(schema.expiry, key, in: transaction) }
            for key in after where !before.contains(key) { try putExpiry(new, key, in: transaction) }
            if !old.isIndexed { try putOwner(new, in: transaction) }
        }
        try journal(event, kind: new.record.kind, id: new.record.id, in: transaction)
        publication.floors.append(new.record.id)
    }

    /// Changes tag and pepper of a row whose tag is still `expected`; false when it is not.
    ///
    /// A compare-and-set on the current row: a late re-tag can neither undo a revocation made meanwhile nor bring a pepper
    /// back into use. It changes nothing that is visible outside, so it is not in the journal.
    public func retag(
        _ id: CredentialID, expected: Tag, to tag: Tag, pepper: UInt16,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        guard try pepper == newestPepper(in: transaction) else { return false }
        guard var credential = try credential(id, in: transaction), ConstantTime.equal(credential.record.tag, expected),
            !credential.record.flags.contains(.unintelligible)
        else { return false }
        credential.record.tag = tag
        credential.record.pepper = pepper
        try put(credential, overwrite: true, in: transaction)
        // Nothing was taken away, but copies with the old tag would request this again at each use.
        publication.floors.append(id)
        return true
    }

    /// Removes a row and its index entries. Only for the sweep.
    func remove(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let record = credential.record
        if credential.isIndexed {
            try delete(schema.owners, TableKey.owner(credential.owner, record.id), in: transaction)
            for key in credential.expiryKeys { try delete(schema.expiry, key, in: transaction) }
        }
        changes += 1
        try schema.table(of: record.kind).delete(record.id.rawValue, in: transaction)
        _ = try naming { () throws in try transaction.delete(schema.uses, key: record.id.rawValue) }
        publication.floors.append(record.id)
    }

    /// Marks an expired credential as revoked whose row must be kept because a backup may hold it with a later expiry. Only
    /// for the sweep.
    ///
    /// So it is over for good: an expired row would keep its pepper from being retired. It has been inactive for long, so
    /// this is not in the journal; and without a time of revocation the row keeps its length, also in a full map. Its new
    /// index entry replaces the one that the sweep deletes.
    func retain(
        _ credential: StoredCredential, at time: UnixSeconds, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var retained = credential
        retained.record.flags.insert(.revoked)
        retained.noteEnd(at: max(time, now))
        guard retained.record.flags != credential.record.flags || retained.endedBy != credential.endedBy else { return }
        try put(retained, overwrite: true, in: transaction)
        for key in retained.expiryKeys where !credential.expiryKeys.contains(key) {
            try putExpiry(retained, key, in: transaction)
        }
        publication.floors.append(credential.record.id)
    }

    /// Notes that rows were removed that an older backup holds as valid. Only for the sweep and for a restore.
    func noteComplete(since time: UnixSeconds, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let time = UInt64(clamping: time.rawValue)
        if try number(.completeSince, in: transaction) ?? 0 < time {
            try setNumber(.completeSince, time, in: transaction)
        }
    }

    // MARK: Bulk revocation

    /// Whether a watermark covers this credential.
    public func watermarkKills(
        _ credential: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        let record = credential.record
        var subjects: [WatermarkSubject] = [.owner(credential.owner)]
        if record.client != 0 { subjects.append(.client(record.client)) }
        if record.family != 0 { subjects.append(.family(record.family)) }
        for subject in subjects {
            guard let watermark = try watermark(of: subject, in: transaction) else { continue }
            if watermark.kills(journalNumber: record.journalNumber, issuedAt: record.issuedAt) { return true }
        }
        return false
    }

    /// The watermark of a subject as this transaction sees it.
    public func watermark(
        of subject: WatermarkSubject, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Watermark? {
        try schema.watermarks.get(WatermarkRow.key(subject).octets, in: transaction) { WatermarkRow.watermark($0) }
    }

    /// Revokes everything of a subject issued up to now or, with a time, before that time. Returns the journal number.
    public func raiseWatermark(
        of subject: WatermarkSubject, issuedBefore: UnixSeconds?, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> UInt64 {
        let old = try watermark(of: subject, in: transaction)
        let (event, name) = WatermarkRow.event(subject)
        let number = try journal(event, issuedBefore: issuedBefore, subject: name, in: transaction)
        let watermark =
            if let issuedBefore {
                Watermark(
                    journalNumber: old?.journalNumber ?? 0,
                    issuedBefore: max(issuedBefore, old?.issuedBefore ?? .always))
            } else {
                Watermark(journalNumber: number, issuedBefore: old?.issuedBefore ?? .always)
            }
        try putWatermark(subject, watermark, in: transaction)
        return number
    }

    // MARK: Interned texts and clients

    /// The number of a text, assigned now if it is new.
    public func intern(
        _ kind: InternedTable.Kind, _ text: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> UInt32 {
        if text.isEmpty { return 0 }
        if let number = interning.number(kind, text) { return number }
        let number = try interning.assign(kind, text)
        changes += 1
        try schema.interned.put(TableKey.interned(UInt8(kind.rawValue), number), text, in: transaction)
        try setNumber(.internedHighest(kind), UInt64(number), in: transaction)
        return number
    }

    /// A client as this transaction sees it; nil when there is none.
    public func client(
        _ number: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> ClientDefinition? {
        try schema.clients.get(UInt64(number), in: transaction) { ClientDefinition(row: $0, number: number) }
    }

    /// Clients that this transaction has changed so far, which ``ClientDirectory`` does not know yet.
    public var changedClients: [ClientDefinition] { publication.clients }

    /// Stores a client. A change of rights or audiences also needs an edit of the records of its secrets.
    public func putClient(
        _ client: ClientDefinition, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        changes += 1
        try schema.clients.put(UInt64(client.number), client.row, in: transaction)
        try journal(.clientChanged, subject: Array(client.clientID.utf8), in: transaction)
        publication.clients.append(client)
    }

    // MARK: Meta

    /// A number of the `meta` table.
    func number(_ name: MetaName, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> UInt64? {
        try MetaTable(schema).number(name, in: transaction)
    }

    func setNumber(
        _ name: MetaName, _ value: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var bytes: [UInt8] = []
        bytes.append(word64: value)
        try setMeta(name, bytes, in: transaction)
    }

    func setMeta(_ name: MetaName, _ value: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        changes += 1
        try MetaTable(schema).put(name, value, in: transaction)
    }

    // MARK: Peppers

    /// The number of the newest pepper as this transaction sees it.
    ///
    /// Tags of inserted or re-tagged records must be under this pepper, whichever was the newest when the tag was made. So
    /// after the commit that adds a pepper, records under older ones only become fewer, and a count of none stays valid.
    public func newestPepper(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> UInt16 {
        UInt16(truncatingIfNeeded: try number(.pepperHighest, in: transaction) ?? 0)
    }

    /// Makes a pepper the newest: stores its check value now; readers use it only after this is committed.
    public func addPepper(_ pepper: Pepper, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try setMeta(.pepperCheck(pepper.number), pepper.checkValue, in: transaction)
        try setNumber(.pepperHighest, UInt64(pepper.number), in: transaction)
        try journal(.pepperAdded, subject: Array("\(pepper.number)".utf8), in: transaction)
        publication.peppersAdded.append(pepper)
    }

    /// Removes a pepper that no record needs; false when it is already gone.
    public func retirePepper(_ number: UInt16, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool
    {
        let key = MetaName.pepperCheck(number).key
        guard try schema.meta.contains(key.octets, in: transaction) else { return false }
        changes += 1
        try schema.meta.delete(key, in: transaction)
        try journal(.pepperRetired, subject: Array("\(number)".utf8), in: transaction)
        publication.peppersRetired.append(number)
        return true
    }

    // MARK: The journal

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
        changes += 1
        try schema.journal.put(entry.number, entry.row, append: true, in: transaction)
        publication.journalNumber = entry.number
        if !event.endsNothing { publication.otherNumber = entry.number }
        return entry.number
    }

    /// Appends to the audit log, whose numbers only rise. Only for ``audit(_:by:in:)``.
    func putAudit(_ number: UInt64, _ row: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        changes += 1
        _ = try naming { () throws in
            try transaction.put(schema.audit, key: number, value: row.octets, append: true)
        }
    }

    /// Removes a journal entry. Only for the sweep, and when room in the map is short.
    func forgetJournal(_ number: UInt64, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        changes += 1
        try schema.journal.delete(number, in: transaction)
    }

    // MARK: Rows

    /// Must be called before writing to a table directly.
    func noteChange() { changes += 1 }

    @discardableResult
    private func put(
        _ credential: StoredCredential, overwrite: Bool, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        changes += 1
        let (id, table) = (credential.record.id.rawValue, schema.table(of: credential.record.kind))
        // An appended row fills the last page and then begins the next; otherwise the page would be split in two halves.
        var isLast = false
        if table.name == .tokens { isLast = try table.lastKey(in: transaction) < id }
        return try table.put(id, credential.row, overwrite: overwrite || isLast, append: isLast, in: transaction)
    }

    /// The value is the kind, so that the sweep need not read rows that are kept longer.
    private func putExpiry(
        _ credential: StoredCredential, _ key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try put(schema.expiry, key, [credential.record.kind.rawValue], in: transaction)
    }

    private func putOwner(
        _ credential: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        guard !credential.owner.isEmpty else { return }
        try put(schema.owners, TableKey.owner(credential.owner, credential.record.id), [], in: transaction)
    }

    @discardableResult
    func put(
        _ table: Database, key: CredentialID, _ value: [UInt8], overwrite: Bool,
        in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        changes += 1
        return try naming { () throws in
            try transaction.put(table, key: key.rawValue, value: value.octets, overwrite: overwrite)
        }
    }

    func put(
        _ table: Database, _ key: [UInt8], _ value: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        changes += 1
        _ = try naming { () throws in
            try transaction.put(table, key: key.octets, value: value.octets)
        }
    }

    func delete(
        _ table: Database, _ key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        changes += 1
        _ = try naming { () throws in try transaction.delete(table, key: key.octets) }
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
