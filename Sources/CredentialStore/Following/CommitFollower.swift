import CredentialDigest
import CredentialModel
import LMDB
import RecordCache
import Synchronization

#if COUNTERSIGN_PROOF
    import CMachine
#endif

// How a process keeps a cache of a store that another process writes to.
//
// ## The claim
//
// A verification that starts, in this process, after a revocation was acknowledged, by the process that owns the store, does
// not accept the credential.
//
// ## Why it holds
//
// LMDB gives each transaction that changes something the next number. The revocation is committed as T, and acknowledged
// after the commit has returned; by then T stands in the store's file, whose pages both processes map (`CommitWatch`), and in
// the table that snapshots are taken by.
//
// Before it looks at its cache, each verification holds the newest commit's number N against `applied`, the number of the
// snapshot up to which this process has followed the journal. It started after the acknowledgement, so N ≥ T.
//
//   1. applied ≥ N. Whoever stored that value (release; it is loaded with acquire) had read the journal in the snapshot
//      `applied` ≥ T, where the revocation's entry is, and had raised the floor of the credential's set to it, or the
//      watermark of its owner, client or family, before. From here on the proof beside `RecordCache` goes through word for
//      word: a copy counts only with a stamp at or above the floor, so only if it was read in a snapshot that has T.
//   2. applied < N. The verification follows the journal itself, or waits for another thread that does. The snapshot is taken
//      after it started, so it has T; then as in 1.
//
// A read of the store on a miss is in a snapshot taken after the verification started, and so has T. Its record may name
// texts that only that snapshot's commit brought; so the verifier follows once more before it lets anybody judge the record.
//
// `applied` may stay below N: a commit writes its number to the file before snapshots can have it, and waits for the disk in
// between. Such a commit has not returned, so nothing of it was acknowledged; each verification looks again meanwhile, which
// costs a snapshot and no more.
//
// What is not in the journal takes nothing away: records that were moved to a newer pepper (the older one's tag stays right
// until that pepper is retired, which is in the journal), last uses, rows that the sweep removed when they had long expired.
// Where the journal no longer goes back far enough, all floors are raised and all watermarks read.
//
// A store that takes the place of the one that is open has another file, to which nobody here looks any more. Restoring and
// upgrading therefore write into the old store first that it is replaced, as a commit like any other; so the first
// verification after that sees it. For whoever exchanges folders by hand, the path is held against the open file once a
// second.

/// What one process has learned of a store that another one writes to.
final class CommitFollower: Sendable {
    private let environment: Environment
    private let watch: CommitWatch
    private let schema: Schema
    private let meta: MetaTable
    private let incarnation: UInt64
    private let published: Published
    private let peppers: PepperRing
    private let pepperPath: String
    private let foreignSchemes: ForeignSchemes

    /// The id of the snapshot up to which everything is known here; 0 before the first and when there is no way on.
    private let applied = Atomic<UInt64>(0)
    /// The second in which the path was last held against the open file.
    private let lookedAt = Atomic<Int64>(.min)
    private let state: Mutex<State>

    private struct State {
        let reader: Reader
        /// The snapshot that was last learned from.
        var snapshot: UInt64 = 0
        /// The number up to which the journal is known; nil before anything is.
        var journalNumber: UInt64?
        var internedHighest = InternedTable.Kind.allCases.map { _ in UInt32(0) }
        /// Whether the owner has a pepper in use that this process could not find yet.
        var lacksPepper = false
        /// Why there is no way on.
        var refusal: StoreFailure?
    }

    /// Entries that are followed one by one; with more, it is cheaper to forget all copies.
    private static let entriesMax: UInt64 = 65_536
    /// Seconds that the clock may go back without the path being looked at again.
    private static let backSeconds: Int64 = 60

    init(
        environment: Environment, schema: Schema, incarnation: UInt64, published: Published, peppers: PepperRing,
        pepperPath: String, foreignSchemes: ForeignSchemes
    ) throws(LMDBError) {
        self.environment = environment
        self.schema = schema
        self.incarnation = incarnation
        self.published = published
        self.peppers = peppers
        self.pepperPath = pepperPath
        self.foreignSchemes = foreignSchemes
        meta = MetaTable(schema)
        watch = try environment.makeCommitWatch()
        state = Mutex(State(reader: try environment.makeReader()))
    }

    @inline(__always)
    func follow(at now: UnixSeconds) throws(StoreFailure) {
        // Acquire: pairs with the release in `catchUp`, behind the floors.
        if watch.newest <= applied.load(ordering: .acquiring), !isLookDue(at: now) { return }
        try catchUp(at: now)
    }

    /// Relaxed: another thread's look a moment ago does as well, and nothing is read on its word.
    @inline(__always)
    private func isLookDue(at now: UnixSeconds) -> Bool {
        let passed = now.rawValue &- lookedAt.load(ordering: .relaxed)
        return passed > 0 || passed < -Self.backSeconds
    }

    @inline(never)
    private func catchUp(at now: UnixSeconds) throws(StoreFailure) {
        try state.withLock { (state) throws(StoreFailure) in
            if let refusal = state.refusal { throw refusal }
            do throws(StoreFailure) {
                let isDue = isLookDue(at: now)
                if isDue {
                    guard environment.isInPlace else { throw .replaced(directory: environment.directory) }
                    lookedAt.store(now.rawValue, ordering: .relaxed)
                }
                // Somebody else may have done it while this one waited for the lock.
                guard watch.newest > applied.load(ordering: .relaxed) || (isDue && state.lacksPepper) else { return }
                #if COUNTERSIGN_PROOF
                    // Broken on purpose: deploy/proofs/races must notice.
                    if cs_is_broken(cs_learn_before_following) != 0 {
                        applied.store(watch.newest, ordering: .releasing)
                    }
                #endif
                let snapshot = try learn(&state, looksForPeppers: isDue)
                // Release: whoever sees this number sees all floors and watermarks that were raised before.
                applied.store(snapshot, ordering: .releasing)
            } catch {
                switch error {
                case .replaced, .outgrown:
                    state.refusal = error
                    // No commit is below 1: from now on every verification comes here and is told.
                    applied.store(0, ordering: .releasing)
                default: break
                }
                throw error
            }
        }
    }

    /// Takes over what one snapshot has and this process does not know.
    /// - Returns: the snapshot's id.
    private func learn(_ state: inout State, looksForPeppers: Bool) throws(StoreFailure) -> UInt64 {
        var known = state
        let snapshot = try naming { () throws in
            try known.reader.read { (transaction) throws in
                // A commit that is about to return: its number is there before any snapshot has it.
                if transaction.id == known.snapshot, !known.lacksPepper { return transaction.id }
                try requireSame(in: transaction)
                // Not only with the journal: one that the owner took up at its start has no entry there.
                try learnPeppers(&known, looks: looksForPeppers, in: transaction)
                let newest = try meta.number(.journalNumber, in: transaction) ?? 0
                if newest != known.journalNumber {
                    try learnTexts(&known, in: transaction)
                    try learnSchemes(in: transaction)
                    if try !followJournal(from: known.journalNumber, to: newest, in: transaction) {
                        // At the beginning there are no copies; touching all slots would take all of the cache's memory.
                        if known.journalNumber != nil { published.cache.raiseFloors(to: transaction.id) }
                        try learnWatermarks(in: transaction)
                        try forgetPeppers(in: transaction)
                    }
                    known.journalNumber = newest
                    let credentials = try transaction.count(schema.credentials.database)
                    published.cache.grow(for: credentials + (try transaction.count(schema.tokens.database)))
                }
                known.snapshot = transaction.id
                return transaction.id
            }
        }
        state = known
        return snapshot
    }

    private func requireSame(in transaction: borrowing ReadTransaction) throws(StoreFailure) {
        guard try meta.number(.incarnation, in: transaction) == incarnation,
            try meta.value(.replaced, in: transaction) == nil
        else { throw .replaced(directory: environment.directory) }
    }

    /// Raises floors and watermarks by what the journal says.
    /// - Returns: false when it does not go back far enough, or too far to go through it.
    private func followJournal(
        from known: UInt64?, to newest: UInt64, in transaction: borrowing ReadTransaction
    ) throws -> Bool {
        guard let known, known < newest, newest - known <= Self.entriesMax else { return false }
        var expected = known + 1
        let snapshot = transaction.id
        var subjects: [WatermarkSubject] = []
        // A damaged entry may be that of a revocation: then as if it were not there.
        try schema.journal.scan(
            from: expected, in: transaction, reading: { JournalEntry(row: $1, number: $0) }, damaged: { _ in .stop }
        ) { number, entry in
            guard number == expected else { return .stop }
            expected += 1
            if let id = entry.id, entry.event != .issued { published.cache.raiseFloor(of: id, to: snapshot) }
            if let subject = entry.watermarkSubject { subjects.append(subject) }
            if entry.event == .pepperRetired, let number = entry.subjectNumber {
                _ = peppers.retire(UInt16(truncatingIfNeeded: number))
            }
            return .next
        }
        guard expected == newest + 1 else { return false }
        for subject in subjects {
            let key = WatermarkRow.key(subject)
            let watermark = try schema.watermarks.get(key.octets, in: transaction) { WatermarkRow.watermark($0) }
            guard let watermark else { throw schema.watermarks.damaged(key: key.octets) }
            published.watermarks.raise(subject, to: watermark)
        }
        return true
    }

    private func learnWatermarks(in transaction: borrowing ReadTransaction) throws {
        try WatermarkRow.readAll(schema, in: transaction) { published.watermarks.raise($0, to: $1) }
    }

    /// Takes over the texts that were numbered since.
    private func learnTexts(_ state: inout State, in transaction: borrowing ReadTransaction) throws {
        for kind in InternedTable.Kind.allCases {
            let highest = UInt32(truncatingIfNeeded: try meta.number(.internedHighest(kind), in: transaction) ?? 0)
            let known = state.internedHighest[kind.rawValue]
            guard highest > known else { continue }
            let first = TableKey.interned(UInt8(kind.rawValue), known + 1)
            try schema.interned.scan(
                from: first.octets, in: transaction, within: { Int($0.byte(at: 0)) == kind.rawValue },
                reading: { InternedText(key: $0, text: $1) }
            ) { row in
                published.interned.publish(kind, row.number, row.text)
                return .next
            }
            state.internedHighest[kind.rawValue] = highest
        }
    }

    /// Reads the pepper file again when the store has a pepper in use that is not known here, once a second until it is found.
    ///
    /// If it is not in the file, verification goes on with the others: what was made with the new one is trouble, not inactive.
    private func learnPeppers(
        _ state: inout State, looks: Bool, in transaction: borrowing ReadTransaction
    ) throws(StoreFailure) {
        let highest = UInt16(truncatingIfNeeded: try meta.number(.pepperHighest, in: transaction) ?? 0)
        guard peppers.newest.number < highest else {
            state.lacksPepper = false
            return
        }
        guard looks || !state.lacksPepper else { return }
        state.lacksPepper = true
        // Makes room first.
        try forgetPeppers(in: transaction)
        guard let file = try? PepperFile.read(path: pepperPath),
            let known = try? meta.knownPeppers(of: file, in: transaction)
        else { return }
        for pepper in known.peppers { _ = peppers.add(pepper) }
        if peppers.newest.number == highest { state.lacksPepper = false }
    }

    private func forgetPeppers(in transaction: borrowing ReadTransaction) throws(StoreFailure) {
        for number in peppers.numbers where try meta.value(.pepperCheck(number), in: transaction) == nil {
            _ = peppers.retire(number)
        }
    }

    /// Credentials imported by a scheme whose key this process was not started with would be answered as unknown ones.
    private func learnSchemes(in transaction: borrowing ReadTransaction) throws(StoreFailure) {
        do throws(StoreFailure) {
            published.note(try meta.schemesInUse(of: foreignSchemes, in: transaction))
        } catch .hmacKeyMissing(let name) {
            throw .outgrown(by: "keys imported under the HMAC key '\(name)'")
        }
    }
}

extension JournalEntry {
    /// Whose watermark was raised, if one was.
    fileprivate var watermarkSubject: WatermarkSubject? {
        switch event {
        case .ownerRevoked: .owner(subject)
        case .clientRevoked: subjectNumber.map { .client(UInt32(truncatingIfNeeded: $0)) }
        case .familyRevoked: subjectNumber.map { .family($0) }
        default: nil
        }
    }
}
