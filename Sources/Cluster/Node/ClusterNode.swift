public import CredentialStore

// One node of a fleet, as a state machine: requests, replies, entries and the time go in, and what is to be done comes
// out. It performs nothing itself, so that the simulation runs the code that a node runs.
//
// ## The claim
//
// When a change has been acknowledged `everywhere`, no verification that starts later, on any node, is decided without
// it: each node has the change, or refuses to answer.
//
// ## Why it holds
//
// A node answers only while it has a *lease*: a time on its own boot clock. It gets one by a renewal, a transaction that
// puts its record and reads `head`. All transactions have one order. Let p be the place of the renewal in it: the lease
// lasts until the *sending* of the renewal plus D, and is not used before the node's readers have all entries up to the
// `head` that was read at p.
//
// Let a be the place of the append, which also reads all records, and T the time at which its author had the reply.
// Take a verification after the acknowledgement, under a lease that was got at p.
//
//   - *Renewed later* (p > a): `head` at p has the entry, so the node's readers have it.
//   - *Renewed earlier* (p < a): the node's record was there at a, so the author waited for it. Either the node said in
//     a later record that it has the entry; or the author waited until no lease from before a can be left: the renewal
//     was sent before p < a, so before T, and the author's clock has since gone on by D and what clocks may differ.
//
// A record is removed only by a comparison with the revision at which it was last seen, when that was longer ago than a
// lease can last. A renewal that is repeated late changes a record, but nobody uses its reply. Neither the clocks of two
// machines, nor the engine's clock or plain reads, nor a list of nodes kept by people is relied on.
//
// The clock of some virtual machines stands still while they are paused. The lease of such a node is not over when time
// has passed, so it is never waited for with time alone: it confirms, or the acknowledgement names it. Therefore it joins
// by an entry, and not by its record only: an engine that is put back to an older state loses records, and a log that is
// begun anew must know of every such node until its next start.
//
// A node that has never heard of a credential may lack what was acknowledged a moment ago elsewhere, whatever its lease. So
// before it says "unknown", it passes a barrier: a transaction that writes nothing and yet has its place in the order,
// and reads `head`. When the store has that, it has everything that was acknowledged before the barrier was sent.
//
// One history: an append compares `head` with the position at which its mutations were decided, hash included. So an
// entry follows only on what its author had, and what was decided on older state is decided again.

public struct ClusterNode<Entry: ClusterEntry>: Sendable {
    public enum Action: Sendable {
        case send(EngineRequest<Entry>, tag: UInt64)
        /// Apply these entries in order, then say ``applied(_:at:)``.
        case apply([Entry])
        /// The outcome of ``propose(_:at:)`` or ``prove(at:)``.
        case settle(ClusterOutcome)
        /// The outcome of ``confirm(_:at:)``.
        case acknowledge(ticket: UInt64, Acknowledgement)
        /// The outcome of ``passBarrier(at:)``.
        case passed(Bool)
        case stop(ClusterStop)
    }

    public let node: UInt64
    /// For people.
    let name: String
    let times: ClusterTimes
    let isPausable: Bool
    /// Whether the log says that a node with such a clock takes part.
    private var isAnnounced: Bool

    /// What the store and all its readers have.
    public private(set) var applied: LogPosition
    /// What was given to the store to apply.
    public private(set) var handed: LogPosition
    /// At or behind the last entry that takes something away, as far as the store has it.
    private var decisive: LogPosition
    public private(set) var stopped: ClusterStop?
    /// Until when it may answer, on its boot clock; 0 for never.
    public private(set) var leaseEnd: UInt64 = 0

    private var lastTag: UInt64 = 0
    private var barrier: ReadBarrier?
    private var renewal: Renewal?
    /// Something is to be told that the renewal under way does not say.
    private var mustRenewAgain = false
    /// A lease that begins when the store has what its renewal saw.
    private var pendingLease: (end: UInt64, needs: LogPosition)?
    private var nextRenewal: UInt64 = 0
    private var lastRenewal: UInt64 = 0
    /// Others may wait for what this node has, and were told something a moment ago.
    private var owesConfirmation = false
    /// Nodes with a record, as of the last list.
    private var nodeCount = 0
    private var catchingUp: (tag: UInt64, sent: UInt64)?
    private var proposal: Proposal?
    /// Who waits for what other nodes say, and what they have said.
    private var confirmations = Confirmations()
    private var recordsAsked: (tag: UInt64, sent: UInt64)?
    private var nextRecords: UInt64 = 0
    /// The records that the last transaction of the writer read, and when its reply came.
    private var lastRecords: (records: RecordList, at: UInt64)?

    private struct Renewal {
        let tag: UInt64
        let sent: UInt64
        /// What was applied when it was sent: the engine must not know less.
        let applied: LogPosition
    }

    private struct Proposal {
        var tag: UInt64
        var sent: UInt64
        let entry: Entry?
        let expecting: LogPosition
    }

    /// - Parameter applied: the position of the store.
    public init(
        node: UInt64, name: String = "", applied: LogPosition, times: ClusterTimes, isPausable: Bool = false
    ) {
        self.node = node
        self.name = name
        self.applied = applied
        handed = applied
        decisive = applied
        self.times = times
        self.isPausable = isPausable
        isAnnounced = !isPausable
    }

    /// The log has the entry by which this node joins. A node whose clock may stand still answers nothing before.
    public mutating func announced() { isAnnounced = true }

    /// Whether a verification may be answered. The time must be read after the verification's bytes have arrived.
    public func isFresh(at now: UInt64) -> Bool { now < leaseEnd && stopped == nil }

    /// Whether ``tick(at:)`` should be called often: somebody waits for what other nodes say, or for what this one says.
    public var isWaiting: Bool { !confirmations.isEmpty || owesConfirmation }

    /// Whether a mutation may be decided: the store has everything that the node knows of.
    public var mayPropose: Bool { proposal == nil && handed == applied && stopped == nil }

    // MARK: Time

    /// Does what is due. Call it often enough: at least every ten milliseconds while something is waited for.
    public mutating func tick(at now: UInt64) -> [Action] {
        guard stopped == nil else { return [] }
        var actions: [Action] = []
        if now >= nextRenewal { renew(at: now, &actions) }
        if owesConfirmation { tellOthers(at: now, &actions) }
        if let asked = catchingUp, now >= asked.sent + times.retry { catchUp(at: now, again: true, &actions) }
        if var waiting = proposal, now >= waiting.sent + times.retry {
            waiting.tag = newTag()
            waiting.sent = now
            proposal = waiting
            // The same bytes: another entry for the same place could be done beside the first one.
            actions.append(.send(request(of: waiting), tag: waiting.tag))
        }
        if now >= nextRecords { askForRecords(at: now, &actions) }
        endWaits(at: now, &actions)
        if let end = barrier?.end, now >= end { endBarrier(false, &actions) }
        return actions
    }

    private mutating func newTag() -> UInt64 {
        lastTag += 1
        return lastTag
    }

    // MARK: Lease

    /// Tells the others what this node has, because some may wait for it. In a storm of revocations all nodes do this at
    /// once, so each does it only so often.
    private mutating func tellOthers(at now: UInt64, _ actions: inout [Action]) {
        owesConfirmation = now < lastRenewal + times.pace(ofNodes: nodeCount)
        if !owesConfirmation { renew(at: now, &actions) }
    }

    private mutating func renew(at now: UInt64, _ actions: inout [Action]) {
        // One after the other: of two that are under way, the older one could be the last to be executed, and the others
        // would wait for what this node has said already.
        if let sent = renewal, now < sent.sent + times.retry {
            mustRenewAgain = true
            return
        }
        (mustRenewAgain, owesConfirmation, lastRenewal) = (false, false, now)
        let tag = newTag()
        // The time before it is sent: whatever it reads was so at a later time.
        renewal = Renewal(tag: tag, sent: now, applied: applied)
        nextRenewal = now + times.renewal
        let record = NodeRecord(
            node: node, name: name, applied: applied, leaseNanoseconds: times.lease, isPausable: isPausable)
        actions.append(.send(.renew(record), tag: tag))
    }

    private mutating func renewed(_ head: LogHead, _ renewal: Renewal, at now: UInt64, _ actions: inout [Action]) {
        guard head.position.epoch == renewal.applied.epoch else { return stop(.otherEpoch, &actions) }
        let isForked = head.position.number == renewal.applied.number && head.position.hash != renewal.applied.hash
        if head.position.number < renewal.applied.number || isForked { return stop(.engineLostHistory, &actions) }
        // A sealed log grows no more, and a new one may grow already.
        guard !head.isSealed else { return }
        guard isAnnounced else {
            if head.position.number > handed.number { catchUp(at: now, again: false, &actions) }
            return
        }
        pendingLease = (renewal.sent + times.lease, head.position)
        extendLease()
        if head.position.number > handed.number { catchUp(at: now, again: false, &actions) }
    }

    private mutating func extendLease() {
        guard let pending = pendingLease, applied.number >= pending.needs.number else { return }
        leaseEnd = max(leaseEnd, pending.end)
        pendingLease = nil
    }

    // MARK: Entries

    private mutating func catchUp(at now: UInt64, again: Bool, _ actions: inout [Action]) {
        guard catchingUp == nil || again else { return }
        let tag = newTag()
        catchingUp = (tag, now)
        actions.append(.send(.entries(after: handed), tag: tag))
    }

    /// Entries from a watch. They may be late, repeated or have gaps.
    /// - Parameter entries: none: the watch begins, and what was appended before is not in it.
    public mutating func watched(_ entries: [Entry], at now: UInt64) -> [Action] {
        guard stopped == nil else { return [] }
        var actions: [Action] = []
        if entries.isEmpty { catchUp(at: now, again: true, &actions) }
        take(entries, at: now, &actions)
        return actions
    }

    private mutating func take(_ entries: [Entry], at now: UInt64, _ actions: inout [Action]) {
        var next: [Entry] = []
        var isGap = false
        for entry in entries {
            let position = entry.position
            guard position.epoch == handed.epoch else { continue }
            if position.number == handed.number, position.hash != handed.hash {
                return stop(.engineLostHistory, &actions)
            }
            guard position.number > handed.number else { continue }
            guard position.number == handed.number + 1 else {
                isGap = true
                break
            }
            guard entry.previousHash == handed.hash else { return stop(.engineLostHistory, &actions) }
            if let waiting = proposal {
                // It stands where the proposal would: it is the proposal, or came before it.
                let isOwn = waiting.entry?.batch == entry.batch
                proposal = nil
                actions.append(.settle(isOwn ? .won : .lost))
                handed = position
                if isOwn { continue }
            }
            handed = position
            next.append(entry)
        }
        if !next.isEmpty { actions.append(.apply(next)) }
        if isGap { catchUp(at: now, again: false, &actions) }
    }

    /// The store and all its readers have everything up to a position.
    /// - Parameters:
    ///   - wantsConfirmation: whether any of the entries since the last call takes something away, so that its author may
    ///     wait for this.
    ///   - isOwn: whether this node is that author.
    public mutating func applied(
        _ position: LogPosition, wantsConfirmation: Bool, isOwn: Bool = false, at now: UInt64
    ) -> [Action] {
        guard stopped == nil else { return [] }
        applied = position
        if wantsConfirmation { decisive = position }
        extendLease()
        var actions: [Action] = []
        endBarrierIfReached(&actions)
        if wantsConfirmation, !isOwn { tellOthers(at: now, &actions) }
        return actions
    }

    // MARK: Reading

    /// Makes sure that the store has everything that was acknowledged before this call. One at a time.
    public mutating func passBarrier(at now: UInt64) -> [Action] {
        guard stopped == nil, barrier == nil else { return [.passed(false)] }
        let tag = newTag()
        barrier = ReadBarrier(tag: tag, asked: handed, end: now + times.barrier)
        return [.send(.prove(handed), tag: tag)]
    }

    private mutating func barrierReplied(
        _ reply: EngineReply<Entry>, _ asked: ReadBarrier, at now: UInt64, _ actions: inout [Action]
    ) {
        switch reply {
        case .held: barrier?.needs = asked.asked.number
        case .moved(let head, let page):
            guard head.position.epoch == handed.epoch else { return stop(.otherEpoch, &actions) }
            guard head.position.number >= asked.asked.number else { return stop(.engineLostHistory, &actions) }
            // A sealed log grows no more, and a new one may grow already.
            guard !head.isSealed else { return endBarrier(false, &actions) }
            if page.first > asked.asked.number + 1, head.position.number > asked.asked.number {
                return stop(.behind, &actions)
            }
            barrier?.needs = head.position.number
            take(page.entries, at: now, &actions)
            if stopped == nil, head.position.number > handed.number { catchUp(at: now, again: false, &actions) }
        case .renewed, .entries, .records: return
        }
        endBarrierIfReached(&actions)
    }

    private mutating func endBarrierIfReached(_ actions: inout [Action]) {
        if let needs = barrier?.needs, applied.number >= needs { endBarrier(true, &actions) }
    }

    private mutating func endBarrier(_ isPassed: Bool, _ actions: inout [Action]) {
        guard barrier != nil else { return }
        barrier = nil
        actions.append(.passed(isPassed))
    }

    // MARK: Writing

    /// Sends an entry that was decided at ``applied``. The writer waits for the outcome, with its transaction open.
    ///
    /// After ``ClusterOutcome/won`` it commits, tells its readers, and says ``applied(_:wantsConfirmation:at:)``.
    public mutating func propose(_ entry: Entry, at now: UInt64) -> [Action] { begin(entry, at: now) }

    /// Proves that ``applied`` is the newest state, for an answer that changes nothing.
    public mutating func prove(at now: UInt64) -> [Action] { begin(nil, at: now) }

    private mutating func begin(_ entry: Entry?, at now: UInt64) -> [Action] {
        guard mayPropose else { return [.settle(.lost)] }
        // Those of an earlier transaction say nothing about this one.
        lastRecords = nil
        let begun = Proposal(tag: newTag(), sent: now, entry: entry, expecting: applied)
        proposal = begun
        return [.send(request(of: begun), tag: begun.tag)]
    }

    private func request(of proposal: Proposal) -> EngineRequest<Entry> {
        if let entry = proposal.entry {
            .append(entry, expecting: proposal.expecting)
        } else {
            .prove(proposal.expecting)
        }
    }

    private mutating func settled(
        _ reply: EngineReply<Entry>, _ waiting: Proposal, at now: UInt64, _ actions: inout [Action]
    ) {
        switch reply {
        case .held(let records):
            proposal = nil
            if let entry = waiting.entry {
                handed = entry.position
                actions.append(.settle(.won))
            } else {
                actions.append(.settle(.proven))
            }
            lastRecords = (records, now)
        case .moved(let head, let page):
            guard head.position.epoch == handed.epoch else { return stop(.otherEpoch, &actions) }
            guard head.position.number >= waiting.expecting.number else { return stop(.engineLostHistory, &actions) }
            if page.first > waiting.expecting.number + 1 {
                // An earlier copy of the entry may have been appended, and removed since.
                return stop(waiting.entry == nil ? .behind : .unknownOutcome, &actions)
            }
            guard page.entries.isEmpty else { return take(page.entries, at: now, &actions) }
            if head.position == waiting.expecting, head.isSealed {
                proposal = nil
                actions.append(.settle(.sealed))
            } else if head.position.number == waiting.expecting.number, head.position.hash != waiting.expecting.hash {
                stop(.engineLostHistory, &actions)
            }
        case .renewed, .entries, .records: break
        }
    }

    // MARK: Acknowledgement

    /// Waits until every node has what this one has and what takes something away, or cannot answer any more. Call it
    /// after the outcome, when this node's own readers have the change.
    ///
    /// The records must come from a transaction that was ordered behind the change. After an append whose reply was lost
    /// there are none: ``prove(at:)`` first.
    /// - Returns: nil without such records.
    public mutating func confirm(_ ticket: UInt64, at now: UInt64) -> [Action]? {
        guard let (list, time) = lastRecords else { return nil }
        lastRecords = nil
        confirmations.begin(ticket, of: decisive, list, readAt: time, by: node, times)
        nextRecords = now
        var actions: [Action] = []
        endWaits(at: now, &actions)
        return actions
    }

    private mutating func endWaits(at now: UInt64, _ actions: inout [Action]) {
        for (ticket, acknowledgement) in confirmations.takeEnded(at: now) {
            actions.append(.acknowledge(ticket: ticket, acknowledgement))
        }
    }

    private mutating func askForRecords(at now: UInt64, _ actions: inout [Action]) {
        // Often while somebody waits; else only to find records of nodes that are gone.
        nextRecords = now + (isWaiting ? times.poll : times.renewal)
        if let asked = recordsAsked, now < asked.sent + times.retry { return }
        let tag = newTag()
        recordsAsked = (tag, now)
        actions.append(.send(.records, tag: tag))
    }

    private mutating func learn(_ list: RecordList, at now: UInt64, _ actions: inout [Action]) {
        nodeCount = list.records.count
        guard confirmations.learn(list) else { return stop(.engineLostHistory, &actions) }
        endWaits(at: now, &actions)
        for (other, revision) in confirmations.gone(list, at: now, except: node, times) {
            actions.append(.send(.removeRecord(other, revision: revision), tag: newTag()))
        }
    }

    /// Stops for a reason that was found elsewhere.
    public mutating func stop(_ reason: ClusterStop) -> [Action] {
        guard stopped == nil else { return [] }
        var actions: [Action] = []
        stop(reason, &actions)
        return actions
    }

    // MARK: Replies

    /// No reply will come. What was asked may have been done all the same, so it is asked again at once.
    public mutating func unanswered(_ tag: UInt64, at now: UInt64) -> [Action] {
        guard stopped == nil else { return [] }
        if proposal?.tag == tag { proposal?.sent = 0 }
        if catchingUp?.tag == tag { catchingUp?.sent = 0 }
        if recordsAsked?.tag == tag { recordsAsked = nil }
        if renewal?.tag == tag { (renewal, nextRenewal) = (nil, now) }
        var actions: [Action] = []
        if barrier?.tag == tag { endBarrier(false, &actions) }
        return actions + tick(at: now)
    }

    /// A reply of the engine. Late and repeated ones are ignored.
    public mutating func received(_ reply: EngineReply<Entry>, tag: UInt64, at now: UInt64) -> [Action] {
        guard stopped == nil else { return [] }
        var actions: [Action] = []
        if let waiting = proposal, waiting.tag == tag {
            settled(reply, waiting, at: now, &actions)
        } else if case .renewed(let head) = reply, let sent = renewal, sent.tag == tag {
            renewal = nil
            renewed(head, sent, at: now, &actions)
            if mustRenewAgain || owesConfirmation, stopped == nil { tellOthers(at: now, &actions) }
        } else if case .entries(let head, let page) = reply, let asked = catchingUp, asked.tag == tag {
            catchingUp = nil
            if head.position.epoch != handed.epoch {
                // A read may be from before the present epoch: only a renewal proves another one.
            } else if page.first > handed.number + 1, head.position.number > handed.number {
                stop(.behind, &actions)
            } else {
                take(page.entries, at: now, &actions)
                if let needs = pendingLease?.needs, needs.number > handed.number {
                    catchUp(at: now, again: false, &actions)
                }
            }
        } else if case .records(let list) = reply, let asked = recordsAsked, asked.tag == tag {
            recordsAsked = nil
            learn(list, at: now, &actions)
        } else if let asked = barrier, asked.tag == tag {
            barrierReplied(reply, asked, at: now, &actions)
        }
        return actions
    }

    #if COUNTERSIGN_PROOF
        /// Broken on purpose: the simulation must notice a lease that is counted from the reply.
        public mutating func pretendRenewalWasSent(at now: UInt64) {
            if let sent = renewal { renewal = Renewal(tag: sent.tag, sent: now, applied: sent.applied) }
        }
    #endif

    private mutating func stop(_ reason: ClusterStop, _ actions: inout [Action]) {
        stopped = reason
        leaseEnd = 0
        proposal = nil
        confirmations = Confirmations()
        endBarrier(false, &actions)
        actions.append(.stop(reason))
    }
}
