import CredentialDigest
import CredentialModel
import Glibc

#if COUNTERSIGN_PROOF
    import CMachine
#endif
import LMDB
import RecordCache
import Synchronization

// The writer of a store that shares its log with other nodes (see `SharedLog`).
//
// After an append that held only the commit is left. If that fails, the process ends: the entry is in the log, and the
// store gets it from there when it is opened again. While the log cannot be reached, the transaction stays open, because
// the entry may be appended at any time; readers do not notice. Callers do not wait for it longer than `patience`.

/// The writer's side of a shared log. Used on the writer thread only.
final class SharedCommit {
    /// Another node has appended first.
    struct Lost: Error {}

    let log: any SharedLog
    private let origin: UInt64
    private let lookup: TagKey
    /// Identifies this opening of the store.
    private let writer = UInt64.random(in: 1...UInt64.max)
    /// Of the store.
    private(set) var position: LogPosition
    /// The last entry is in the log, and its transaction is not committed yet.
    private(set) var isHeld = false
    /// Whether that entry must be confirmed by other nodes.
    private(set) var isDecisive = false
    /// Of the last entry. Time does not go back in the log, whoever writes it.
    private(set) var lastTime = UnixSeconds.always
    /// When this node had it.
    private var lastTimeAt = ContinuousClock.now
    private var turns: WritersTurns
    let keys: KeysInUse
    /// The store uses a pepper that this node's file lacks; looked for again after this time.
    var lacksPepperUntil: ContinuousClock.Instant?

    /// After this time, callers are told that the outcome is not known.
    static let patience = Duration.seconds(10)
    /// After this time, callers are told that nothing was done, where that is certain. An engine that elects a new leader
    /// is back before, also on a busy machine and when the first vote is split.
    static let patienceOfOthers = Duration.seconds(6)
    /// Most bytes of an entry: it waits in front of every revocation that comes after it, and an engine takes no more.
    static let entryBytesMax = 1 << 20

    init(log: any SharedLog, position: LogPosition, origin: UInt64, lookup: TagKey, keys: KeysInUse) {
        self.log = log
        self.keys = keys
        self.position = position
        self.origin = origin
        self.lookup = lookup
        turns = WritersTurns(own: writer)
    }

    /// Appends the transaction's operations, or proves that the state in which it did nothing is the newest. Only the
    /// commit is left when this returns.
    /// - Parameters:
    ///   - isOwn: whether no mutation concerns other nodes.
    ///   - isWanted: whether somebody wants to know when every node has it, although nothing is taken away.
    ///   - undecided: called from time to time while the outcome is not known, with the time since the beginning.
    /// - Throws: ``Lost``, ``StoreFailure/shared(_:)``, ``LogFailure/tooLong``: the transaction must be given up.
    func append(
        _ writer: StoreWriter, isOwn: Bool, isWanted: Bool, in transaction: borrowing WriteTransaction,
        undecided: (Duration) -> Void
    ) throws {
        isDecisive = false
        let operations = writer.recordedBytes
        guard !operations.isEmpty else { return isOwn ? () : try settle(undecided) { log.prove() } }
        try requireClock(at: writer.now)
        let entry = try LogEntry(
            .transaction, operations, after: position,
            by: LogEntry.Author(writer: self.writer, time: writer.now, mark: writer.mark ?? .always),
            // As the transaction leaves it: the entry that raises it is of the new level.
            level: try MetaTable(writer.schema).logLevel(in: transaction),
            wantsConfirmation: writer.publication.endsSomething || isWanted, origin: origin, lookup: lookup)
        guard entry.bytes.count <= Self.entryBytesMax else { throw StoreFailure.log(.tooLong) }
        // Before the append: behind it, nothing may fail but the commit itself.
        try writer.setLogPosition(entry.position, in: transaction)
        let begun = ContinuousClock.now
        try settle(undecided) { log.append(entry) }
        turns.noteAppend(.now - begun)
        #if COUNTERSIGN_PROOF
            // The hardest moment: other nodes have the entry, and this one's store has not.
            if cs_is_broken(cs_survive_until_commit) != 0, entry.position.number % 20 == 0 { cs_die() }
        #endif
        isHeld = true
        isDecisive = entry.wantsConfirmation
        note(entry, notAfter: .never)
    }

    /// Refuses what would make the fleet's time that of a clock which is far ahead: time does not go back in the log.
    private func requireClock(at now: UnixSeconds) throws(StoreFailure) {
        guard let known = fleetTime(), now.rawValue - known > Self.clockSecondsMax else { return }
        throw .shared(.clockAhead(seconds: now.rawValue - known))
    }

    /// What the fleet's clocks show now, in seconds since 1970-01-01; nil while nothing is known of them.
    private func fleetTime() -> Int64? {
        let others = log.clockOfOthers()
        guard lastTime > .always else { return others }
        return max(others ?? .min, lastTime.rawValue + (ContinuousClock.now - lastTimeAt).components.seconds)
    }

    /// The time that a restart of this store may rely on, as far as the fleet agrees: a clock that was far ahead at one
    /// start must not be so for good.
    /// - Parameter own: what this node's clock says.
    /// - Returns: nil while nothing is known of the fleet's clocks.
    func mark(_ own: UnixSeconds) -> UnixSeconds? {
        fleetTime().map { min(own, UnixSeconds($0).adding(Self.clockSecondsMax)) }
    }

    private func settle(_ undecided: (Duration) -> Void, _ ask: () -> SharedLogOutcome) throws {
        let begun = ContinuousClock.now
        var outcome = ask()
        while outcome == .undecided {
            undecided(.now - begun)
            outcome = log.outcome()
        }
        switch outcome {
        case .held, .undecided: return
        case .lost: throw Lost()
        case .refused(let failure): throw StoreFailure.shared(failure)
        }
    }

    func committed() { isHeld = false }

    /// The store has an entry.
    /// - Parameter limit: a later time than this is not believed.
    func note(_ entry: LogEntry, notAfter limit: UnixSeconds) {
        position = entry.position
        // One node's clock that is far ahead must not become the time of all.
        if entry.time > limit {
            log.foundClockAhead()
        } else if entry.time >= lastTime {
            (lastTime, lastTimeAt) = (entry.time, .now)
        }
        turns.note(entry.author.writer, at: .now)
    }

    /// Applies an entry of another node.
    /// - Parameter limit: a later time than this does not become the one that a restart relies on.
    func apply(
        _ entry: LogEntry, to writer: StoreWriter, notAfter limit: UnixSeconds,
        in transaction: borrowing WriteTransaction
    ) throws {
        try writer.replay(entry, origin: origin, lookup: lookup, notAfter: limit, in: transaction)
    }

    /// How far the clocks of two nodes may be apart, as far as anything is believed of them.
    static let clockSecondsMax: Int64 = 60

    /// When a batch of nothing but creates may be sent.
    var turn: ContinuousClock.Instant { turns.own }
    /// The longest that one waits for its turn.
    var turnWaitMax: Duration { turns.waitMax }
}

/// Whose turn it is among nodes that create without a pause.
///
/// If all of them sent as soon as they could, most comparisons would be lost, and revocations would wait for all of them:
/// of five such nodes, four in five appends were lost. So a batch of nothing but creates is sent in an order that every node
/// sees in the log: after each entry it is the turn of the writer whose number follows on that of its author, and a while
/// later, if that one has nothing to write, of the one after it. It is only a habit: whoever knows another order loses
/// a comparison.
struct WritersTurns {
    private let writer: UInt64
    /// The writers of the last entries.
    private var recent: [UInt64] = []
    private var lastEntry = ContinuousClock.now
    /// How long an append takes.
    private var appendTime = Duration.milliseconds(2)

    private static let recentMax = 32
    private static let appendTimeMax = Duration.milliseconds(200)

    init(own writer: UInt64) { self.writer = writer }

    mutating func note(_ writer: UInt64, at now: ContinuousClock.Instant) {
        recent.append(writer)
        if recent.count > Self.recentMax { recent.removeFirst() }
        lastEntry = now
    }

    mutating func noteAppend(_ taken: Duration) {
        appendTime = (appendTime * 7 + min(taken, Self.appendTimeMax)) / 8
    }

    /// For how long a turn lasts that nobody takes: the entry of the one before must have arrived.
    private var slot: Duration { appendTime * 2 }

    /// When this node's turn begins, if nobody before it takes theirs.
    var own: ContinuousClock.Instant {
        let writers = Set(recent).union([writer]).sorted()
        guard writers.count > 1, let last = recent.last, let before = writers.firstIndex(of: last),
            let own = writers.firstIndex(of: writer)
        else { return lastEntry }
        let place = own > before ? own - before : own + writers.count - before
        return lastEntry + appendTime / 2 + slot * (place - 1)
    }

    var waitMax: Duration { min(slot * (2 * Set(recent).count), Self.waitMax) }

    /// Callers wait meanwhile.
    private static let waitMax = Duration.milliseconds(250)
}

extension GroupCommit {
    /// Refuses all writes until the store has joined its fleet.
    func awaitLog() { writer.withLock { $0.isOfFleet = true } }

    /// Makes the store one of a node.
    func join(_ shared: SharedCommit) { writer.withLock { $0.shared = shared } }

    /// When a batch that begins now no longer waits for its turn.
    func turnEnd() -> ContinuousClock.Instant {
        ContinuousClock.now + (writer.withLock { $0.shared?.turnWaitMax } ?? .zero)
    }

    /// Waits for its turn with a batch that only creates, as long as nothing else arrives.
    /// - Parameters:
    ///   - postponed: what waits behind it.
    ///   - end: when it waits no longer.
    func paced(
        _ batch: [Mutation], _ postponed: [Mutation] = [], until end: ContinuousClock.Instant,
        _ queued: () -> [Mutation]
    ) -> [Mutation] {
        guard let shared = writer.withLock({ $0.shared }), batch.contains(where: { $0.reach != .own }),
            postponed.allSatisfy(\.creates)
        else { return batch }
        var batch = batch
        while .now < min(shared.turn, end), batch.allSatisfy(\.creates) {
            usleep(Self.turnPollMicroseconds)
            // Others may wait until this node has their entries.
            takeArrived()
            batch += queued()
        }
        return batch
    }

    private static let turnPollMicroseconds: UInt32 = 300

    /// Applies the entries of other nodes that have arrived.
    func takeArrived() {
        guard let shared = writer.withLock({ $0.shared }) else { return }
        if let time = shared.lacksPepperUntil, time < .now { try? learnKeys(shared) }
        while !hasFailed {
            let entries = shared.log.arrived()
            guard !entries.isEmpty else { return }
            do throws(StoreFailure) {
                var rest = entries[...]
                while !rest.isEmpty { rest = rest.dropFirst(try apply(rest, shared)) }
            } catch {
                interning.aborted()
                // Whoever reads the log again from the last commit gets them once more.
                if case .lmdb = error { fail(error) }
                if case .outcomeUnknown = error { fail(error) }
                return shared.log.cannotApply(error)
            }
        }
    }

    /// Applies entries in one commit; in a full map fewer of them, which copy fewer pages.
    /// - Returns: how many. None behind one that begins a comparison, which is of the store without them.
    private func apply(_ entries: ArraySlice<LogEntry>, _ shared: SharedCommit) throws(StoreFailure) -> Int {
        let limit = clock.now().adding(SharedCommit.clockSecondsMax)
        do throws(StoreFailure) {
            let commit = try convertingErrors { () throws in
                try writer.withLock { box in
                    let writer = box.writer
                    return try environment.write { transaction in
                        var learned = Publication()
                        var count = 0
                        for entry in entries where learned.comparison == nil {
                            try shared.apply(entry, to: writer, notAfter: limit, in: transaction)
                            learned.add(writer.publication)
                            count += 1
                        }
                        headRoom.room = try writer.room(in: transaction)
                        interning.publish()
                        return (learned, count)
                    }
                }
            }
            interning.committed()
            let (learned, count) = commit.value
            let applied = entries.prefix(count)
            for entry in applied { shared.note(entry, notAfter: limit) }
            if learned.changesKeys { try learnKeys(shared) }
            published.apply(learned, transaction: commit.transactionID, peppers: peppers)
            published.cache.grow(for: headRoom.room.records)
            shared.log.applied(
                shared.position, wantsConfirmation: applied.contains(where: \.wantsConfirmation), isOwn: false)
            if let comparison = learned.comparison { compare(comparison, shared) }
            return count
        } catch {
            guard error == .lmdb(.mapFull), entries.count > 1 else { throw error }
            interning.aborted()
            return try apply(entries.prefix(entries.count / 2), shared)
        }
    }

    /// Learns which peppers and schemes other nodes have begun or ceased to use.
    private func learnKeys(_ shared: SharedCommit) throws(StoreFailure) {
        let hasPeppers = try convertingErrors { () throws in
            try environment.read { transaction in
                try shared.keys.learnSchemes(in: transaction)
                try shared.keys.forgetPeppers(in: transaction)
                return try shared.keys.learnPeppers(in: transaction)
            }
        }
        shared.lacksPepperUntil = hasPeppers ? nil : .now + .seconds(1)
    }

    /// Takes the mutations that must be known everywhere out of a batch, in which nobody waits for them any more.
    func takeUnconfirmed(_ batch: inout [Mutation], _ places: Set<Int>) -> [Mutation] {
        // Those who were told already, that the outcome is not known, are gone.
        let places = places.filter(batch.indices.contains)
        let mutations = places.map { batch[$0] }
        for place in places { batch[place] = batch[place].withoutFinish }
        return mutations
    }

    /// Hands mutations to the log, which finishes them when every node has them.
    func confirm(_ mutations: [Mutation], _ shared: SharedCommit, _ queued: () -> [Mutation]) {
        guard !mutations.isEmpty else { return }
        let finish: @Sendable (SharedLogFailure?) -> Void = { failure in
            for mutation in mutations { mutation.finish(failure.map { StoreFailure.shared($0) }) }
        }
        #if COUNTERSIGN_PROOF
            // Broken on purpose: deploy/proofs/fleet-faults must notice.
            if cs_is_broken(cs_acknowledge_before_confirmation) != 0 { return finish(nil) }
        #endif
        let begun = ContinuousClock.now
        while !shared.log.confirm(finish) {
            // The records of the other nodes must be read behind the append, and its reply was lost.
            var outcome = shared.log.prove()
            var isTold = false
            while outcome == .undecided {
                let wait = ContinuousClock.now - begun
                if wait >= SharedCommit.patienceOfOthers { refuse(queued(), .shared(.away)) }
                if !isTold, wait >= SharedCommit.patience {
                    finish(.unconfirmed(nodes: []))
                    isTold = true
                }
                outcome = shared.log.outcome()
            }
            if isTold { return }
            switch outcome {
            case .held, .undecided: continue
            case .lost: takeArrived()
            case .refused: return finish(.unconfirmed(nodes: []))
            }
        }
    }
}
