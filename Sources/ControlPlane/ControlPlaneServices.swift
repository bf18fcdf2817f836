import AdministrationAPI
public import CredentialStore
public import Issuance
import Synchronization

/// What the routes of the control plane use. Made by the composition root.
public struct ControlPlaneServices: Sendable {
    /// Checks the store. Returns one sentence for each problem; none if the store is sound.
    public typealias CheckStore = @Sendable () async throws(IssuanceError) -> [String]

    public let issuer: Issuer
    let explainer: Explainer
    /// Checks the whole store; if nil, it is checked in this process.
    let checkStore: CheckStore?
    let changes: ChangeFeed
    let work = LongWork()
    let readiness: @Sendable () async -> Readiness
    /// The text of `/metrics`, in the Prometheus format.
    let exposition: @Sendable () -> String
    /// The folder for temporary backup copies, each in a subfolder with mode 0700. It needs as much free space as the
    /// store has bytes, and its owner can read the tags.
    let backupFolder: String
    /// Nil if this node has no authorization server.
    public let oauth: OAuthServer?
    /// Nil if this is not a node of a fleet.
    let fleet: FleetAdministration?
    /// Nil if this node makes changes itself.
    public let forwarder: ChangeForwarder?

    /// - Throws: ``StoreFailure`` if the store has no free reader slot.
    public init(
        issuer: Issuer, checkStore: CheckStore? = nil,
        readiness: @escaping @Sendable () async -> Readiness,
        exposition: @escaping @Sendable () -> String = { "" }, backupFolder: String, oauth: OAuthServer? = nil,
        fleet: FleetAdministration? = nil, forwarder: ChangeForwarder? = nil
    ) throws(StoreFailure) {
        self.issuer = issuer
        explainer = try Explainer(issuer: issuer)
        self.checkStore = checkStore
        changes = try ChangeFeed(store: issuer.store)
        self.readiness = readiness
        self.exposition = exposition
        self.backupFolder = backupFolder
        self.oauth = oauth
        self.fleet = fleet
        self.forwarder = forwarder
    }
}

/// Whether the node accepts requests.
public enum Readiness: Sendable, Equatable {
    case ready
    /// - Parameter reason: a sentence for the operator.
    case notReady(reason: String)
}

/// The locks for long work. All listeners share them, so that there is one backup at a time and not one per listener.
struct LongWork: Sendable {
    let bulkCreation = ExclusiveWork("A bulk creation")
    let backup = ExclusiveWork("A backup")
    let revocationList = ExclusiveWork("A list of revocations")
    let storeCheck = ExclusiveWork("A check of the store")
    let comparison = ExclusiveWork("A comparison of the nodes")
    let auditCheck = ExclusiveWork("A check of the audit log")
}

/// Lets one request do a long piece of work and refuses all others until it is done.
///
/// Such work uses a thread, memory or disk for minutes; running it twice could take what revocations need. A second
/// request is refused at once instead of waiting: the first may take an hour, and to a client a long wait looks like a
/// hanging service.
final class ExclusiveWork: Sendable {
    private let isTaken = Atomic<Bool>(false)
    /// The subject of "… is already running".
    private let name: String

    init(_ name: String) {
        self.name = name
    }

    /// - Throws: ``Problem``: 503 `busy` with `Retry-After` while another request holds the permit.
    func acquire() throws(Problem) -> Permit {
        // Acquire: pairs with the release in `Permit.release`, so what the previous holder did has happened.
        guard isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
            throw Problem(.busy, detail: "\(name) is already running, and only one runs at a time. Try again later.")
        }
        return Permit(self)
    }

    /// The right to do the work. It ends with ``release()``, or when the last reference is dropped: a response that is
    /// never written because its client has disconnected must not keep it.
    final class Permit: Sendable {
        private let owner: ExclusiveWork
        private let isReleased = Atomic<Bool>(false)

        fileprivate init(_ owner: ExclusiveWork) {
            self.owner = owner
        }

        deinit { release() }

        /// Lets the next request in. Call it before the end of a response is written: its client may repeat the request
        /// at once.
        func release() {
            guard !isReleased.exchange(true, ordering: .relaxed) else { return }
            owner.isTaken.store(false, ordering: .releasing)
        }
    }
}
