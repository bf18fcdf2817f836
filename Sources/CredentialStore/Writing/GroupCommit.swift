import CredentialDigest
import CredentialModel
import LMDB
import RecordCache
import Synchronization

#if COUNTERSIGN_PROOF
    import CMachine
#endif

// One thread takes all waiting mutations, runs them in one transaction, commits once, updates the readers, and then
// acknowledges all of them. A durable commit costs the same for one mutation as for hundreds.
//
// A mutation that fails before its first write (unknown id, revoked parent) fails alone. If it fails after a write, the
// transaction is aborted and run again without it. A create that would use room reserved for revocations is refused
// (see `HeadRoom`). If the map has no page left all the same, the transaction is run again without creates. A full disk
// is handled the same way (see `DiskHold`): the failed transaction leaves nothing, creates are refused, and readers do
// not notice.
//
// A store that has a log gives it the transaction's operations before the commit (see `StoreLog`). If the log does not
// take them, nothing is committed, and the mutations are refused. For a log that is shared with other nodes, see
// `SharedCommit`.
//
// When a commit fails while its meta page is written, the state on disk is unknown: the store accepts no more writes,
// and the process must exit.

/// Runs batches of mutations on the writer thread.
final class GroupCommit: Sendable {
    let environment: Environment
    let writer: Mutex<WriterBox>
    let published: Published
    let peppers: PepperRing
    let interning: Interning
    let clock: TrustedClock
    let headRoom: HeadRoom
    /// Bytes of operations from which on further mutations are left to the next transaction (``LogOptions/entryBytes``).
    private let entryBytes: Int
    private let onFatal: @Sendable (StoreFailure) -> Void
    private let failed = Atomic<Bool>(false)
    private let closing = Atomic<Bool>(false)
    let schema: Schema

    /// Counters and commit times of batches, for metrics.
    let commits = CommitCounters()

    struct WriterBox: @unchecked Sendable {
        // All are used only on the writer thread; the lock around them shows that to the compiler.
        let writer: StoreWriter
        let log: StoreLog?
        /// Nothing is written until it has the log of its fleet.
        var isOfFleet = false
        var shared: SharedCommit?
        var disk: DiskHold
    }

    init(
        environment: Environment, schema: Schema, published: Published, peppers: PepperRing, interning: Interning,
        clock: TrustedClock, auditChain: AuditChain, headRoom: HeadRoom, log: StoreLog?,
        entryBytes: Int, onFatal: @escaping @Sendable (StoreFailure) -> Void
    ) {
        self.environment = environment
        self.schema = schema
        let mapBytes = (try? environment.usage().mapBytes) ?? .max
        writer = Mutex(
            WriterBox(
                writer: StoreWriter(
                    schema: schema, interning: interning, auditChain: auditChain, mapBytes: mapBytes),
                log: log, disk: DiskHold(environment)))
        self.published = published
        self.peppers = peppers
        self.interning = interning
        self.clock = clock
        self.headRoom = headRoom
        self.entryBytes = entryBytes
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
    /// - Parameter queued: takes the mutations that wait behind this batch.
    @available(*, noasync)
    func run(_ batch: [Mutation], queued: () -> [Mutation]) {
        guard !hasFailed else { return refuse(batch, .closed) }
        guard writer.withLock({ !$0.isOfFleet || $0.shared != nil }) else { return refuse(batch, .shared(.away)) }
        takeArrived()
        let turnEnd = turnEnd()
        var waiting = paced(batch, until: turnEnd, queued)
        var postponed: [Mutation] = []
        var triesLeft = Self.triesMax
        headRoom.disk = writer.withLock { box in
            var disk = box.disk.prepare(for: headRoom.room)
            if let log = box.log, log.isShortOfSpace { disk.fullLogDirectory = log.directory }
            return disk
        }
        while !waiting.isEmpty {
            if let most = headRoom.room.mutationsMax, waiting.count > most {
                postponed.insert(contentsOf: waiting[most...], at: 0)
                waiting.removeSubrange(most...)
            }
            switch attempt(&waiting, &postponed, &triesLeft, turnEnd, queued) {
            case .committed:
                (waiting, postponed) = (postponed, [])
                for index in waiting.indices { waiting[index].failure = nil }
                triesLeft = Self.triesMax
            case .fatal: return
            case .again:
                interning.aborted()
                if waiting.isEmpty { (waiting, postponed) = (postponed, []) }
            }
        }
    }

    /// How often a revocation that finds no free page is retried.
    private static let triesMax = 3

    private enum Attempt {
        case committed, again, fatal
    }

    /// Why a transaction is not committed.
    private enum Aborted: Error {
        case failed(index: Int, any Error)
        /// A create used room that is reserved for revocations.
        case overfull(index: Int, Room)
    }

    private func attempt(
        _ waiting: inout [Mutation], _ postponed: inout [Mutation], _ triesLeft: inout Int,
        _ turnEnd: ContinuousClock.Instant, _ queued: () -> [Mutation]
    ) -> Attempt {
        var refused: [Int: any Error] = [:]
        // What must be known on every node before it is acknowledged.
        var everywhere: Set<Int> = []
        let begun = ContinuousClock.now
        do {
            let commit = try writer.withLock { box in
                let (writer, shared) = (box.writer, box.shared)
                let mark = if let shared { shared.mark(clock.mark()) } else { clock.mark() }
                return try environment.write { transaction in
                    try writer.begin(
                        now: max(clock.now(), shared?.lastTime ?? .always), mark: mark,
                        instant: clock.instant(), records: box.log != nil || shared != nil, in: transaction)
                    var rest = waiting.endIndex
                    for (index, mutation) in waiting.enumerated() {
                        guard writer.recordedBytes.count < entryBytes else {
                            rest = index
                            break
                        }
                        if let failure = mutation.failure {
                            refused[index] = failure
                            continue
                        }
                        if mutation.creates, let refusal = try refusalOfCreates(writer, transaction) {
                            refused[index] = refusal
                            continue
                        }
                        let before = writer.progress(in: transaction)
                        do {
                            let ended = writer.publication.otherNumber
                            try mutation.apply(writer, transaction)
                            if mutation.mustReachEverywhere(ends: writer.publication.otherNumber != ended) {
                                everywhere.insert(index)
                            }
                        } catch StoreFailure.lmdb(let error) where error == .mapFull || error.isRefusedWrite {
                            throw error
                        } catch {
                            guard writer.progress(in: transaction) == before else {
                                throw Aborted.failed(index: index, error)
                            }
                            refused[index] = error
                        }
                        if mutation.creates, writer.progress(in: transaction) != before,
                            try writer.isFull(in: transaction)
                        {
                            throw Aborted.overfull(index: index, try writer.room(in: transaction))
                        }
                    }
                    postponed.insert(contentsOf: waiting[rest...], at: 0)
                    waiting.removeSubrange(rest...)
                    do {
                        try writer.end(in: transaction)
                        headRoom.room = try writer.room(in: transaction)
                        try box.log?.append(writer, in: transaction)
                        let isOwn = waiting.allSatisfy { $0.reach == .own }
                        let isWanted = waiting.contains { $0.reach == .everywhere }
                        try shared?.append(writer, isOwn: isOwn, isWanted: isWanted, in: transaction) { wait in
                            guard wait >= SharedCommit.patienceOfOthers else { return }
                            refuse(queued() + postponed, .shared(.away))
                            postponed.removeAll()
                            let isProof = writer.recordedBytes.isEmpty
                            guard isProof || wait >= SharedCommit.patience else { return }
                            refuse(waiting, .shared(isProof ? .away : .outcomeUnknown))
                            waiting.removeAll()
                        }
                    } catch StoreFailure.lmdb(let error) where error == .mapFull || error.isRefusedWrite {
                        throw error
                    }
                    interning.publish()
                    #if COUNTERSIGN_PROOF
                        // Broken on purpose: deploy/proofs/crashes must notice.
                        if cs_is_broken(cs_commit_before_acknowledgement) != 0 { Self.acknowledge(&waiting, refused) }
                    #endif
                    return writer.publication
                }
            }
            interning.committed()
            let shared = writer.withLock { box in
                box.log?.committed()
                box.shared?.committed()
                return box.shared
            }
            let durable = ContinuousClock.now
            // What was written to a file that the path no longer leads to is lost at the next start.
            guard !commit.changed || environment.isInPlace else {
                return fatal(waiting + postponed, .displaced(directory: environment.directory))
            }
            #if COUNTERSIGN_PROOF
                // Broken on purpose: deploy/proofs/histories must notice. The scheduler may pause this thread here.
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
            if let shared {
                shared.log.applied(shared.position, wantsConfirmation: shared.isDecisive, isOwn: true)
                if commit.changed, let comparison = commit.value.comparison { compare(comparison, shared) }
            }
            let unconfirmed = shared == nil ? [] : takeUnconfirmed(&waiting, everywhere)
            // Only now, when all readers know, are the callers told that their mutations are done.
            Self.acknowledge(&waiting, refused)
            if let shared { confirm(unconfirmed, shared, queued) }
            return .committed
        } catch Aborted.failed(let index, let error) {
            if writer.withLock({ $0.shared != nil }) {
                // The state in which it failed is not proven to be the newest before the rest is.
                waiting[index].failure = error
            } else {
                waiting.remove(at: index).finish(error)
            }
            return .again
        } catch is SharedCommit.Lost {
            // Another node was first. In the state after that, what failed may not fail.
            for index in waiting.indices { waiting[index].failure = nil }
            for index in postponed.indices { postponed[index].failure = nil }
            interning.aborted()
            takeArrived()
            waiting = paced(waiting, postponed, until: turnEnd, queued)
            return .again
        } catch Aborted.overfull(let index, let room) {
            // Creates after this one almost certainly do not fit either; trying each would repeat the batch each time.
            let full = StoreFailure.full(usedPercent: room.usedPercent)
            let late = waiting[index...]
            waiting.removeSubrange(index...)
            refuse(late.filter(\.creates), full)
            waiting += late.filter { !$0.creates }
            return .again
        } catch let error as LMDBError where error == .mapFull || error.isRefusedWrite {
            if let failure = withdrawEntry(because: error) { return fatal(waiting + postponed, failure) }
            return retryWithLess(error, &waiting, &postponed, &triesLeft)
        } catch let error as CommitFailure {
            return fatal(waiting + postponed, .outcomeUnknown(error.reason))
        } catch let error as StoreFailure {
            guard error.isRefusalOfLog, writer.withLock({ $0.log?.isUnknown }) != true else {
                return fatal(waiting + postponed, withdrawEntry(because: .system(0)) ?? error)
            }
            return refuseWhatTheLogDidNotTake(error, &waiting, &postponed)
        } catch let error as LMDBError {
            return fatal(waiting + postponed, withdrawEntry(because: error) ?? .lmdb(error))
        } catch {
            return fatal(waiting + postponed, .closed)
        }
    }

    /// The log has not taken the transaction, so nothing of it remains. If it is too long for an entry, half of it is tried.
    private func refuseWhatTheLogDidNotTake(
        _ failure: StoreFailure, _ waiting: inout [Mutation], _ postponed: inout [Mutation]
    ) -> Attempt {
        if failure == .log(.tooLong), waiting.count > 1 {
            let half = waiting.count / 2
            postponed.insert(contentsOf: waiting[half...], at: 0)
            waiting.removeSubrange(half...)
            return .again
        }
        commits.noteFailedWrite()
        refuse(waiting, failure)
        waiting = []
        return .again
    }

    /// Takes the transaction's entry out of the log, because the transaction was not committed.
    /// - Returns: why the log may still have it; the next opening of the store then takes it from there.
    private func withdrawEntry(because error: LMDBError) -> StoreFailure? {
        writer.withLock { box in
            // Other nodes have it already.
            if box.shared?.isHeld == true { return .outcomeUnknown(error) }
            do throws(StoreFailure) {
                try box.log?.withdraw()
                return nil
            } catch {
                return error
            }
        }
    }

    /// Finishes each mutation of a batch and removes it, so that none is finished twice.
    private static func acknowledge(_ batch: inout [Mutation], _ refused: [Int: any Error]) {
        for (index, mutation) in batch.enumerated() { mutation.finish(refused[index]) }
        batch.removeAll()
    }

    private func refusalOfCreates(
        _ writer: StoreWriter, _ transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> StoreFailure? {
        let disk = headRoom.disk
        if disk.isFull { return .diskFull(directory: environment.directory) }
        if let directory = disk.fullLogDirectory { return .diskFull(directory: directory) }
        return try writer.isFull(in: transaction)
            ? .full(usedPercent: try writer.room(in: transaction).usedPercent) : nil
    }

    /// The map or the disk had no room for the transaction: refuse its creates and run the rest again. If only
    /// revocations are left, run half of them: a smaller transaction copies fewer pages. A single revocation that does
    /// not fit waits briefly for the snapshot that holds the free pages, and is refused if that persists; nothing of it
    /// was acknowledged.
    private func retryWithLess(
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

    /// Makes free pages usable: those held by a snapshot, by waiting until it is released; and those freed by the last
    /// commit, which become usable only after another commit, by a commit that needs few pages. False when neither
    /// helped.
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

    /// Long enough for a backup, which checks after each piece whether the writer waits for it.
    private static let waitMilliseconds = 2_000

    private func fatal(_ unfinished: [Mutation], _ failure: StoreFailure) -> Attempt {
        interning.aborted()
        // First: whoever is told that the outcome is unknown must find that the store accepts no more writes.
        fail(failure)
        refuse(unfinished, failure)
        return .fatal
    }

    /// The store is about to be closed: nothing that takes long is begun or continued.
    func prepareToClose() { closing.store(true, ordering: .relaxed) }

    var isClosing: Bool { closing.load(ordering: .relaxed) }

    /// Releases the log, when nothing more is written.
    func close() { writer.withLock { $0.log?.close() } }

    /// Accepts no more writes, and tells the process once.
    func fail(_ failure: StoreFailure) {
        if !failed.exchange(true, ordering: .acquiringAndReleasing) { onFatal(failure) }
    }

    func refuse(_ mutations: [Mutation], _ failure: StoreFailure) {
        for mutation in mutations { mutation.finish(failure) }
    }
}

extension StoreFailure {
    /// Whether it means that the log did not take a transaction.
    fileprivate var isRefusalOfLog: Bool {
        switch self {
        case .diskFull, .writeFailed, .log(.tooLong), .shared: true
        default: false
        }
    }
}
