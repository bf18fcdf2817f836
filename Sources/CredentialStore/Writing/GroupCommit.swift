import CredentialDigest
import CredentialModel
import LMDB
import RecordCache
import Synchronization

#if COUNTERSIGN_PROOF
    import CMachine
#endif

// One thread takes every mutation that waits, runs them in one transaction, commits once, tells the readers, and then
// acknowledges all. A durable commit costs the same for one as for hundreds.
//
// A mutation that refuses before its first write (unknown id, dead parent) fails alone. One that fails after it has written
// has spoilt the transaction: it is aborted and run again without that mutation. A mutation that creates is refused when it
// would take room that is kept for revocations (see `HeadRoom`); if the map has no page left all the same, the transaction is
// run again without creates. It is the same with a disk that is full (see `DiskHold`): a transaction that could not be written
// has left nothing, whatever creates gives way, and readers do not notice.
//
// When a commit fails while its meta page is written, nobody knows what is on disk: the store takes no more writes, and the
// process is told to end.

/// Runs batches of mutations on the writer thread.
final class GroupCommit: Sendable {
    private let environment: Environment
    private let writer: Mutex<WriterBox>
    private let published: Published
    private let peppers: PepperRing
    private let interning: Interning
    private let clock: TrustedClock
    private let headRoom: HeadRoom
    private let onFatal: @Sendable (StoreFailure) -> Void
    private let failed = Atomic<Bool>(false)

    /// The last committed transaction, and how long the commits of batches took, for metrics.
    let commits = CommitCounters()

    private struct WriterBox: @unchecked Sendable {
        // Both are used on the writer thread only; the lock around them makes that visible to the compiler.
        let writer: StoreWriter
        var disk: DiskHold
    }

    init(
        environment: Environment, schema: Schema, published: Published, peppers: PepperRing, interning: Interning,
        clock: TrustedClock, auditChain: AuditChain, headRoom: HeadRoom,
        onFatal: @escaping @Sendable (StoreFailure) -> Void
    ) {
        self.environment = environment
        let mapBytes = (try? environment.usage().mapBytes) ?? .max
        writer = Mutex(
            WriterBox(
                writer: StoreWriter(
                    schema: schema, interning: interning, auditChain: auditChain, mapBytes: mapBytes),
                disk: DiskHold(environment)))
        self.published = published
        self.peppers = peppers
        self.interning = interning
        self.clock = clock
        self.headRoom = headRoom
        self.onFatal = onFatal
        let room = try? environment.read { transaction in
            Room(
                mapBytes: mapBytes, occupiedBytes: try transaction.occupiedBytes(schema.all.map(\.database)),
                credentials: try transaction.count(schema.credentials.database),
                tokens: try transaction.count(schema.tokens.database))
        }
        if let room { headRoom.room = room }
        published.cache.grow(for: headRoom.room.records)
        headRoom.disk = writer.withLock { $0.disk.prepare(for: headRoom.room) }
    }

    /// Whether a commit failed with unknown outcome.
    var hasFailed: Bool { failed.load(ordering: .acquiring) }

    /// Commits a batch and finishes each of its mutations exactly once.
    @available(*, noasync)
    func run(_ batch: [Mutation]) {
        guard !hasFailed else { return refuse(batch, .closed) }
        var waiting = batch
        var postponed: [Mutation] = []
        var triesLeft = Self.triesMax
        let disk = writer.withLock { $0.disk.prepare(for: headRoom.room) }
        headRoom.disk = disk
        while !waiting.isEmpty {
            if let most = headRoom.room.mutationsMax, waiting.count > most {
                postponed.insert(contentsOf: waiting[most...], at: 0)
                waiting.removeSubrange(most...)
            }
            switch attempt(&waiting, &postponed, &triesLeft) {
            case .committed:
                (waiting, postponed) = (postponed, [])
                triesLeft = Self.triesMax
            case .fatal: return
            case .again:
                interning.aborted()
                if waiting.isEmpty { (waiting, postponed) = (postponed, []) }
            }
        }
    }

    /// How often a revocation that finds no page is tried again.
    private static let triesMax = 3

    private enum Attempt {
        case committed, again, fatal
    }

    /// How a transaction ends that is not committed.
    private enum Spoilt: Error {
        case by(index: Int, any Error)
        /// A mutation that creates took room that is kept for revocations.
        case overfull(index: Int, Room)
    }

    private func attempt(
        _ waiting: inout [Mutation], _ postponed: inout [Mutation], _ triesLeft: inout Int
    ) -> Attempt {
        var refused: [Int: any Error] = [:]
        let begun = ContinuousClock.now
        do {
            let commit = try writer.withLock { box in
                let writer = box.writer
                return try environment.write { transaction in
                    try writer.begin(
                        now: clock.now(), mark: clock.mark(), instant: clock.instant(), in: transaction)
                    for (index, mutation) in waiting.enumerated() {
                        if mutation.creates, let refusal = try refusalOfCreates(writer, transaction) {
                            refused[index] = refusal
                            continue
                        }
                        let changesBefore = writer.changes
                        do {
                            try mutation.apply(writer, transaction)
                        } catch StoreFailure.lmdb(let error) where error == .mapFull || error.isRefusedWrite {
                            throw error
                        } catch {
                            if writer.changes != changesBefore { throw Spoilt.by(index: index, error) }
                            refused[index] = error
                        }
                        if mutation.creates, writer.changes != changesBefore, try writer.isFull(in: transaction) {
                            throw Spoilt.overfull(index: index, try writer.room(in: transaction))
                        }
                    }
                    do {
                        try writer.end(in: transaction)
                    } catch StoreFailure.lmdb(let error) where error == .mapFull || error.isRefusedWrite {
                        throw error
                    }
                    headRoom.room = try writer.room(in: transaction)
                    #if COUNTERSIGN_PROOF
                        // Broken on purpose: deploy/proofs/crashes must notice.
                        if cs_is_broken(cs_commit_before_acknowledgement) != 0 { Self.acknowledge(&waiting, refused) }
                    #endif
                    return writer.publication
                }
            }
            interning.committed()
            let durable = ContinuousClock.now
            // What went into a file that the path no longer leads to is not there after the next start.
            guard !commit.changed || environment.isInPlace else {
                return fatal(waiting + postponed, .displaced(directory: environment.directory))
            }
            #if COUNTERSIGN_PROOF
                // Broken on purpose: deploy/proofs/histories must notice. A scheduler may stop this thread here for as long.
                if cs_is_broken(cs_floors_before_acknowledgement) != 0 {
                    Self.acknowledge(&waiting, refused)
                    cs_pause_milliseconds(5)
                }
            #endif
            if commit.changed {
                published.apply(commit.value, transaction: commit.transactionID, peppers: peppers)
                published.cache.grow(for: headRoom.room.records)
            }
            commits.note(waiting, changed: commit.changed, since: begun, durable: durable)
            if commit.changed { writer.withLock { $0.writer.lastCommit = durable - begun } }
            // Readers know by now; only here does a caller learn that it is done.
            Self.acknowledge(&waiting, refused)
            return .committed
        } catch Spoilt.by(let index, let error) {
            waiting.remove(at: index).finish(error)
            return .again
        } catch Spoilt.overfull(let index, let room) {
            // None of those behind it fits either, as good as certainly; trying each would run the batch again each time.
            let full = StoreFailure.full(usedPercent: room.usedPercent)
            let late = waiting[index...]
            waiting.removeSubrange(index...)
            refuse(late.filter(\.creates), full)
            waiting += late.filter { !$0.creates }
            return .again
        } catch let error as LMDBError where error == .mapFull || error.isRefusedWrite {
            return giveWay(error, &waiting, &postponed, &triesLeft)
        } catch let error as CommitFailure {
            return fatal(waiting + postponed, .outcomeUnknown(error.reason))
        } catch let error as StoreFailure {
            return fatal(waiting + postponed, error)
        } catch let error as LMDBError {
            return fatal(waiting + postponed, .lmdb(error))
        } catch {
            return fatal(waiting + postponed, .closed)
        }
    }

    /// Finishes each mutation of a batch and takes it out: none is finished twice.
    private static func acknowledge(_ batch: inout [Mutation], _ refused: [Int: any Error]) {
        for (index, mutation) in batch.enumerated() { mutation.finish(refused[index]) }
        batch.removeAll()
    }

    private func refusalOfCreates(
        _ writer: StoreWriter, _ transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoreFailure? {
        if headRoom.disk.isFull { return .diskFull(directory: environment.directory) }
        return try writer.isFull(in: transaction)
            ? .full(usedPercent: try writer.room(in: transaction).usedPercent) : nil
    }

    /// The map or the disk did not take the transaction: drop what creates and run the rest again. If only revocations are
    /// left, half of them: a smaller transaction copies fewer pages. One that does not even fit alone waits a moment for the
    /// snapshot that needs the free pages, and is refused if that stays; nothing of it was acknowledged.
    private func giveWay(
        _ error: LMDBError, _ waiting: inout [Mutation], _ postponed: inout [Mutation], _ triesLeft: inout Int
    ) -> Attempt {
        let failure: StoreFailure =
            switch error {
            case .mapFull: .full(usedPercent: headRoom.room.usedPercent)
            case .diskFull: .diskFull(directory: environment.directory)
            default: .writeFailed(directory: environment.directory, error)
            }
        if error != .mapFull { commits.noteFailedWrite() }
        if waiting.contains(where: \.creates) {
            refuse(waiting.filter(\.creates), failure)
            waiting.removeAll(where: \.creates)
        } else if waiting.count > 1, error == .mapFull || error == .diskFull {
            let half = waiting.count / 2
            postponed.insert(contentsOf: waiting[half...], at: 0)
            waiting.removeSubrange(half...)
        } else if error == .mapFull, triesLeft > 0, waitForPages() {
            triesLeft -= 1
        } else {
            refuse(waiting, failure)
            waiting = []
        }
        return .again
    }

    /// Makes free pages usable: those that a snapshot needs, by waiting until it is given up, and those that the last commit
    /// freed, which only the next but one may take, by a commit that needs few. False when there is nothing to hope for.
    private func waitForPages() -> Bool {
        headRoom.isWaiting = true
        defer { headRoom.isWaiting = false }
        let isFree = (try? environment.waitForOldestSnapshot(milliseconds: Self.waitMilliseconds)) ?? false
        do {
            let commit = try writer.withLock { box in
                try environment.write { transaction in
                    try box.writer.begin(now: clock.now(), in: transaction)
                    try box.writer.touch(in: transaction)
                }
            }
            return commit.changed
        } catch {
            return isFree
        }
    }

    /// A backup looks whether it holds somebody up with each piece that it writes.
    private static let waitMilliseconds = 2_000

    private func fatal(_ unfinished: [Mutation], _ failure: StoreFailure) -> Attempt {
        interning.aborted()
        // First: whoever is told that the outcome is unknown finds that the store takes no more writes.
        fail(failure)
        refuse(unfinished, failure)
        return .fatal
    }

    /// Takes no more writes, and tells the process once.
    func fail(_ failure: StoreFailure) {
        if !failed.exchange(true, ordering: .acquiringAndReleasing) { onFatal(failure) }
    }

    private func refuse(_ mutations: [Mutation], _ failure: StoreFailure) {
        for mutation in mutations { mutation.finish(failure) }
    }
}

/// What the writer thread has done, for metrics.
public final class CommitCounters: Sendable {
    private let commitCount = Atomic<UInt64>(0)
    private let mutationCount = Atomic<UInt64>(0)
    private let failedWriteCount = Atomic<UInt64>(0)

    /// Transactions committed.
    public var commits: UInt64 { commitCount.load(ordering: .relaxed) }
    /// Mutations in them.
    public var mutations: UInt64 { mutationCount.load(ordering: .relaxed) }
    /// Transactions that the disk did not take; nothing of them is left.
    public var failedWrites: UInt64 { failedWriteCount.load(ordering: .relaxed) }

    func noteFailedWrite() { failedWriteCount.add(1, ordering: .relaxed) }

    /// From the first change of a transaction until it was durable.
    public let commitTimes = DurationHistogram()
    /// From the arrival of what takes something away until every reader knew.
    public let visibleTimes = DurationHistogram()

    func note(
        _ mutations: [Mutation], changed: Bool, since begun: ContinuousClock.Instant, durable: ContinuousClock.Instant
    ) {
        commitCount.add(1, ordering: .relaxed)
        mutationCount.add(UInt64(mutations.count), ordering: .relaxed)
        // Without changes there was nothing to make durable.
        guard changed else { return }
        commitTimes.note(durable - begun)
        let now = ContinuousClock.now
        for mutation in mutations where !mutation.creates {
            if let since = mutation.since { visibleTimes.note(now - since) }
        }
    }
}
