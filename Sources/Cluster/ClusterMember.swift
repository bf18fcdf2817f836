import CMachine
public import CredentialStore
import Dispatch
import Synchronization

// What connects the parts of a node: the protocol (`ClusterNode`), the engine that holds the log, the store's writer
// thread, which waits, and everything else, which does not. The protocol is a value under a lock. What it says is to be
// done is done outside of the lock, by the tasks of `run()`.

/// The engine that holds the log of a fleet.
public protocol ClusterEngine: Sendable {
    /// Executes a request. If it fails, the request may have been executed all the same, or may be later.
    func perform(_ request: EngineRequest<LogEntry>) async throws(EngineFault) -> EngineReply<LogEntry>
    /// Removes the record of a node that has ended.
    func remove(_ node: UInt64) async throws(EngineFault)
    /// Tells other nodes what a node's store contains; nil if it could not be read.
    func publish(
        _ digest: StoreDigest?, at position: LogPosition, for comparison: UInt64, of node: UInt64
    ) async throws(EngineFault)
    /// Gives entries as they are appended, until it is cancelled; none when it begins to, so that what was appended before
    /// is read. Some may be missing.
    func watch(_ receive: @escaping @Sendable ([LogEntry]) -> Void) async
}

/// Why the engine has not executed a request.
public enum EngineFault: Error, Equatable, Sendable {
    /// It did not reply, or not in time.
    case unavailable
    /// Its state is none that this node can go on with.
    case unusable(ClusterStop)
}

/// A running node of a fleet.
public final class ClusterMember: SharedLog {
    private typealias Node = ClusterNode<LogEntry>

    private struct State {
        var node: Node
        /// Entries for the store that the writer has not taken yet.
        var inbox: [LogEntry] = []
        /// Of what the writer has asked last; nil until it is known.
        var outcome: ClusterOutcome?
        /// Whether that was an append, which may be done although nobody waits for it any more.
        var isAppend = false
        var asked = ContinuousClock.now
        var isClosed = false
        var confirmations: [UInt64: @Sendable (SharedLogFailure?) -> Void] = [:]
        var lastTicket: UInt64 = 0
        /// The names of nodes, for people.
        var names: [UInt64: String] = [:]
        var isPolling = false
        var barriers = Barriers()
        /// The highest wall clock of another node, and when it was heard of.
        var clock: (seconds: Int64, at: UInt64)?
        var wake: (@Sendable () -> Void)?
        var figures = ClusterFigures()
    }

    /// What is done outside of the lock.
    private enum Work: Sendable {
        case send(EngineRequest<LogEntry>, tag: UInt64)
        /// Somebody waits for what other nodes say.
        case poll
        case barrier(after: UInt64)
        case publish(UInt64, LogPosition, StoreDigest?)
    }

    /// The random number of this start.
    public let node: UInt64
    /// How long appends take until it is known that they are done.
    public let appendTimes = DurationHistogram()
    /// How long it takes then until every node has what was taken away.
    public let everywhereTimes = DurationHistogram()
    private let state: Mutex<State>
    private let engine: any ClusterEngine
    private let freshness: Freshness
    private let isReadOnly: Bool
    private let onStop: @Sendable (ClusterStop) -> Void
    private let work: AsyncStream<Work>
    private let worker: AsyncStream<Work>.Continuation
    /// The writer waits for an outcome.
    private let settled = DispatchSemaphore(value: 0)

    /// How long the writer waits before it tells the others in its queue.
    private static let patience = DispatchTimeInterval.seconds(2)
    private static let tick = Duration.milliseconds(50)
    private static let pollingTick = Duration.milliseconds(2)
    private static let retryPause = Duration.milliseconds(20)
    /// For what nobody waits for without end.
    private static let attempts = 3
    /// Entries that the writer takes at once, and their bytes.
    private static let entriesMax = 64
    private static let bytesMax = 4 << 20

    /// - Parameters:
    ///   - node: a random number for this start of the process.
    ///   - name: for people.
    ///   - position: of the store.
    ///   - isPausable: whether the machine's clock may stand still while it is paused.
    ///   - isReadOnly: whether it must append nothing.
    ///   - freshness: gets the times until which this node may answer.
    ///   - onStop: called once, when the node stops for good.
    public init(
        node: UInt64 = UInt64.random(in: 1...UInt64.max), name: String, position: LogPosition, times: ClusterTimes,
        isPausable: Bool, isReadOnly: Bool = false, engine: any ClusterEngine, freshness: Freshness,
        onStop: @escaping @Sendable (ClusterStop) -> Void = { _ in }
    ) {
        state = Mutex(
            State(node: Node(node: node, name: name, applied: position, times: times, isPausable: isPausable)))
        self.node = node
        self.engine = engine
        self.freshness = freshness
        self.isReadOnly = isReadOnly
        self.onStop = onStop
        (work, worker) = AsyncStream.makeStream()
    }

    /// Makes a store the one of this node.
    public func attach(_ store: CredentialStore, at position: LogPosition) {
        let wake = store.join(self, at: position)
        state.withLock { $0.wake = wake }
    }

    /// The log has the entry by which a node joins whose clock may stand still (``CredentialStore/announce(pausableNode:name:)``).
    /// Without it, such a node answers nothing.
    public func announced() {
        step { node, _ in
            node.announced()
            return []
        }
    }

    /// Takes part in the fleet until it is cancelled or the node is closed.
    public func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                await self.engine.watch { entries in self.step { $0.watched(entries, at: $1) } }
            }
            group.addTask {
                while !Task.isCancelled {
                    self.step { $0.tick(at: $1) }
                    try? await Task.sleep(for: Self.tick)
                }
            }
            group.addTask {
                // The writer may look for a pepper, too.
                while !Task.isCancelled {
                    self.state.withLock { $0.wake }?()
                    try? await Task.sleep(for: .seconds(1))
                }
            }
            for await work in work {
                switch work {
                case .send(let request, let tag): group.addTask { await self.send(request, tag) }
                case .poll: group.addTask { await self.poll() }
                case .barrier(let delay):
                    group.addTask {
                        if delay > 0 { try? await Task.sleep(for: .nanoseconds(delay)) }
                        self.beginBarrier()
                    }
                case .publish(let comparison, let position, let digest):
                    group.addTask { await self.publish(digest, position, comparison) }
                }
            }
            group.cancelAll()
        }
        close()
    }

    /// Ends waiting of the writer, and takes part no longer.
    public func close() {
        let (confirmations, barriers) = state.withLock { state in
            state.isClosed = true
            freshness.end()
            defer { state.confirmations.removeAll() }
            return (state.confirmations.values, state.barriers.takeAll())
        }
        worker.finish()
        settled.signal()
        for completion in confirmations { completion(.unconfirmed(nodes: [])) }
        for completion in barriers { completion(false) }
    }

    /// Tells the others that this node has ended, so that nobody waits for it. Only when it is closed.
    public func leave() async {
        guard state.withLock(\.isClosed) else { return }
        for _ in 0..<Self.attempts {
            if (try? await engine.remove(node)) != nil { return }
        }
    }

    /// What the store and all its readers have.
    public var applied: LogPosition { state.withLock { $0.node.applied } }

    public var figures: ClusterFigures {
        let now = cs_boot_nanoseconds()
        var figures = state.withLock { state in
            var figures = state.figures
            figures.applied = state.node.applied.number
            figures.known = max(state.node.handed.number, figures.known)
            let end = state.node.leaseEnd
            figures.leaseSeconds = end > now ? Double(end - now) / 1e9 : 0
            figures.nodes = state.names.count
            figures.hasStopped = state.node.stopped != nil
            return figures
        }
        figures.refusals = freshness.refusals
        return figures
    }

    /// Why the node has stopped; nil while it has not.
    public var stopped: ClusterStop? { state.withLock { $0.node.stopped } }

    // MARK: The protocol

    private func step(_ body: (inout Node, UInt64) -> [Node.Action]) {
        _ = stepState { body(&$0.node, $1) }
    }

    /// - Returns: whether the node has stopped or was closed before, and nothing was done.
    private func stepState(_ body: (inout State, UInt64) -> [Node.Action]) -> Bool {
        var wakes = false
        var isOver = false
        var stop: ClusterStop?
        var finished: [@Sendable () -> Void] = []
        let wake = state.withLock { state in
            guard !state.isClosed, state.node.stopped == nil else {
                isOver = true
                return state.wake
            }
            // Under the lock, so that no step is given an earlier time than the one before it.
            for action in body(&state, cs_boot_nanoseconds()) {
                switch action {
                case .send(let request, let tag): worker.yield(.send(request, tag: tag))
                case .apply(let entries):
                    state.inbox += entries
                    wakes = true
                case .settle(let outcome):
                    state.outcome = outcome
                    state.figures.count(outcome)
                    settled.signal()
                case .acknowledge(let ticket, let acknowledgement):
                    guard let completion = state.confirmations.removeValue(forKey: ticket) else { continue }
                    let names = acknowledgement.unconfirmed.map { state.names[$0] ?? String($0, radix: 16) }.sorted()
                    finished.append { completion(names.isEmpty ? nil : .unconfirmed(nodes: names)) }
                case .passed(let isPassed):
                    for completion in state.barriers.end() { finished.append { completion(isPassed) } }
                    if !isPassed { state.figures.barriersFailed += 1 }
                    planBarrier(&state)
                case .stop(let reason):
                    stop = reason
                    for completion in state.barriers.takeAll() { finished.append { completion(false) } }
                    for completion in state.confirmations.values {
                        finished.append { completion(.unconfirmed(nodes: [])) }
                    }
                    state.confirmations.removeAll()
                    settled.signal()
                }
            }
            // Under the lock as well: a later step may have taken the lease away. The store's readers have what the lease
            // needs, since the writer said so before (`applied`).
            freshness.extend(to: state.node.leaseEnd)
            if state.node.isWaiting, !state.isPolling {
                state.isPolling = true
                worker.yield(.poll)
            }
            return state.wake
        }
        if wakes { wake?() }
        for completion in finished { completion() }
        if let stop { onStop(stop) }
        return isOver
    }

    private func send(_ request: EngineRequest<LogEntry>, _ tag: UInt64) async {
        do throws(EngineFault) {
            let reply = try await engine.perform(request)
            learnNames(reply)
            step { $0.received(reply, tag: tag, at: $1) }
        } catch {
            switch error {
            case .unavailable:
                state.withLock { $0.figures.unanswered += 1 }
                try? await Task.sleep(for: Self.retryPause)
                step { $0.unanswered(tag, at: $1) }
            case .unusable(let reason): step { node, _ in node.stop(reason) }
            }
        }
    }

    private func poll() async {
        repeat {
            step { $0.tick(at: $1) }
            try? await Task.sleep(for: Self.pollingTick)
        } while state.withLock { state in
            state.isPolling = state.node.isWaiting && !Task.isCancelled
            return state.isPolling
        }
    }

    private func learnNames(_ reply: EngineReply<LogEntry>) {
        let list: RecordList
        switch reply {
        case .records(let records), .held(let records): list = records
        case .renewed(let head):
            return state.withLock { state in
                state.figures.renewals += 1
                state.figures.known = max(state.figures.known, head.position.number)
            }
        default: return
        }
        // The reply to a removal has none.
        guard list.revision > 0 else { return }
        let latest = list.records.filter { $0.key != node }.map(\.value.record.time).max() ?? 0
        state.withLock { state in
            state.names = list.records.mapValues(\.record.name)
            if latest > 0 { state.clock = (latest, cs_boot_nanoseconds()) }
        }
    }

    // MARK: Clocks

    public func clockOfOthers() -> Int64? {
        state.withLock(\.clock).map { clock in
            let since = (cs_boot_nanoseconds() - clock.at) / 1_000_000_000
            return clock.seconds.addingReportingOverflow(Int64(clamping: since)).partialValue
        }
    }

    public func foundClockAhead() { state.withLock { $0.figures.clocksAhead += 1 } }

    // MARK: Barriers

    public func catchUp(_ completion: @escaping @Sendable (Bool) -> Void) {
        #if COUNTERSIGN_PROOF
            // Broken on purpose: deploy/proofs/fleet-faults must notice.
            if cs_is_broken(cs_unknown_without_barrier) != 0 { return completion(true) }
        #endif
        let isOver = state.withLock { state in
            guard !state.isClosed, state.node.stopped == nil else { return true }
            state.barriers.add(completion)
            planBarrier(&state)
            return false
        }
        if isOver { completion(false) }
    }

    private func planBarrier(_ state: inout State) {
        if let delay = state.barriers.plan(at: cs_boot_nanoseconds()) { worker.yield(.barrier(after: delay)) }
    }

    private func beginBarrier() {
        _ = stepState { state, now in
            guard state.barriers.begin(at: now, nodes: state.names.count) else { return [] }
            state.figures.barriers += 1
            return state.node.passBarrier(at: now)
        }
    }

    // MARK: Comparison

    public func compared(_ comparison: UInt64, at position: LogPosition, _ digest: StoreDigest?) {
        worker.yield(.publish(comparison, position, digest))
    }

    private func publish(_ digest: StoreDigest?, _ position: LogPosition, _ comparison: UInt64) async {
        for _ in 0..<Self.attempts {
            if (try? await engine.publish(digest, at: position, for: comparison, of: node)) != nil { return }
            try? await Task.sleep(for: Self.retryPause)
        }
    }

    // MARK: The writer

    public func arrived() -> [LogEntry] {
        state.withLock { state in
            guard state.node.stopped == nil else { return [] }
            var (count, bytes) = (0, 0)
            while count < min(state.inbox.count, Self.entriesMax), bytes < Self.bytesMax {
                bytes += state.inbox[count].bytes.count
                count += 1
            }
            defer { state.inbox.removeFirst(count) }
            return Array(state.inbox[..<count])
        }
    }

    public func append(_ entry: LogEntry) -> SharedLogOutcome {
        if isReadOnly { return .refused(.readOnly) }
        return ask(isAppend: true) { $0.propose(entry, at: $1) }
    }

    public func prove() -> SharedLogOutcome { ask(isAppend: false) { $0.prove(at: $1) } }

    private func ask(isAppend: Bool, _ body: (inout Node, UInt64) -> [Node.Action]) -> SharedLogOutcome {
        state.withLock { state in
            state.outcome = nil
            state.isAppend = isAppend && !state.isClosed && state.node.stopped == nil
            state.asked = .now
        }
        step(body)
        return outcome()
    }

    public func outcome() -> SharedLogOutcome {
        let deadline = DispatchTime.now() + Self.patience
        while true {
            let known = state.withLock { state -> SharedLogOutcome? in
                if let outcome = state.outcome.take() {
                    if outcome == .won { appendTimes.note(.now - state.asked) }
                    state.isAppend = false
                    switch outcome {
                    case .won, .proven: return .held
                    case .lost: return .lost
                    case .sealed: return .refused(.sealed)
                    }
                }
                guard state.isClosed || state.node.stopped != nil else { return nil }
                if state.isAppend { return .refused(.outcomeUnknown) }
                return .refused(.stopped(reason: state.node.stopped?.description ?? "it is shutting down"))
            }
            if let known { return known }
            guard settled.wait(timeout: deadline) == .success else { return .undecided }
        }
    }

    public func applied(_ position: LogPosition, wantsConfirmation: Bool, isOwn: Bool) {
        step { $0.applied(position, wantsConfirmation: wantsConfirmation, isOwn: isOwn, at: $1) }
    }

    public func confirm(_ completion: @escaping @Sendable (SharedLogFailure?) -> Void) -> Bool {
        var isTaken = true
        let begun = ContinuousClock.now
        let everywhereTimes = everywhereTimes
        let completion: @Sendable (SharedLogFailure?) -> Void = { failure in
            if failure == nil { everywhereTimes.note(.now - begun) }
            completion(failure)
        }
        let isOver = stepState { state, now in
            state.lastTicket += 1
            let ticket = state.lastTicket
            guard let actions = state.node.confirm(ticket, at: now) else {
                isTaken = false
                return []
            }
            state.confirmations[ticket] = completion
            return actions
        }
        if isOver { completion(.unconfirmed(nodes: [])) }
        return isTaken
    }

    public func cannotApply(_ failure: StoreFailure) {
        step { node, _ in node.stop(.cannotApply(failure)) }
    }
}
