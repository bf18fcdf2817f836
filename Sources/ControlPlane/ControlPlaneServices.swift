public import CredentialModel
public import CredentialStore
public import Issuance

/// What the control plane works on. The composition root makes it.
public struct ControlPlaneServices: Sendable {
    /// What is wrong with the store, in sentences.
    public typealias CheckStore = @Sendable () async throws(IssuanceError) -> [String]

    public let issuer: Issuer
    let explaining: Explaining
    /// Looks through the whole store; nil does it in this process.
    let checkStore: CheckStore?
    let changes: ChangeFeed
    /// The places for long work, one of each kind for all listeners.
    let work = LongWork()
    let readiness: @Sendable () async -> Readiness
    /// What `/metrics` says, in the format of Prometheus.
    let exposition: @Sendable () -> String
    /// Where the copy of a backup lies while it is made: a folder of its own with mode 0700 is made in it. It has to
    /// hold as much as the store, and its owner must be trusted with the tags.
    let backupFolder: String
    /// The authorization server, where there is one.
    public let oauth: OAuthServer?

    /// - Throws: ``StoreFailure`` when the store has no reader left.
    public init(
        issuer: Issuer, checkStore: CheckStore? = nil,
        readiness: @escaping @Sendable () async -> Readiness,
        exposition: @escaping @Sendable () -> String = { "" }, backupFolder: String, oauth: OAuthServer? = nil
    ) throws(StoreFailure) {
        self.issuer = issuer
        explaining = try Explaining(issuer: issuer)
        self.checkStore = checkStore
        changes = try ChangeFeed(store: issuer.store)
        self.readiness = readiness
        self.exposition = exposition
        self.backupFolder = backupFolder
        self.oauth = oauth
    }
}

/// The verdict on a presented credential with its reason. For operators: introspection never tells a reason.
///
/// A kind that is not for callers is ``InactiveReason/unknown``, as it is to every gateway; its summary is there all the
/// same.
public struct Explanation: Sendable {
    /// Why it is not accepted; nil when it is.
    public let inactive: InactiveReason?
    /// What the store knows of the credential, nil when it knows nothing.
    public let summary: CredentialSummary?

    public init(inactive: InactiveReason?, summary: CredentialSummary?) {
        self.inactive = inactive
        self.summary = summary
    }

    /// The stable code of the contract, `valid` when accepted.
    public var code: String { inactive?.code ?? "valid" }
}

/// Whether the node takes requests.
public enum Readiness: Sendable, Equatable {
    case ready
    /// Not ready, and why, in a sentence for the operator.
    case notReady(reason: String)
}
