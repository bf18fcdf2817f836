import Cluster
import CredentialStore
import ProofSupport

// Nodes that run the protocol's own code, over a model of the engine, in virtual time: whatever can be delayed, lost,
// repeated or out of date is, nodes pause, die and start again, their clocks run differently, the log is trimmed, and
// the engine is put back to an older state. A seed gives the same run again.

struct FleetSimulation {
    private(set) var violations: [String] = []
    private(set) var verifications = 0
    private(set) var acknowledgedEverywhere = 0
    private(set) var acknowledged = 0
    private(set) var lostRaces = 0
    private(set) var bootstraps = 0
    private(set) var reseeds = 0
    private(set) var barriers = 0

    private let mutant: ClusterMutant?
    private var random: Randomness
    private var now: UInt64 = 0
    private var events = EventQueue<Event>()
    private var engine: EngineModel
    /// Earlier states of the engine, for reads that are out of date: the newest last.
    private var history: [(time: UInt64, state: EngineModel)] = []
    private var nodes: [SimulatedNode] = []
    private var nextNode: UInt64 = 1
    private var nextID: UInt32 = 0
    private let times: ClusterTimes
    private var isReseeding = false
    private var lastSnapshot: EngineModel

    /// Ended, and acknowledged to be so everywhere.
    private var endedEverywhere: [UInt32] = []
    /// Acknowledged at all: must be in the log for good.
    private var acknowledgedChanges: [SimulatedChange] = []
    private var redeemedOnce: Set<UInt32> = []
    private var texts: [UInt32: UInt32] = [:]

    private enum Event {
        case tick(Int, start: Int)
        case execute(EngineRequest<SimulatedEntry>, tag: UInt64, from: Int, start: Int)
        case reply(EngineReply<SimulatedEntry>, tag: UInt64, to: Int, start: Int)
        case watch([SimulatedEntry], to: Int, start: Int)
        case applied(Int, start: Int)
        case work(Int)
        case fault
        case restart(Int)
        case trim
        case snapshot
        case restoreEngine
        case openReseeded
    }

    private static let second: UInt64 = 1_000_000_000
    private static let millisecond: UInt64 = 1_000_000

    init(seed: UInt64, nodes count: Int, mutant: ClusterMutant?) {
        self.mutant = mutant
        random = Randomness(seed: seed)
        var times = ClusterTimes(lease: 10 * Self.second)
        if mutant == .noFence { times.fence = times.lease / 20 }
        if mutant == .earlyRemoval { times.removal = Self.second }
        self.times = times
        let beginning = LogPosition(epoch: 1, number: 0, hash: [0, 0, 0, 0, 0, 0, 0, 1])
        engine = EngineModel(beginning, mutant)
        lastSnapshot = engine
        for name in 0..<count {
            let isPausable = Int.random(in: 0..<6, using: &random) == 0
            let node = SimulatedNode(
                name: name, machine(beginning, isPausable), SimulatedStore(position: beginning),
                rate: 1 + Double.random(in: -0.0099...0.0099, using: &random),
                offset: UInt64.random(in: 0...100 * Self.second, using: &random), isPausable: isPausable)
            nodes.append(node)
            at(soon(), .tick(name, start: 0))
            at(soon(), .work(name))
        }
        at(2 * Self.second, .fault)
        at(5 * Self.second, .trim)
        at(3 * Self.second, .snapshot)
        at(UInt64.random(in: 60...300, using: &random) * Self.second, .restoreEngine)
    }

    private mutating func machine(_ position: LogPosition, _ isPausable: Bool) -> ClusterNode<SimulatedEntry> {
        nextNode += 1
        var node = ClusterNode<SimulatedEntry>(
            node: nextNode, applied: position, times: times, isPausable: isPausable)
        // What a log that is begun anew knows of nodes whose clocks may stand still is part of the model.
        node.announced()
        return node
    }

    // MARK: Time and chance

    private mutating func at(_ delay: UInt64, _ event: Event) { events.add(event, at: now + delay) }

    private mutating func soon() -> UInt64 { UInt64.random(in: 1...50 * Self.millisecond, using: &random) }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    /// Mostly short, now and then very long.
    private mutating func delay() -> UInt64 {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<60: UInt64.random(in: 1...3, using: &random) * Self.millisecond
        case 60..<85: UInt64.random(in: 3...50, using: &random) * Self.millisecond
        case 85..<96: UInt64.random(in: 50...3_000, using: &random) * Self.millisecond
        default: UInt64.random(in: 3...25, using: &random) * Self.second
        }
    }

    // MARK: Running

    /// Runs a number of steps: one message, tick or fault each, with verifications on all nodes after it.
    mutating func run(steps: Int) {
        for _ in 0..<steps {
            guard let (time, event) = events.next() else { return }
            now = max(now, time)
            handle(event)
            if history.last.map({ now > $0.time + 100 * Self.millisecond }) ?? true {
                history.append((now, engine))
                if history.count > 100 { history.removeFirst(20) }
            }
            verify()
            if violations.count > 3 { return }
        }
        checkHistories()
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .tick(let name, let start):
            guard let node = awake(name, start, event) else { return }
            perform(node.node.tick(at: node.clock(now)), node)
            decide(node)
            // Each rule is broken by itself, and caught by what depends on it.
            if mutant == nil || mutant == .staleBarrier, chance(20) { passBarrier(node) }
            // Less often when nothing is under way: most steps would otherwise be ticks.
            let isBusy = !node.batch.isEmpty || !node.confirming.isEmpty
            let pause = UInt64.random(in: isBusy ? 10...80 : 100...500, using: &random)
            at(pause * Self.millisecond, .tick(name, start: start))
        case .execute(let request, let tag, let from, let start):
            let replies = chance(3) ? 2 : 1
            var stale = old()
            let isStale = mutant == .staleBarrier && tag == nodes[from].barrier?.tag
            let reply =
                isStale ? stale.execute(request, old: stale, &random) : engine.execute(request, old: stale, &random)
            if case .append(let entry, _) = request, engine.head.position == entry.position { announce(entry) }
            for _ in 0..<replies where !chance(4) { at(delay(), .reply(reply, tag: tag, to: from, start: start)) }
        case .reply(let reply, let tag, let to, let start):
            guard let node = awake(to, start, event), now >= node.deafUntil else { return }
            #if DEBUG
                if mutant == .leaseFromReply, case .renewed = reply {
                    node.node.pretendRenewalWasSent(at: node.clock(now))
                }
            #endif
            perform(node.node.received(reply, tag: tag, at: node.clock(now)), node)
            decide(node)
        case .watch(let entries, let to, let start):
            guard let node = awake(to, start, event), now >= node.cutOffUntil else { return }
            perform(node.node.watched(entries, at: node.clock(now)), node)
        case .applied(let name, let start):
            guard let node = awake(name, start, event), let last = node.isApplying.last else { return }
            for entry in node.isApplying { node.store.apply(entry.changes, entry.position) }
            let wanted = mutant != .forgottenRevocation && node.isApplying.contains(where: \.wantsConfirmation)
            node.isApplying = []
            perform(node.node.applied(last.position, wantsConfirmation: wanted, at: node.clock(now)), node)
            decide(node)
        case .work(let name):
            addWork(nodes[name])
            at(UInt64.random(in: 20...1_500, using: &random) * Self.millisecond, .work(name))
        case .fault:
            fault()
            at(UInt64.random(in: 200...6_000, using: &random) * Self.millisecond, .fault)
        case .restart(let name): restart(nodes[name])
        case .trim:
            engine.trim(keeping: Int.random(in: 3...60, using: &random))
            at(UInt64.random(in: 2...20, using: &random) * Self.second, .trim)
        case .snapshot:
            lastSnapshot = engine
            at(UInt64.random(in: 5...30, using: &random) * Self.second, .snapshot)
        case .restoreEngine: restoreEngine()
        case .openReseeded: reseed()
        }
    }

    /// The node if it can do something now; else the event comes again when it is awake, or is lost with its process.
    private mutating func awake(_ name: Int, _ start: Int, _ event: Event) -> SimulatedNode? {
        let node = nodes[name]
        guard !node.isDead, node.start == start else { return nil }
        guard now >= node.pausedUntil else {
            events.add(event, at: node.pausedUntil + 1)
            return nil
        }
        return node
    }

    private mutating func old() -> EngineModel {
        guard chance(30), let state = history.randomElement(using: &random)?.state else { return engine }
        return state
    }

    private mutating func announce(_ entry: SimulatedEntry) {
        for node in nodes where !chance(12) { at(delay(), .watch([entry], to: node.name, start: node.start)) }
    }

    // MARK: What nodes do

    private mutating func perform(_ actions: [ClusterNode<SimulatedEntry>.Action], _ node: SimulatedNode) {
        let start = node.start
        // What follows on a kill is lost with the process.
        for action in actions where node.start == start {
            switch action {
            case .send(let request, let tag): send(request, tag, node)
            case .apply(let entries):
                if node.isApplying.isEmpty { at(soon(), .applied(node.name, start: node.start)) }
                node.isApplying += entries
                if mutant == .leaseBeforeApply, let last = entries.last {
                    perform(node.node.applied(last.position, wantsConfirmation: false, at: node.clock(now)), node)
                }
            case .settle(let outcome): settle(outcome, node)
            case .acknowledge(let ticket, let acknowledgement):
                for mutation in node.confirming.removeValue(forKey: ticket) ?? [] {
                    if acknowledgement.isEverywhere {
                        acknowledgedEverywhere += 1
                        endedEverywhere.append(mutation.id)
                    }
                }
            case .passed(let isPassed): passed(isPassed, node)
            case .stop: node.needsBootstrap = true
            }
        }
        if node.needsBootstrap, node.start == start { bootstrapSoon(node) }
    }

    private mutating func passBarrier(_ node: SimulatedNode) {
        guard node.barrier == nil, node.node.stopped == nil else { return }
        let actions = node.node.passBarrier(at: node.clock(now))
        guard case .send(_, let tag)? = actions.first else { return }
        let issued = acknowledgedChanges.suffix(60).compactMap { change -> UInt32? in
            if case .issue(let id) = change { id } else { nil }
        }
        node.barrier = (tag, issued)
        perform(actions, node)
    }

    private mutating func passed(_ isPassed: Bool, _ node: SimulatedNode) {
        guard let barrier = node.barrier.take(), isPassed else { return }
        barriers += 1
        for id in barrier.issued where !node.store.issued.contains(id) {
            fail("node \(node.name) says that \(id) is unknown, which was issued before it was asked")
        }
    }

    private mutating func send(_ request: EngineRequest<SimulatedEntry>, _ tag: UInt64, _ node: SimulatedNode) {
        guard now >= node.cutOffUntil else { return }
        var request = request
        if mutant == .newBytesOnRetry, case .append(let entry, let expecting) = request, chance(50) {
            request = .append(
                SimulatedEntry(
                    entry.changes, after: expecting, batch: UInt64.random(in: 0...UInt64.max, using: &random),
                    wantsConfirmation: entry.wantsConfirmation), expecting: expecting)
        }
        // A request may be executed late, and twice.
        for _ in 0..<(chance(3) ? 2 : 1) where !chance(3) {
            at(delay(), .execute(request, tag: tag, from: node.name, start: node.start))
        }
    }

    /// Begins a transaction with some waiting mutations, if the node may write now.
    private mutating func decide(_ node: SimulatedNode) {
        guard node.batch.isEmpty, node.isApplying.isEmpty, node.node.mayPropose else { return }
        guard !node.queue.isEmpty || !node.unproven.isEmpty else { return }
        node.batch = Array(node.queue.prefix(3))
        node.queue.removeFirst(node.batch.count)
        node.decided = []
        var store = node.store
        for index in node.batch.indices {
            guard let change = Self.change(node.batch[index], in: store) else { continue }
            node.batch[index].changed = true
            node.decided.append(change)
            store.apply([change], store.position)
            if mutant == .publishBeforeWon, case .intern(let number, let text) = change {
                node.store.published[number] = text
            }
        }
        guard !node.decided.isEmpty else {
            if mutant == .answerWithoutProof {
                answer(node)
                return
            }
            return perform(node.node.prove(at: node.clock(now)), node)
        }
        let entry = SimulatedEntry(
            node.decided, after: node.node.applied, batch: UInt64.random(in: 0...UInt64.max, using: &random),
            wantsConfirmation: node.decided.contains(where: \.endsSomething))
        node.proposed = entry.position
        perform(node.node.propose(entry, at: node.clock(now)), node)
    }

    /// What a mutation does in a state; nil if there is nothing to do.
    private static func change(_ mutation: SimulatedNode.Mutation, in store: SimulatedStore) -> SimulatedChange? {
        switch mutation.kind {
        case .issue: .issue(mutation.id)
        case .revoke: store.revoked.contains(mutation.id) ? nil : .revoke(mutation.id)
        case .redeem: store.redeemed.contains(mutation.id) ? nil : .redeem(mutation.id)
        case .intern:
            store.numbers[mutation.id] == nil ? .intern(UInt32(store.numbers.count) + 1, text: mutation.id) : nil
        }
    }

    private mutating func settle(_ outcome: ClusterOutcome, _ node: SimulatedNode) {
        switch outcome {
        case .won:
            if mutant == .acknowledgeBeforeCommit {
                for mutation in node.batch where mutation.everywhere && mutation.kind == .revoke {
                    endedEverywhere.append(mutation.id)
                }
            }
            // Killed between the log and the commit: another start finds the entry in the log.
            if chance(2), kill(node) { return }
            guard let position = node.proposed else { return fail("won without a proposal") }
            node.store.apply(node.decided, position)
            let ends = node.decided.contains(where: \.endsSomething)
            perform(node.node.applied(position, wantsConfirmation: ends, isOwn: true, at: node.clock(now)), node)
            answer(node)
        case .proven: answer(node)
        case .lost, .sealed:
            lostRaces += 1
            node.queue =
                node.batch.map {
                    var again = $0
                    again.changed = false
                    return again
                } + node.queue
            node.batch = []
        }
    }

    /// Acknowledges the batch: at once, or when all nodes have confirmed.
    private mutating func answer(_ node: SimulatedNode) {
        acknowledged += node.batch.count
        for mutation in node.batch {
            switch mutation.kind {
            case .redeem where mutation.changed:
                if !redeemedOnce.insert(mutation.id).inserted { fail("code \(mutation.id) was redeemed twice") }
            case .redeem:
                // The definite answer "used already".
                if !redeemedOnce.contains(mutation.id), !isInLog(.redeem(mutation.id)) {
                    fail("code \(mutation.id) was refused as used, and was not")
                }
            default: break
            }
        }
        acknowledgedChanges += node.decided
        if acknowledgedChanges.count > 400 { acknowledgedChanges.removeFirst(200) }
        let waiting = node.batch.filter { $0.everywhere && $0.kind == .revoke } + node.unproven
        node.batch = []
        node.unproven = []
        guard !waiting.isEmpty else { return }
        let ticket = UInt64.random(in: 0...UInt64.max, using: &random)
        if mutant == .answerWithoutProof, node.decided.isEmpty {
            endedEverywhere += waiting.map(\.id)
            return
        }
        guard let actions = node.node.confirm(ticket, at: node.clock(now)) else {
            // The reply of the append was lost: the records come from another transaction.
            node.unproven = waiting
            return
        }
        node.confirming[ticket] = waiting
        perform(actions, node)
    }

    private func isInLog(_ change: SimulatedChange) -> Bool {
        nodes.contains { node in
            if case .redeem(let code) = change { return node.store.redeemed.contains(code) }
            return false
        } || engine.entries.contains { $0.changes.contains(change) }
    }

    private mutating func addWork(_ node: SimulatedNode) {
        guard !node.isDead, node.queue.count < 20 else { return }
        let recent = nextID > 40 ? nextID - 40 : 0
        let known = nextID == 0 ? 0 : UInt32.random(in: recent...nextID, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3:
            nextID += 1
            node.queue.append(.init(kind: .issue, id: nextID, everywhere: false))
        case 3..<6: node.queue.append(.init(kind: .revoke, id: known, everywhere: true))
        case 6..<8:
            // Mostly by two nodes at once.
            for other in [node, nodes.randomElement(using: &random) ?? node] where !other.isDead {
                other.queue.append(.init(kind: .redeem, id: known, everywhere: false))
            }
        default:
            node.queue.append(
                .init(kind: .intern, id: UInt32.random(in: 0...nextID, using: &random), everywhere: false))
        }
    }

    // MARK: Faults

    private mutating func fault() {
        guard let node = nodes.randomElement(using: &random), !node.isDead else { return }
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4:
            let pause = [100, 1_000, 5_000, 12_000, 30_000].randomElement(using: &random) ?? 0
            standStill(node, for: UInt64.random(in: 0...UInt64(pause), using: &random) * Self.millisecond)
        case 4..<7:
            node.cutOffUntil = now + UInt64.random(in: 1...25, using: &random) * Self.second
            if chance(50) { node.deafUntil = node.cutOffUntil }
        default: kill(node)
        }
    }

    private func standStill(_ node: SimulatedNode, for length: UInt64) {
        let before = max(node.pausedUntil, now)
        node.pausedUntil = max(before, now + length)
        // As kvm-clock does while the machine is paused. Nobody reads it until then.
        if node.isPausable { node.stoodStill += node.pausedUntil - before }
    }

    /// - Returns: false for the last one that is alive.
    @discardableResult
    private mutating func kill(_ node: SimulatedNode) -> Bool {
        guard nodes.filter({ !$0.isDead }).count > 1 else { return false }
        node.isDead = true
        node.start += 1
        node.queue = []
        node.batch = []
        node.unproven = []
        node.confirming = [:]
        node.isApplying = []
        node.barrier = nil
        at(UInt64.random(in: 100...20_000, using: &random) * Self.millisecond, .restart(node.name))
        return true
    }

    private mutating func bootstrapSoon(_ node: SimulatedNode) {
        node.needsBootstrap = false
        kill(node)
        // The last node of all is never killed: it waits in its place.
        if !node.isDead { at(Self.second, .restart(node.name)) }
    }

    /// A new start on the same disk; on another node's data if that is no longer what the log goes on from.
    private mutating func restart(_ node: SimulatedNode) {
        // A machine that is paused starts nothing.
        guard !isReseeding, now >= node.pausedUntil else { return at(Self.second, .restart(node.name)) }
        let position = node.store.position
        let isUsable =
            position.epoch == engine.head.position.epoch && position.number + 1 >= engine.first
            && position.number <= engine.head.position.number
            && (position.number + 1 == engine.first || engine.entries.contains { $0.position == position })
        if !isUsable {
            let peers = nodes.filter {
                $0 !== node && !$0.isDead && $0.node.stopped == nil
                    && $0.store.position.epoch == engine.head.position.epoch
                    && $0.store.position.number + 1 >= engine.first
            }
            guard let peer = peers.randomElement(using: &random) else { return at(Self.second, .restart(node.name)) }
            node.store = peer.store
            bootstraps += 1
        }
        // The process before this one cannot answer any more, whatever its clock did.
        if node.isPausable { engine.forget(node.node.node) }
        node.isDead = false
        node.start += 1
        node.node = machine(node.store.position, node.isPausable)
        at(soon(), .tick(node.name, start: node.start))
    }

    /// The engine is put back to an older state, which people notice: they seal it, and begin it anew from the node that
    /// knows most, when no lease of before can be left.
    private mutating func restoreEngine() {
        engine = lastSnapshot
        engine.seal()
        history = []
        isReseeding = true
        reseeds += 1
        let opening = times.fence * 102 / 100 + Self.second
        at(mutant == .reseedAtOnce ? Self.millisecond : opening, .openReseeded)
        // One that hears nothing of it, and answers until its lease is over.
        if let node = nodes.filter({ !$0.isPausable && !$0.isDead }).randomElement(using: &random) {
            (node.cutOffUntil, node.deafUntil) = (now + 30 * Self.second, now + 30 * Self.second)
        }
        // The hardest case: one whose clock stands still for as long, and a moment longer.
        if let node = nodes.filter({ $0.isPausable && !$0.isDead }).randomElement(using: &random) {
            standStill(node, for: opening + UInt64.random(in: 100...9_000, using: &random) * Self.millisecond)
        }
    }

    private mutating func reseed() {
        // From the node that knows most, which must be awake for that.
        guard let last = nodes.max(by: Self.isBehind),
            let best = nodes.first(where: { $0.pausedUntil <= now && !Self.isBehind($0, last) })
        else { return at(Self.second, .openReseeded) }
        isReseeding = false
        let old = best.store.position
        let position = LogPosition(epoch: old.epoch + 1, number: old.number, hash: old.hash)
        // Leases of other nodes are over by now. That of a node whose clock stood still may not be: so its joining is an
        // entry of the log, which is lost no more than any other, and a new log begins with such nodes.
        let pausable = nodes.filter { $0.isPausable && mutant != .forgetPausable }.map {
            NodeRecord(
                node: $0.node.node, applied: $0.node.applied, leaseNanoseconds: times.lease, isPausable: true)
        }
        engine = EngineModel(position, mutant, nodes: pausable)
        lastSnapshot = engine
        history = []
        // One that is paused or cut off cannot be told, and does not know when it is back.
        let awake = nodes.filter { $0.pausedUntil <= now && $0.cutOffUntil <= now }
        for node in awake where node.store.position == old { node.store.position = position }
        for node in awake where !node.isDead {
            // Whoever is not at exactly that state copies it; whoever is goes on with a new start.
            if node.store.position == position || node.node.stopped != nil { bootstrapSoon(node) }
        }
        at(UInt64.random(in: 100...400, using: &random) * Self.second, .restoreEngine)
    }

    private static func isBehind(_ left: SimulatedNode, _ right: SimulatedNode) -> Bool {
        let (left, right) = (left.store.position, right.store.position)
        return (left.epoch, left.number) < (right.epoch, right.number)
    }

    // MARK: What must hold

    private mutating func verify() {
        for node in nodes where !node.isDead && now >= node.pausedUntil && node.node.isFresh(at: node.clock(now)) {
            verifications += 1
            for id in endedEverywhere.suffix(60) where !node.store.revoked.contains(id) {
                fail("node \(node.name) accepts \(id), which was ended everywhere")
                return
            }
            for (number, text) in node.store.published {
                // The number of a text is that of the log.
                guard let other = texts[number] else { continue }
                if other != text, node.store.numbers[other] == number {
                    fail("node \(node.name) reads \(text) for number \(number), which is \(other)")
                    return
                }
            }
        }
        if let last = engine.entries.last {
            for case .intern(let number, let text) in last.changes { texts[number] = text }
        }
    }

    /// All stores of the same position are equal, and have everything that was acknowledged before it.
    private mutating func checkHistories() {
        var byPosition: [UInt64: SimulatedNode] = [:]
        for node in nodes where node.store.position.epoch == engine.head.position.epoch {
            if let other = byPosition[node.store.position.number] {
                if other.store.position != node.store.position || other.store.revoked != node.store.revoked
                    || other.store.redeemed != node.store.redeemed || other.store.numbers != node.store.numbers
                {
                    fail("nodes \(node.name) and \(other.name) differ at \(node.store.position.number)")
                }
            }
            byPosition[node.store.position.number] = node
        }
        guard let newest = nodes.max(by: Self.isBehind) else { return }
        var store = newest.store
        for entry in engine.entries where entry.position.number > store.position.number {
            store.apply(entry.changes, entry.position)
        }
        for change in acknowledgedChanges {
            let isThere =
                switch change {
                case .issue(let id): store.issued.contains(id)
                case .revoke(let id): store.revoked.contains(id)
                case .redeem(let code): store.redeemed.contains(code)
                case .intern(_, let text): store.numbers[text] != nil
                }
            if !isThere { fail("the acknowledged \(change) is lost") }
        }
    }

    private mutating func fail(_ text: String) { violations.append("after \(now / Self.millisecond) ms: \(text)") }
}
