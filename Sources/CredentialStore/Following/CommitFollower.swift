import CredentialDigest
import CredentialModel
import LMDB
import RecordCache
import Synchronization

#if COUNTERSIGN_PROOF
    import CMachine
#endif

// How a process keeps a cache of a store to which another process writes.
//
// ## The claim
//
// After the store's owner has acknowledged a revocation, no verification that starts here accepts the credential.
//
// ## Why it holds
//
// LMDB numbers the transactions that change something consecutively. The revocation is committed as T and acknowledged
// after the commit has returned. By then T is in the store's file, whose pages both processes map (`CommitWatch`), and
// in the table from which snapshots are taken.
//
// Before it looks into its cache, each verification compares N, the number of the newest commit, with `applied`, the
// number of the snapshot up to which this process has followed the journal. It started after the acknowledgement, so N
// ≥ T.
//
//   1. applied ≥ N. The thread that stored `applied` (release; it is loaded with acquire) had read the journal in that
//      snapshot, which has the revocation's entry because `applied` ≥ T. Before the store it had raised the floor of
//      the credential's set, or the watermark of its owner, client or family. From here on the proof in `RecordCache`
//      applies unchanged: a copy is valid only with a stamp at or above the floor, so only if it was read in a snapshot
//      that has T.
//   2. applied < N. The verification follows the journal itself, or waits for another thread that does. The snapshot is
//      taken after it started, so it has T; then as in 1.
//
// On a miss, the store is read in a snapshot taken after the verification started, which has T. The record may refer to
// texts that only that snapshot's commit added, so the verifier follows once more before the record is judged.
//
// `applied` may stay below N: a commit writes its number to the file before snapshots can have it, and waits for the
// disk in between. Such a commit has not returned, so nothing of it was acknowledged. Meanwhile each verification looks
// again, which costs only a snapshot.
//
// What is not in the journal takes nothing away: records moved to a newer pepper (the old tag stays valid until the
// older pepper is retired, which is in the journal), last uses, and rows that the sweep removed long after they
// expired. If the journal no longer goes back far enough, all floors are raised and all watermarks read.
//
// A store that replaces the open one has another file, which nobody here reads. So restoring and upgrading first commit
// a mark into the old store that it is replaced, and the next verification sees it. In case folders are exchanged by
// hand, the path is compared with the open file once a second.

/// What one process has learned of a store to which another one writes.
final class CommitFollower: Sendable {
    private let environment: Environment
    private let watch: CommitWatch
    private let schema: Schema
    private let meta: MetaTable
    private let incarnation: UInt64
    private let isOfFleet: Bool
    private let published: Published
    private let keys: KeysInUse

    /// The id of the snapshot up to which everything is known here; 0 before the first and after a permanent failure.
    private let applied = Atomic<UInt64>(0)
    /// The second in which the path was last compared with the open file.
    private let checkedAt = Atomic<Int64>(.min)
    private let state: Mutex<State>

    private struct State {
        let reader: Reader
        /// The last snapshot from which this process learned.
        var snapshot: UInt64 = 0
        /// The number up to which the journal is known; nil at the beginning.
        var journalNumber: UInt64?
        var internedHighest = InternedTable.Kind.allCases.map { _ in UInt32(0) }
        /// Whether the owner uses a pepper that this process has not found yet.
        var lacksPepper = false
        /// Why following failed permanently.
        var refusal: StoreFailure?
    }

    /// With more entries than this, it is cheaper to invalidate all copies than to follow them one by one.
    private static let entriesMax: UInt64 = 65_536
    /// Seconds that the clock may go back before the path is checked again.
    private static let backSeconds: Int64 = 60

    init(
        environment: Environment, schema: Schema, incarnation: UInt64, isOfFleet: Bool, published: Published,
        peppers: PepperRing,
        pepperPath: String, foreignSchemes: ForeignSchemes
    ) throws(LMDBError) {
        self.environment = environment
        self.schema = schema
        self.incarnation = incarnation
        self.isOfFleet = isOfFleet
        self.published = published
        meta = MetaTable(schema)
        keys = KeysInUse(
            meta: meta, published: published, peppers: peppers, pepperPath: pepperPath, foreignSchemes: foreignSchemes)
        watch = try environment.makeCommitWatch()
        state = Mutex(State(reader: try environment.makeReader()))
    }

    @inline(__always)
    func follow(at now: UnixSeconds) throws(StoreFailure) {
        // Acquire: pairs with the release in `catchUp`, which comes after the floors.
        if watch.newest <= applied.load(ordering: .acquiring), !isCheckDue(at: now) { return }
        try catchUp(at: now)
    }

    /// Relaxed: a recent check by another thread is as good, and nothing is read because of this value.
    @inline(__always)
    private func isCheckDue(at now: UnixSeconds) -> Bool {
        let passed = now.rawValue &- checkedAt.load(ordering: .relaxed)
        return passed > 0 || passed < -Self.backSeconds
    }

    @inline(never)
    private func catchUp(at now: UnixSeconds) throws(StoreFailure) {
        try state.withLock { (state) throws(StoreFailure) in
            if let refusal = state.refusal { throw refusal }
            do throws(StoreFailure) {
                let isDue = isCheckDue(at: now)
                if isDue {
                    guard environment.isInPlace else { throw .replaced(directory: environment.directory) }
                    checkedAt.store(now.rawValue, ordering: .relaxed)
                }
                // Another thread may have done it while this one waited for the lock.
                guard watch.newest > applied.load(ordering: .relaxed) || (isDue && state.lacksPepper) else { return }
                #if COUNTERSIGN_PROOF
                    // Broken on purpose: deploy/proofs/races must notice.
                    if cs_is_broken(cs_learn_before_following) != 0 {
                        applied.store(watch.newest, ordering: .releasing)
                    }
                #endif
                let snapshot = try learn(&state, checksPeppers: isDue)
                // Release: whoever sees this number sees all floors and watermarks that were raised before.
                applied.store(snapshot, ordering: .releasing)
            } catch {
                switch error {
                case .replaced, .needsReopening:
                    state.refusal = error
                    // Every commit number is at least 1, so from now on every verification comes here and gets the
                    // error.
                    applied.store(0, ordering: .releasing)
                default: break
                }
                throw error
            }
        }
    }

    /// Learns what one snapshot has and this process does not know.
    /// - Returns: the snapshot's id.
    private func learn(_ state: inout State, checksPeppers: Bool) throws(StoreFailure) -> UInt64 {
        var known = state
        let snapshot = try convertingErrors { () throws in
            try known.reader.read { (transaction) throws in
                // A commit that is about to return: its number appears before any snapshot has it.
                if transaction.id == known.snapshot, !known.lacksPepper { return transaction.id }
                try requireSame(in: transaction)
                // Not only when the journal has grown: a pepper that the owner loaded at its start has no entry there.
                try learnPeppers(&known, checks: checksPeppers, in: transaction)
                let newest = try meta.number(.journalNumber, in: transaction) ?? 0
                if newest != known.journalNumber {
                    try learnTexts(&known, in: transaction)
                    try keys.learnSchemes(in: transaction)
                    if try !followJournal(from: known.journalNumber, to: newest, in: transaction) {
                        // At first there are no copies, and writing to all slots would use all of the cache's memory.
                        if known.journalNumber != nil { published.cache.raiseFloors(to: transaction.id) }
                        try learnWatermarks(in: transaction)
                        try keys.forgetPeppers(in: transaction)
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
        // It has begun a fleet since.
        let fleet = try meta.value(.fleet, in: transaction)
        guard isOfFleet || fleet == nil else { throw .replaced(directory: environment.directory) }
    }

    /// Raises floors and watermarks from the journal's entries.
    /// - Returns: false when the journal does not go back far enough or has too many entries.
    private func followJournal(
        from known: UInt64?, to newest: UInt64, in transaction: borrowing ReadTransaction
    ) throws -> Bool {
        guard let known, known < newest, newest - known <= Self.entriesMax else { return false }
        var expected = known + 1
        let snapshot = transaction.id
        var subjects: [WatermarkSubject] = []
        // A damaged entry may be a revocation: treated like a missing one.
        try schema.journal.scan(
            from: expected, in: transaction, reading: { JournalEntry(row: $1, number: $0) }, damaged: { _ in .stop }
        ) { number, entry in
            guard number == expected else { return .stop }
            expected += 1
            if let id = entry.id, entry.event != .issued { published.cache.raiseFloor(of: id, to: snapshot) }
            if let subject = entry.watermarkSubject { subjects.append(subject) }
            if entry.event == .pepperRetired, let number = entry.subjectNumber {
                _ = keys.peppers.retire(UInt16(truncatingIfNeeded: number))
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

    /// Loads the texts that were numbered since.
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

    /// Looks for a pepper that is not known here, once a second until it is found.
    private func learnPeppers(
        _ state: inout State, checks: Bool, in transaction: borrowing ReadTransaction
    ) throws(StoreFailure) {
        guard try keys.unknownPepper(in: transaction) != nil else {
            state.lacksPepper = false
            return
        }
        guard checks || !state.lacksPepper else { return }
        state.lacksPepper = true
        state.lacksPepper = try !keys.learnPeppers(in: transaction)
    }
}

extension JournalEntry {
    /// The subject whose watermark was raised, if any.
    fileprivate var watermarkSubject: WatermarkSubject? {
        switch event {
        case .ownerRevoked: .owner(subject)
        case .clientRevoked: subjectNumber.map { .client(UInt32(truncatingIfNeeded: $0)) }
        case .familyRevoked: subjectNumber.map { .family($0) }
        default: nil
        }
    }
}
