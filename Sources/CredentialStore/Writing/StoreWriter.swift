public import CredentialDigest
public import CredentialModel
public import LMDB
public import RecordCache

/// The rows of the store, for the length of one mutation on the writer thread.
///
/// Whoever changes rows goes through here, so that indexes, journal and publication can never be forgotten: each change
/// notes what readers have to learn, and the commit tells them before it is acknowledged.
public final class StoreWriter {
    let schema: Schema
    let interning: Interning
    let auditChain: AuditChain
    /// Seconds since the Unix epoch, read once for the batch.
    public internal(set) var now: UnixSeconds = .always
    /// The time that a restart may rely on (``TrustedClock/mark(_:)``); nil: none is written.
    private var mark: UnixSeconds?
    /// The highest number given out in this transaction.
    private(set) var journalNumber: UInt64 = 0
    private var journalNumberAtBegin: UInt64 = 0
    /// What readers have to learn before the batch is acknowledged.
    var publication = Publication()
    /// How often this transaction was written to: an operation that fails after its first write spoils the batch.
    private(set) var changes = 0

    init(schema: Schema, interning: Interning, auditChain: AuditChain) {
        self.schema = schema
        self.interning = interning
        self.auditChain = auditChain
    }

    /// The number that the next change will get: also a number for a family that nothing else has.
    public var nextJournalNumber: UInt64 { journalNumber + 1 }

    /// Begins a transaction.
    func begin(
        now: UnixSeconds, mark: UnixSeconds? = nil, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        self.now = now
        self.mark = mark
        publication = Publication()
        changes = 0
        journalNumber = try number(.journalNumber, in: transaction) ?? 0
        journalNumberAtBegin = journalNumber
    }

    /// Writes what is kept once for a transaction.
    func end(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        if journalNumber != journalNumberAtBegin { try setNumber(.journalNumber, journalNumber, in: transaction) }
        // With each commit that changes something, so that a restart with the clock set back begins no earlier than the last
        // of them. Not the time of the journal's last entry: that may come from a clock that was set far ahead for a while.
        if changes > 0, let mark = mark.map({ UInt64(clamping: $0.rawValue) }),
            try number(.time, in: transaction) ?? 0 < mark
        {
            try setNumber(.time, mark, in: transaction)
        }
    }

    /// Runs a change of its own in a transaction that nobody else writes in.
    func change(
        in transaction: borrowing WriteTransaction, _ body: (StoreWriter, borrowing WriteTransaction) throws -> Void
    ) throws {
        try begin(now: UnixSeconds(TrustedClock.Reading.current.wall), in: transaction)
        try body(self, transaction)
        try end(in: transaction)
    }

    /// Makes the data another incarnation, since it took the place of a later state: its journal goes on above all numbers
    /// that this or the other may have given, so that nothing issued from now on falls under an old bulk revocation.
    func beginIncarnation(
        above number: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try setNumber(.incarnation, UInt64.random(in: 1...UInt64.max), in: transaction)
        journalNumber = max(journalNumber, number)
        try journal(.restored, in: transaction)
    }

    // MARK: Credentials

    /// The row of a credential; nil when there is none.
    public func credential(
        _ id: CredentialID, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoredCredential? {
        let row = try naming { () throws -> [UInt8]? in
            try transaction.get(schema.credentials, key: id.rawValue) { $0.copied() }
        }
        guard let row else { return nil }
        guard let credential = StoredCredential(row: row.octets, id: id) else {
            throw .corrupt(table: "credentials")
        }
        return credential
    }

    /// Adds a new credential under the next journal number.
    /// - Returns: false when its id is taken or its tag is not the newest pepper's: nothing is written, draw it again.
    public func insert(
        _ credential: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        var credential = credential
        credential.record.journalNumber = journalNumber + 1
        let record = credential.record
        guard try record.pepper == newestPepper(in: transaction) else { return false }
        guard try put(schema.credentials, key: record.id, credential.row, overwrite: false, in: transaction) else {
            return false
        }
        if record.expiresAt < .never {
            try put(schema.expiry, TableKey.expiry(record.expiresAt, record.id), [], in: transaction)
        }
        if !credential.owner.isEmpty {
            try put(schema.owners, TableKey.owner(credential.owner, record.id), [], in: transaction)
        }
        try journal(.issued, kind: record.kind, id: record.id, in: transaction)
        publication.born.append(record.id)
        return true
    }

    /// Replaces a row that was read in this transaction. Readers forget their copies before the acknowledgement.
    ///
    /// Owner, client and id never change; a row with a critical claim of a later version is not rewritten.
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
        try put(schema.credentials, key: new.record.id, new.row, overwrite: true, in: transaction)
        if old.record.expiresAt != new.record.expiresAt {
            if old.record.expiresAt < .never {
                try delete(schema.expiry, TableKey.expiry(old.record.expiresAt, old.record.id), in: transaction)
            }
            if new.record.expiresAt < .never {
                try put(schema.expiry, TableKey.expiry(new.record.expiresAt, new.record.id), [], in: transaction)
            }
        }
        try journal(event, kind: new.record.kind, id: new.record.id, in: transaction)
        publication.floors.append(new.record.id)
    }

    /// Changes tag and pepper of a row whose tag is still `expected`; false when it is not.
    ///
    /// A compare-and-set on the row as it is now: a late re-tag cannot bring back what was revoked meanwhile, and cannot
    /// bring a pepper back into use. It is no event of the credential's life and stays out of the journal.
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
        try put(schema.credentials, key: id, credential.row, overwrite: true, in: transaction)
        // Nothing was taken away, but copies with the old tag would ask for this again at each use.
        publication.floors.append(id)
        return true
    }

    /// Takes a row and its index entries away. Only for the sweep.
    func remove(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let record = credential.record
        try delete(schema.owners, TableKey.owner(credential.owner, record.id), in: transaction)
        if record.expiresAt < .never {
            try delete(schema.expiry, TableKey.expiry(record.expiresAt, record.id), in: transaction)
        }
        changes += 1
        _ = try naming { () throws in try transaction.delete(schema.credentials, key: record.id.rawValue) }
        _ = try naming { () throws in try transaction.delete(schema.uses, key: record.id.rawValue) }
        publication.floors.append(record.id)
    }

    // MARK: Bulk revocation

    /// Whether a watermark killed what this credential derives from.
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
        let row = try naming { () throws -> [UInt8]? in
            try transaction.get(schema.watermarks, key: WatermarkRow.key(subject).octets) { $0.copied() }
        }
        guard let row else { return nil }
        guard let watermark = WatermarkRow.watermark(row.octets) else { throw .corrupt(table: "watermarks") }
        return watermark
    }

    /// Kills everything of a subject that was issued up to now or, with a time, before that time. Returns its journal number.
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
        try put(schema.watermarks, WatermarkRow.key(subject), WatermarkRow.row(watermark), in: transaction)
        publication.watermarks.append((subject, watermark))
        return number
    }

    // MARK: Interned texts and clients

    /// The number of a text, given now if it is new.
    public func intern(
        _ kind: InternedTable.Kind, _ text: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> UInt32 {
        if text.isEmpty { return 0 }
        if let number = interning.number(kind, text) { return number }
        let number = try interning.assign(kind, text)
        try put(schema.interned, TableKey.interned(UInt8(kind.rawValue), number), text, in: transaction)
        try setNumber(.internedHighest(kind), UInt64(number), in: transaction)
        return number
    }

    /// A client as this transaction sees it; nil when there is none.
    public func client(
        _ number: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> ClientDefinition? {
        let row = try naming { () throws -> [UInt8]? in
            try transaction.get(schema.clients, key: UInt64(number)) { $0.copied() }
        }
        guard let row else { return nil }
        guard let client = ClientDefinition(row: row.octets, number: number) else { throw .corrupt(table: "clients") }
        return client
    }

    /// The clients that this transaction has changed so far, which ``ClientDirectory`` does not know of yet.
    public var changedClients: [ClientDefinition] { publication.clients }

    /// Stores a client. A changed right or audience reaches its secrets' own records through their edit.
    public func putClient(
        _ client: ClientDefinition, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        changes += 1
        _ = try naming { () throws in
            try transaction.put(schema.clients, key: UInt64(client.number), value: client.row.octets)
        }
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
        try put(schema.meta, name.key, bytes, in: transaction)
    }

    // MARK: Peppers

    /// The number of the newest pepper as this transaction sees it.
    ///
    /// What is inserted or re-tagged here must be tagged with it, whatever was the newest when the tag was made. So from
    /// the commit that adds a pepper on, the records of all older ones can only become fewer, and a count of them that
    /// finds none stays right.
    public func newestPepper(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> UInt16 {
        UInt16(truncatingIfNeeded: try number(.pepperHighest, in: transaction) ?? 0)
    }

    /// Makes a pepper the newest: stores its check value now; readers tag with it once this is committed, not before.
    public func addPepper(_ pepper: Pepper, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try put(schema.meta, MetaName.pepperCheck(pepper.number).key, pepper.checkValue, in: transaction)
        try setNumber(.pepperHighest, UInt64(pepper.number), in: transaction)
        try journal(.pepperAdded, subject: Array("\(pepper.number)".utf8), in: transaction)
        publication.peppersAdded.append(pepper)
    }

    /// Takes a pepper away that no record names; false when it is gone already.
    public func retirePepper(_ number: UInt16, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Bool
    {
        let key = MetaName.pepperCheck(number).key
        guard try naming({ () throws in try transaction.contains(schema.meta, key: key.octets) }) else { return false }
        try delete(schema.meta, key, in: transaction)
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
        _ = try naming { () throws in
            try transaction.put(schema.journal, key: entry.number, value: entry.row.octets, append: true)
        }
        publication.journalNumber = entry.number
        if !event.endsNothing { publication.otherNumber = entry.number }
        return entry.number
    }

    /// Appends to the audit log, whose numbers only go up. Only for ``audit(_:by:in:)``.
    func putAudit(_ number: UInt64, _ row: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        changes += 1
        _ = try naming { () throws in
            try transaction.put(schema.audit, key: number, value: row.octets, append: true)
        }
    }

    /// Forgets the oldest journal entries up to a number. Only for the sweep.
    func forgetJournal(_ number: UInt64, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        changes += 1
        _ = try naming { () throws in try transaction.delete(schema.journal, key: number) }
    }

    // MARK: Rows

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
