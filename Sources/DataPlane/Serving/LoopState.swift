import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import Logging
import RecordCache
import Verification

/// What one event loop has of its own: a verifier, scratch space, the time of the burst and its connections.
///
/// Only the loop's own thread touches it; so nothing in it is locked or shared.
final class LoopState: @unchecked Sendable {
    let services: DataPlaneServices
    let verifier: Verifier
    // The store's, to be reached in one step.
    let published: Published
    let interned: InternedTable

    /// What this loop has verified and refused, for metrics.
    let counts = VerificationCounts()
    let times = VerificationTimes()
    let refusals: CallerRefusals

    private(set) var clock = BurstClock()
    let connections: LoopConnections
    /// Connections that wait for changes.
    let waiters: ChangesWaiters
    /// What large reads go through.
    let largeBuffer = LargeBuffer()

    /// What requests are judged by that name a policy. Replaced as a whole.
    var policies: PolicySet
    var scratch: RequestScratch
    /// The number of the scope set that was last found to hold the right to introspect; 0 for none.
    var introspectingScopes: UInt32 = 0
    /// Made when changes are first asked for: most nodes never are.
    private var journal: JournalReader?

    init(_ services: DataPlaneServices, budget: BufferBudget) throws(StoreFailure) {
        self.services = services
        let (store, settings) = (services.store, services.settings)
        verifier = try Verifier(store: store)
        published = store.published
        interned = store.published.interned
        refusals = CallerRefusals(logger: services.logger)
        connections = LoopConnections(budget, counts)
        waiters = ChangesWaiters(store.published.changes, most: settings.waitersMax)
        policies = settings.policies
        scratch = RequestScratch(verifier: verifier, keyHeaders: settings.keyHeaders)
        readClock()
    }

    /// Reads the clock, once for all requests that came in one burst.
    func readClock() {
        clock.read(services.store.clock)
    }

    /// Once a second.
    func tick() {
        clock.seconds += 1
        // A refusal for lateness has the time of its making, not that of the last request.
        readClock()
        connections.checkDeadlines()
    }

    /// This loop's way to follow the journal.
    func journalReader() throws(StoreFailure) -> JournalReader {
        if let journal { return journal }
        let reader = try services.store.makeJournalReader()
        journal = reader
        return reader
    }
}

/// What all event loops share.
struct DataPlaneServices: Sendable {
    let store: CredentialStore
    let settings: DataPlaneSettings
    let readiness: Readiness
    let logger: Logger
    let challenges: Challenges
    /// `iss` in answers; nil: left out.
    let issuer: [UInt8]?
    /// Writes what is scraped.
    let exposition: @Sendable () -> String

    init(
        store: CredentialStore, settings: DataPlaneSettings, readiness: Readiness, logger: Logger,
        exposition: @escaping @Sendable () -> String
    ) {
        (self.store, self.settings, self.readiness, self.logger) = (store, settings, readiness, logger)
        self.exposition = exposition
        challenges = Challenges(settings)
        issuer = settings.issuer.map { Array($0.utf8) }
    }
}

/// The time of one burst, and what answers say of it.
struct BurstClock {
    /// The time that this burst's verdicts are made at.
    private(set) var now = UnixSeconds.always
    /// The `Date` field of this second (RFC 9110 §6.6.1), with its name and line end.
    private(set) var dateLine: [UInt8] = []
    /// What the usual answers of this second begin with.
    private(set) var usual = UsualAnswers(dateLine: [])
    /// Seconds since the loop began; what deadlines are counted in.
    fileprivate(set) var seconds: Int64 = 0

    mutating func read(_ clock: TrustedClock) {
        let previous = now
        now = clock.now()
        guard now != previous else { return }
        dateLine = Array("Date: \(HTTPDate.text(now.rawValue))\r\n".utf8)
        usual = UsualAnswers(dateLine: dateLine)
    }
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
