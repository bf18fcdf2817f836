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
        case stop(ClusterStop)
    }

    public let node: UInt64
    /// For people.
    let name: String
    let times: ClusterTimes
    let isPausable: Bool

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
    private var renewal: Renewal?
    /// Something is to be told that the renewal under way does not say.
    private var mustRenewAgain = false
    /// A lease that begins when the store has what its renewal saw.
    private var pendingLease: (end: UInt64, needs: LogPosition)?
    private var nextRenewal: UInt64 = 0
    private var catchingUp: (tag: UInt64, sent: UInt64)?
    private var proposal: Proposal?
    private var waits: [Wait] = []
    private var recordsAsked: (tag: UInt64, sent: UInt64)?
    private var nextRecords: UInt64 = 0
    /// When each record was first seen as it is.
    private var seen: [UInt64: (revision: UInt64, since: UInt64)] = [:]

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

    private struct Wait {
        let ticket: UInt64
        let position: LogPosition
        /// Nodes that have not confirmed yet, and whether their clock proves anything.
        var missing: [UInt64: Bool]
        let revision: UInt64
        let end: UInt64
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
    }

    /// Whether a verification may be answered. The time must be read after the verification's bytes have arrived.
    public func isFresh(at now: UInt64) -> Bool { now < leaseEnd && stopped == nil }

    /// Whether ``tick(at:)`` should be called often: somebody waits for what other nodes say.
    public var isWaiting: Bool { !waits.isEmpty }

    /// Whether a mutation may be decided: the store has everything that the node knows of.
    public var mayPropose: Bool { proposal == nil && handed == applied && stopped == nil }

    // MARK: Time

    /// Does what is due. Call it often enough: at least every ten milliseconds while something is waited for.
    public mutating func tick(at now: UInt64) -> [Action] {
        guard stopped == nil else { return [] }
        var actions: [Action] = []
        if now >= nextRenewal { renew(at: now, &actions) }
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
        return actions
    }

    private mutating func newTag() -> UInt64 {
        lastTag += 1
        return lastTag
    }

    // MARK: Lease

    private mutating func renew(at now: UInt64, _ actions: inout [Action]) {
        // One after the other: of two that are under way, the older one could be the last to be executed, and the others
        // would wait for what this node has said already.
        if let sent = renewal, now < sent.sent + times.retry {
            mustRenewAgain = true
            return
        }
        mustRenewAgain = false
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
        if wantsConfirmation, !isOwn { renew(at: now, &actions) }
        return actions
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

    /// The records that the last transaction of the writer read, and when its reply came.
    private var lastRecords: (records: RecordList, at: UInt64)?

    /// Waits until every node has what this one has and what takes something away, or cannot answer any more. Call it
    /// after the outcome, when this node's own readers have the change.
    ///
    /// The records must come from a transaction that was ordered behind the change. After an append whose reply was lost
    /// there are none: ``prove(at:)`` first.
    /// - Returns: nil without such records.
    public mutating func confirm(_ ticket: UInt64, at now: UInt64) -> [Action]? {
        guard let (list, time) = lastRecords else { return nil }
        lastRecords = nil
        var missing: [UInt64: Bool] = [:]
        var end = time
        for (other, stored) in list.records where other != node {
            let theirs = stored.record.applied
            // It said so before, for an earlier caller.
            if theirs.epoch == decisive.epoch, theirs.number > decisive.number || theirs == decisive { continue }
            missing[other] = stored.record.endsWithTime
            if stored.record.endsWithTime { end = max(end, time + fence(of: stored.record)) }
        }
        end = max(end, time + times.fence)
        waits.append(
            Wait(ticket: ticket, position: decisive, missing: missing, revision: list.revision, end: end))
        nextRecords = now
        var actions: [Action] = []
        endWaits(at: now, &actions)
        return actions
    }

    /// After this time, no lease can be left that a node had when it wrote this record, if it ends with time.
    private func fence(of record: NodeRecord) -> UInt64 {
        record.leaseNanoseconds <= times.lease
            ? times.fence : ClusterTimes(lease: record.leaseNanoseconds, margin: times.margin).fence
    }

    private mutating func endWaits(at now: UInt64, _ actions: inout [Action]) {
        for wait in waits where wait.missing.isEmpty || now >= wait.end {
            let unconfirmed = Set(wait.missing.filter { !$0.value }.keys)
            let acknowledgement = Acknowledgement(isEverywhere: unconfirmed.isEmpty, unconfirmed: unconfirmed)
            actions.append(.acknowledge(ticket: wait.ticket, acknowledgement))
        }
        waits.removeAll { $0.missing.isEmpty || now >= $0.end }
    }

    private mutating func askForRecords(at now: UInt64, _ actions: inout [Action]) {
        // Often while somebody waits; else only to find records of nodes that are gone.
        nextRecords = now + (waits.isEmpty ? times.renewal : times.poll)
        if let asked = recordsAsked, now < asked.sent + times.retry { return }
        let tag = newTag()
        recordsAsked = (tag, now)
        actions.append(.send(.records, tag: tag))
    }

    private mutating func learn(_ list: RecordList, at now: UInt64, _ actions: inout [Action]) {
        for index in waits.indices {
            // An older list may lack a record that is there.
            guard list.revision >= waits[index].revision else { continue }
            for other in waits[index].missing.keys {
                guard let stored = list.records[other] else {
                    // Removed: its lease was over.
                    waits[index].missing[other] = nil
                    continue
                }
                let (theirs, ours) = (stored.record.applied, waits[index].position)
                guard theirs.epoch == ours.epoch, theirs.number >= ours.number else { continue }
                if theirs.number == ours.number, theirs.hash != ours.hash { return stop(.engineLostHistory, &actions) }
                waits[index].missing[other] = nil
            }
        }
        endWaits(at: now, &actions)
        var still: [UInt64: (revision: UInt64, since: UInt64)] = [:]
        // In one order, so that the same inputs give the same actions.
        for (other, stored) in list.records.sorted(by: { $0.key < $1.key }) where other != node {
            let before = seen[other]
            let since = before?.revision == stored.revision ? before?.since ?? now : now
            still[other] = (stored.revision, since)
            // A node whose clock may have stood still is removed by people only.
            guard stored.record.endsWithTime else { continue }
            if now >= since + fence(of: stored.record) - times.fence + times.removal {
                actions.append(.send(.removeRecord(other, revision: stored.revision), tag: newTag()))
            }
        }
        seen = still
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
        return tick(at: now)
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
            if mustRenewAgain, stopped == nil { renew(at: now, &actions) }
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
        waits = []
        actions.append(.stop(reason))
    }
}
