import CredentialModel
import CredentialStore
import EnvoyAuthorization
import ForwardAuth
import HTTPWire
import Logging
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

    private(set) var clock: BurstClock
    let connections: LoopConnections
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
        connections = LoopConnections(budget, counts)
        waiters = ChangesWaiters(store.published.changes, most: settings.waitersMax)
        policies = settings.policies
        scratch = RequestScratch(verifier: verifier, keyHeaders: settings.keyHeaders)
        clock = BurstClock(at: store.clock.now(), seconds: 0)
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
        connections.checkDeadlines()
    }

    /// The journal reader of this loop.
    func journalReader() throws(StoreFailure) -> JournalReader {
        if let journal { return journal }
        let reader = try services.store.makeJournalReader()
        journal = reader
        return reader
    }
}

/// The services that all event loops share.
final class DataPlaneServices: Sendable {
    let store: CredentialStore
    let settings: DataPlaneSettings
    let readiness: ServiceStatus
    let logger: Logger
    let challenges: Challenges
    /// `iss` in responses; nil to omit it.
    let issuer: [UInt8]?
    /// Returns the text for Prometheus.
    let exposition: @Sendable () -> String

    init(
        store: CredentialStore, settings: DataPlaneSettings, readiness: ServiceStatus, logger: Logger,
        exposition: @escaping @Sendable () -> String
    ) {
        (self.store, self.settings, self.readiness, self.logger) = (store, settings, readiness, logger)
        self.exposition = exposition
        challenges = Challenges(settings)
        issuer = settings.issuer.map { Array($0.utf8) }
    }
}

/// The time of one burst, and the parts of responses that depend on it.
///
/// Replaced as a whole: every access to a variable of an object that is modified by calls is checked at run time.
struct BurstClock {
    /// The time at which the credentials of this burst are verified.
    let now: UnixSeconds
    /// The `Date` field of this second (RFC 9110 §6.6.1), with its name and line end.
    let dateLine: [UInt8]
    /// The start of the most frequent responses of this second.
    let prepared: PreparedAnswers
    /// Seconds since the start of the loop, for deadlines.
    fileprivate(set) var seconds: Int64

    init(at now: UnixSeconds, seconds: Int64) {
        self.now = now
        self.seconds = seconds
        dateLine = Array("Date: \(HTTPDate.text(now.rawValue))\r\n".utf8)
        prepared = PreparedAnswers(dateLine: dateLine)
    }
}

/// Whether the service accepts traffic, as `/readyz` reports it.
public final class ServiceStatus: Sendable {
    /// Only ``ready`` takes traffic; the others are the reasons why not.
    public enum State: UInt8, Sendable {
        case starting, ready, draining, failed
    }

    private let state = Atomic<UInt8>(State.starting.rawValue)

    public init() {}

    public var current: State {
        // Acquire: whoever reads a state sees what was done before it was set.
        State(rawValue: state.load(ordering: .acquiring)) ?? .failed
    }

    /// Sets the state. A failed service stays failed.
    public func become(_ new: State) {
        var seen = state.load(ordering: .acquiring)
        while seen != State.failed.rawValue {
            // Release: pairs with the acquire in `current`.
            let (exchanged, original) = state.compareExchange(
                expected: seen, desired: new.rawValue, ordering: .acquiringAndReleasing)
            if exchanged { return }
            seen = original
        }
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

/// Parts of the most frequent responses that are constant within a second: those over HTTP/1.1 on a persistent
/// connection.
struct PreparedAnswers {
    /// The head for an active credential, up to the empty line, without the length.
    let active: [UInt8]
    /// The complete response for an inactive credential.
    let inactive: [UInt8]
    /// The head of `/verify` for an accepted credential, up to the value of its first field.
    let allowed: [UInt8]

    static let inactiveBody: StaticString = "{\"active\":false}"

    init(dateLine: [UInt8]) {
        let date = String(decoding: dateLine, as: UTF8.self)
        let json = "Content-Type: application/json\r\nCache-Control: no-store\r\n"
        active = Array("HTTP/1.1 200 OK\r\n\(date)\(json)Content-Length: \(LengthSlot.blank)\r\n\r\n".utf8)
        let length = Self.inactiveBody.utf8CodeUnitCount
        inactive = Array(
            "HTTP/1.1 200 OK\r\n\(date)\(json)Content-Length: \(length)\r\n\r\n\(Self.inactiveBody)".utf8)
        allowed = Array(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\(date)Cache-Control: private, no-store\r\nX-Auth-Subject: ".utf8)
    }
}
