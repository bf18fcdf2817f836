import CredentialModel
import CredentialStore
import HTTPWire
import Logging
import NIOCore
import RecordCache
import Verification

/// What one event loop has of its own: a verifier, scratch space, the time of the burst and its connections.
///
/// Only the loop's own thread touches it; so nothing in it is locked or shared.
final class LoopState: @unchecked Sendable {
    let store: CredentialStore
    /// Decides about forwarded requests, and counts all that is verified here.
    let judge: Judge
    // The judge's and the verifier's, to be reached in one step.
    let verifier: Verifier
    let published: Published
    let interned: InternedTable
    let settings: DataPlaneSettings
    let readiness: Readiness
    let challenges: Challenges
    let issuer: [UInt8]?
    /// What this loop has verified, for metrics.
    let counts: VerificationCounts
    let times = VerificationTimes()
    let refusals: CallerRefusals
    /// Writes what is scraped.
    let exposition: @Sendable () -> String

    /// The time that this burst's verdicts are made at.
    private(set) var now = UnixSeconds.always
    /// The `Date` field of this second (RFC 9110 §6.6.1), with its name and line end.
    private(set) var dateLine: [UInt8] = []
    /// What the usual answers of this second begin with.
    private(set) var usual = UsualAnswers(dateLine: [])
    /// Seconds since the loop began; what deadlines are counted in.
    private(set) var ticks: Int64 = 0
    /// The service is shutting down: answers close their connections.
    private(set) var isDraining = false

    /// What requests are judged by that name a policy. Replaced as a whole.
    var policies: PolicySet
    var scratch: RequestScratch
    /// The number of the scope set that was last found to hold the right to introspect; 0 for none.
    var introspectingScopes: UInt32 = 0

    /// Connections that wait for changes.
    let waiters: ChangesWaiters
    private let budget: BufferBudget
    /// Bytes that this loop's connections hold in buffers.
    private var heldBytes = 0
    /// Nobody waits any more: the service is about to end.
    private(set) var endsWaits = false
    /// Made when changes are first asked for: most nodes never are.
    private var journal: JournalReader?

    /// What large reads go through.
    let largeBuffer = LargeBuffer()

    private var connections: [ObjectIdentifier: any ServedConnection] = [:]
    /// Connections with answers that wait for the end of the burst.
    private var burst = Burst()
    /// Made once: a closure for each pass of the loop would be an allocation.
    private var flush: @Sendable () -> Void = {}

    init(
        store: CredentialStore, settings: DataPlaneSettings, readiness: Readiness, budget: BufferBudget,
        logger: Logger, exposition: @escaping @Sendable () -> String
    ) throws(StoreFailure) {
        self.store = store
        refusals = CallerRefusals(logger: logger)
        self.budget = budget
        judge = try Judge(store: store)
        verifier = judge.verifier
        counts = judge.counts
        published = store.published
        interned = store.published.interned
        scratch = RequestScratch(verifier: verifier, keyHeaders: settings.keyHeaders)
        waiters = ChangesWaiters(store.published.changes, most: settings.waitersMax)
        self.settings = settings
        policies = settings.policies
        self.readiness = readiness
        self.exposition = exposition
        challenges = Challenges(settings)
        issuer = settings.issuer.map { Array($0.utf8) }
        flush = { [unowned self] in flushBurst() }
        readClock()
    }

    /// Reads the clocks, once for all requests that came in one burst.
    func readClock() {
        let previous = now
        now = store.clock.now()
        guard now != previous else { return }
        dateLine = Array("Date: \(HTTPDate.text(now.rawValue))\r\n".utf8)
        usual = UsualAnswers(dateLine: dateLine)
    }

    func add(_ connection: some ServedConnection) {
        connections[ObjectIdentifier(connection)] = connection
    }

    func remove(_ connection: some ServedConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }

    /// Notes that a connection holds more or fewer bytes in its buffers than before, and makes room if these are too many.
    func note(heldBytes change: Int) {
        heldBytes += change
        guard budget.add(change), change > 0 else { return }
        if heldBytes > budget.shareBytes { giveUpLargest() } else { budget.askOthers() }
    }

    /// Another loop has found that all together hold too much.
    func giveUpIfAsked() {
        budget.asked()
        if budget.isExceeded, heldBytes > budget.shareBytes { giveUpLargest() }
    }

    /// Refuses the requests that hold the most, until all loops together are well below the budget or this one is below its
    /// share by as much.
    private func giveUpLargest() {
        let holders = connections.values.filter { $0.heldBytes > 0 }.sorted { $0.heldBytes > $1.heldBytes }
        for holder in holders {
            guard !budget.hasRoom, heldBytes > budget.relievedShareBytes else { break }
            counts.droppedForRoom.increment()
            holder.giveUp()
        }
    }

    /// Has a connection flushed when all that are ready by now have been read.
    ///
    /// All answers of a burst then leave one behind the other. Sent one by one, each would find a client that has fallen
    /// asleep meanwhile, and waking it costs the sender more than the answer did.
    func flushSoon(_ connection: ConnectionHandler, on eventLoop: any EventLoop) {
        if burst.add(connection) { eventLoop.execute(flush) }
    }

    private func flushBurst() {
        var connections = burst.take()
        for connection in connections { connection.flushBurst() }
        connections.removeAll(keepingCapacity: true)
        burst.keepRoom(&connections)
    }

    /// One value, so that adding to it is one touch of a variable that is looked after at run time.
    private struct Burst {
        private var connections: [ConnectionHandler] = []

        /// - Returns: whether it is the first.
        mutating func add(_ connection: ConnectionHandler) -> Bool {
            connections.append(connection)
            return connections.count == 1
        }

        mutating func take() -> [ConnectionHandler] {
            var taken: [ConnectionHandler] = []
            swap(&taken, &connections)
            return taken
        }

        /// Takes back an emptied array, unless new ones have come meanwhile.
        mutating func keepRoom(_ emptied: inout [ConnectionHandler]) {
            if connections.isEmpty { swap(&emptied, &connections) }
        }
    }

    /// This loop's way to follow the journal.
    func journalReader() throws(StoreFailure) -> JournalReader {
        if let journal { return journal }
        let reader = try store.makeJournalReader()
        journal = reader
        return reader
    }

    var isEmpty: Bool { connections.isEmpty }

    /// Once a second: ends connections whose deadline has passed.
    func tick() {
        ticks += 1
        // A refusal for lateness has the time of its making, not that of the last request.
        readClock()
        for connection in connections.values { connection.checkDeadline() }
    }

    /// From now on every answer closes its connection.
    func drain() {
        isDraining = true
        for connection in connections.values { connection.drain() }
    }

    /// Closes connections that are between requests or wait for changes.
    func closeIdle() {
        endsWaits = true
        for connection in connections.values { connection.closeIfIdle() }
    }

    /// Closes what is still open.
    func closeAll() {
        for connection in connections.values { connection.closeNow() }
    }
}

/// What an event loop asks of its connections, now and then.
protocol ServedConnection: AnyObject {
    /// Bytes of buffers that it has reported to its loop.
    var heldBytes: Int { get }
    /// All connections together hold too much, and this one the most: it refuses its request and lets go of its buffers.
    func giveUp()
    /// Called once a second.
    func checkDeadline()
    /// The service is about to shut down, and still serves.
    func drain()
    /// It is shutting down: connections with nothing to be answered close.
    func closeIfIdle()
    func closeNow()
}

/// Whether the service takes traffic; what `/readyz` says.
public final class Readiness: Sendable {
    /// Why not.
    public enum State: UInt8, Sendable {
        case starting, ready, draining, failed
    }

    private let state = AtomicState()

    public init() {}

    public var current: State { state.load() }

    public func become(_ new: State) {
        state.store(new)
    }
}
