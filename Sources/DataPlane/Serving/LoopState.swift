import CredentialModel
import CredentialStore
import EnvoyAuthorization
import ForwardAuth
import HTTPWire
import RecordCache
import Synchronization
import Verification

/// The state of one event loop: a verifier, scratch space, the time of the burst and the connections.
///
/// Only the loop's thread uses it, so nothing in it is locked or shared.
final class LoopState: @unchecked Sendable {
    let services: DataPlaneServices
    let verifier: Verifier
    // Copies of references of the store, which save an indirection.
    let published: Published
    let interned: InternedTable

    /// Counters of this loop's verifications and refusals.
    let counts = VerificationCounts()
    let times = VerificationTimes()
    let refusals: CallerRefusals
    let access: AccessRecorder
    let correlation = Correlation()
    // Here, and atomic, since they are read for each request: a reference to another object would be counted, and a read of a
    // variable of an object is checked at run time.
    private let mayRecord = Atomic<Bool>(false)
    private let records = Atomic<Bool>(false)

    private(set) var clock: BurstClock
    let connections: LoopConnections
    /// Requests that wait for what other nodes have acknowledged; nil for a store of its own.
    let questions: FleetQuestions?
    /// Connections that wait for changes.
    let waiters: ChangesWaiters
    /// The buffer for large reads.
    let largeBuffer = LargeBuffer()

    /// The policies that requests refer to. Replaced as a whole.
    var policies: PolicySet
    var scratch: RequestScratch
    /// The number of the scope set that was last found to include the right to introspect; 0 for none.
    var introspectingScopes: UInt32 = 0
    /// Created at the first request for changes: most nodes never have one.
    private var journal: JournalReader?

    init(_ services: DataPlaneServices, budget: BufferBudget) throws(StoreFailure) {
        self.services = services
        let (store, settings) = (services.store, services.settings)
        verifier = try Verifier(store: store)
        published = store.published
        interned = store.published.interned
        refusals = CallerRefusals(logger: services.logger)
        access = AccessRecorder(services.accessLog, published.interned)
        connections = LoopConnections(budget, counts)
        questions = FleetQuestions(store, verifier)
        waiters = ChangesWaiters(store.published.changes, most: settings.waitersMax)
        policies = settings.policies
        scratch = RequestScratch(verifier: verifier, keyHeaders: settings.keyHeaders)
        clock = BurstClock(at: store.clock.now(), seconds: 0)
        use(settings.accessSampling)
    }

    /// Reads the clock once for all requests of a burst.
    func readClock() {
        let now = services.store.clock.now()
        if now != clock.now { clock = BurstClock(at: now, seconds: clock.seconds) }
    }

    /// Once a second.
    func tick() {
        clock.seconds += 1
        // A refusal after a deadline has the current time, not that of the last request.
        readClock()
        access.handOver()
        connections.checkDeadlines()
    }

    // MARK: The access log

    /// Changes which requests have a line, from the next one on.
    func use(_ sampling: AccessLog.Sampling) {
        access.use(sampling)
        mayRecord.store(sampling != .none, ordering: .relaxed)
        records.store(false, ordering: .relaxed)
    }

    /// A request begins. ``AccessRecorder/finish(_:peer:status:since:_:)`` ends its record.
    @inline(__always)
    func beginRecord() {
        if mayRecord.load(ordering: .relaxed) { records.store(access.begin(), ordering: .relaxed) }
    }

    /// The request is answered.
    /// - Returns: whether its line is due: then ``AccessRecorder/finish(_:peer:status:since:_:)``.
    @inline(__always)
    func endRecord() -> Bool {
        guard mayRecord.load(ordering: .relaxed) else { return false }
        if isRecording { return true }
        access.skip()
        return false
    }

    /// Whether the request that is answered now has a line.
    @inline(__always)
    var isRecording: Bool { records.load(ordering: .relaxed) }

    // MARK: Outcomes

    /// Counts a verified credential, as accepted or by the reason why it is not, and records it.
    /// - Parameter record: not modified; `inout` avoids a 168-byte copy.
    @inline(__always)
    func note(_ interface: VerificationInterface, _ reason: InactiveReason?, on record: inout CredentialRecord) {
        counts.note(interface, reason, on: &record)
        if isRecording { access.note(VerificationOutcome(reason), on: &record) }
    }

    /// Counts a request without a verified credential, and records it.
    func note(_ interface: VerificationInterface, _ outcome: VerificationOutcome) {
        counts.note(interface, nil, outcome)
        if isRecording { access.note(outcome) }
    }

    /// The journal reader of this loop.
    func journalReader() throws(StoreFailure) -> JournalReader {
        if let journal { return journal }
        let reader = try services.store.makeJournalReader()
        journal = reader
        return reader
    }
}

/// Storage that is reused from request to request, so that requests do not allocate.
///
/// It is passed as one `inout` value, so that exclusive access is checked at compile time. Access to properties of
/// objects is checked at run time, each time.
struct RequestScratch: ~Copyable {
    /// The record of the credential that was verified last, and decoded texts.
    var judging = JudgingScratch()
    var form = IntrospectionForm()
    var basic = BasicCredentials()
    var verdictForm = VerifyForm()
    var batch: VerificationBatch
    var check: CheckRequest

    init(verifier: Verifier, keyHeaders: [[UInt8]]) {
        check = CheckRequest(keyHeaders: keyHeaders)
        batch = verifier.makeBatch()
    }
}
