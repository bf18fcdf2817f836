import CredentialDigest
import CredentialModel
import LMDB
import Synchronization

#if COUNTERSIGN_PROOF
    import CMachine
#endif

// One thread takes every mutation that waits, runs them in one transaction, commits once, tells the readers, and then
// acknowledges all. A durable commit costs the same for one as for hundreds.
//
// A mutation that refuses before its first write (unknown id, dead parent) fails alone. One that fails after it has written
// has spoilt the transaction: it is aborted and run again without that mutation. When the map is full, it is run again
// without those that create, so that revocations always get through. When the commit itself fails for any other reason,
// nobody knows what is on disk: the store takes no more writes, and the process is told to end.

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
        // The writer is used on the writer thread only; the lock around it makes that visible to the compiler.
        let writer: StoreWriter
    }

    init(
        environment: Environment, schema: Schema, published: Published, peppers: PepperRing, interning: Interning,
        clock: TrustedClock, auditChain: AuditChain, headRoom: HeadRoom,
        onFatal: @escaping @Sendable (StoreFailure) -> Void
    ) {
        self.environment = environment
        writer = Mutex(WriterBox(writer: StoreWriter(schema: schema, interning: interning, auditChain: auditChain)))
        self.published = published
        self.peppers = peppers
        self.interning = interning
        self.clock = clock
        self.headRoom = headRoom
        self.onFatal = onFatal
    }

    /// Whether a commit failed with unknown outcome.
    var hasFailed: Bool { failed.load(ordering: .acquiring) }

    /// Commits a batch and finishes each of its mutations exactly once.
    @available(*, noasync)
    func run(_ batch: [Mutation]) {
        guard !hasFailed else { return refuse(batch, .closed) }
        var waiting = batch
        if let full = headRoom.refusal(environment) {
            refuse(waiting.filter(\.creates), full)
            waiting.removeAll(where: \.creates)
        }
        var postponed: [Mutation] = []
        while !waiting.isEmpty {
            switch attempt(&waiting, &postponed) {
            case .committed: (waiting, postponed) = (postponed, [])
            case .fatal: return
            case .again:
                interning.aborted()
                if waiting.isEmpty { (waiting, postponed) = (postponed, []) }
            }
        }
    }

    private enum Attempt {
        case committed, again, fatal
    }

    /// How a transaction ends that is not committed.
    private enum Spoilt: Error {
        case by(index: Int, any Error)
        case mapFull
    }

    private func attempt(_ waiting: inout [Mutation], _ postponed: inout [Mutation]) -> Attempt {
        var refused: [Int: any Error] = [:]
        let begun = ContinuousClock.now
        do {
            let commit = try writer.withLock { box in
                let writer = box.writer
                return try environment.write { transaction in
                    try writer.begin(
                        now: clock.now(), mark: clock.mark(), instant: clock.instant(), in: transaction)
                    for (index, mutation) in waiting.enumerated() {
                        let changesBefore = writer.changes
                        do {
                            try mutation.apply(writer, transaction)
                        } catch StoreFailure.lmdb(.mapFull) {
                            throw Spoilt.mapFull
                        } catch {
                            if writer.changes != changesBefore { throw Spoilt.by(index: index, error) }
                            refused[index] = error
                        }
                    }
                    do {
                        try writer.end(in: transaction)
                    } catch StoreFailure.lmdb(.mapFull) {
                        throw Spoilt.mapFull
                    }
                    #if COUNTERSIGN_PROOF
                        // Broken on purpose: deploy/proofs/crashes must notice.
                        if cs_is_broken(cs_commit_before_acknowledgement) != 0 { Self.acknowledge(&waiting, refused) }
                    #endif
                    return writer.publication
                }
            }
            interning.committed()
            let durable = ContinuousClock.now
            #if COUNTERSIGN_PROOF
                // Broken on purpose: deploy/proofs/histories must notice. A scheduler may stop this thread here for as long.
                if cs_is_broken(cs_floors_before_acknowledgement) != 0 {
                    Self.acknowledge(&waiting, refused)
                    cs_pause_milliseconds(5)
                }
            #endif
            if commit.changed { published.apply(commit.value, transaction: commit.transactionID, peppers: peppers) }
            commits.note(waiting, changed: commit.changed, since: begun, durable: durable)
            // Readers know by now; only here does a caller learn that it is done.
            Self.acknowledge(&waiting, refused)
            return .committed
        } catch Spoilt.by(let index, let error) {
            waiting.remove(at: index).finish(error)
            return .again
        } catch Spoilt.mapFull {
            return giveWay(&waiting, &postponed)
        } catch LMDBError.mapFull {
            return giveWay(&waiting, &postponed)
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

    /// The map is full: drop what creates and run the rest again. If only revocations are left, half of them: a smaller
    /// transaction copies fewer pages. What does not even fit alone is refused; nothing of it was acknowledged.
    private func giveWay(_ waiting: inout [Mutation], _ postponed: inout [Mutation]) -> Attempt {
        let full = StoreFailure.full(usedPercent: headRoom.usedPercent(environment))
        if waiting.contains(where: \.creates) {
            refuse(waiting.filter(\.creates), full)
            waiting.removeAll(where: \.creates)
        } else if waiting.count > 1 {
            let half = waiting.count / 2
            postponed.insert(contentsOf: waiting[half...], at: 0)
            waiting.removeSubrange(half...)
        } else {
            refuse(waiting, full)
            waiting = []
        }
        return .again
    }

    private func fatal(_ unfinished: [Mutation], _ failure: StoreFailure) -> Attempt {
        interning.aborted()
        failed.store(true, ordering: .releasing)
        refuse(unfinished, failure)
        onFatal(failure)
        return .fatal
    }

    private func refuse(_ mutations: [Mutation], _ failure: StoreFailure) {
        for mutation in mutations { mutation.finish(failure) }
    }
}

/// What the writer thread has done, for metrics.
public final class CommitCounters: Sendable {
    private let commitCount = Atomic<UInt64>(0)
    private let mutationCount = Atomic<UInt64>(0)

    /// Transactions committed.
    public var commits: UInt64 { commitCount.load(ordering: .relaxed) }
    /// Mutations in them.
    public var mutations: UInt64 { mutationCount.load(ordering: .relaxed) }

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
