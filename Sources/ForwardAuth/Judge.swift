public import CredentialModel
public import HTTPWire

// One decision for all protocols: `/verify`, `/ext_authz` and gRPC in the daemon, and a gateway that verifies in its
// own process. Protocols only read requests and write results, so none of them can be more permissive than another.
//
// The module needs neither sockets nor a store, has no classes and no existentials, and also compiles as Embedded
// Swift.

/// The decision on a request.
public enum Judgement: Sendable {
    case allowed
    /// A CORS preflight that its policy allows without a credential.
    case preflight
    /// There is no credential, or none of an accepted kind.
    case noCredential
    case malformed(StaticString)
    /// Unknown, not valid now, of the wrong kind, or not valid for this network or audience.
    case notAccepted(InactiveReason)
    case insufficientScope
    /// The store cannot answer.
    case unavailable
}

/// Verifies presented credentials, and resolves the texts that records refer to by number: the daemon's verifier, or a
/// gateway's view of the tables that the daemon shares.
public protocol CredentialVerifying {
    associatedtype Failure: Error

    /// - Parameter record: filled in if the secret matches; otherwise undefined.
    /// - Returns: nil when the credential is active.
    /// - Throws: when the store cannot answer.
    func verify(
        _ presented: RawSpan, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(Failure) -> InactiveReason?

    /// Calls `body` with a text of a record; with an empty one for number 0.
    func withText<Value>(_ kind: RecordText, _ number: UInt32, _ body: (RawSpan) -> Value) -> Value
}

/// The texts of a record that a decision needs, each a list.
public enum RecordText: Sendable {
    case scopes, audiences, networks
}

/// Storage that is reused from request to request, so that no decision allocates.
public struct JudgingScratch: ~Copyable {
    /// The record of the credential that was verified last.
    public var record = CredentialRecord.blank
    /// Finds a key in a query and holds its decoded text.
    public var query = QueryCredential()
    /// Decoded texts of the requirement.
    public var text = FormScratch()

    public init() {}
}

/// Decides on requests at one point in time, with one verifier.
public struct Judge<Verifier: CredentialVerifying> {
    @usableFromInline let verifier: Verifier
    @usableFromInline let now: UnixSeconds

    @inlinable
    public init(_ verifier: Verifier, at now: UnixSeconds) {
        (self.verifier, self.now) = (verifier, now)
    }

    /// Decides on a request by the rule that a policy has for it.
    /// - Parameters:
    ///   - requirement: receives the rule.
    ///   - address: returns the client's address; called only if the credential has a network limit.
    @inlinable
    public func judge(
        _ request: ForwardedRequest, under policy: PolicySet.Entry, _ requirement: inout Requirement,
        _ scratch: inout JudgingScratch, from address: () -> IPAddress?
    ) -> Judgement {
        if let reason = request.fault ?? requirement.apply(policy, for: request) { return .malformed(reason) }
        if requirement.allowsPreflight, request.isPreflight { return .preflight }
        return judge(request, by: requirement, &scratch, from: address)
    }

    /// Finds the one credential of a request and checks it against the requirement. `scratch.record` receives its
    /// record.
    @inlinable
    public func judge(
        _ request: ForwardedRequest, by requirement: borrowing Requirement, _ scratch: inout JudgingScratch,
        from address: () -> IPAddress?
    ) -> Judgement {
        if let reason = request.fault { return .malformed(reason) }
        switch request.credential(for: requirement, &scratch.query) {
        case .none: return .noCredential
        case .malformed(let reason): return .malformed(reason)
        case .key(.field(let range)):
            return judgeCredential(
                request.authorization.slice(range), .keys, requirement, scratch.text, &scratch.record, from: address)
        case .key(.keyField):
            return judgeCredential(request.keyField, .keys, requirement, scratch.text, &scratch.record, from: address)
        case .key(.query(let text)):
            return judgeQueryKey(
                text, in: request.query, scratch.query, requirement, scratch.text, &scratch.record, from: address)
        case .token(let range):
            return judgeCredential(
                request.authorization.slice(range), requirement.bearerKinds, requirement, scratch.text,
                &scratch.record, from: address)
        }
    }

    /// Checks a key from a query.
    @inlinable
    func judgeQueryKey(
        _ key: FormText, in query: RawSpan, _ finder: borrowing QueryCredential, _ requirement: borrowing Requirement,
        _ text: borrowing FormScratch, _ record: inout CredentialRecord, from address: () -> IPAddress?
    ) -> Judgement {
        finder.withBytes(of: key, in: query) { judgeCredential($0, .keys, requirement, text, &record, from: address) }
    }

    /// Verifies a credential and checks its record against the requirement, in the order that all interfaces use.
    @inlinable
    func judgeCredential(
        _ credential: RawSpan, _ kinds: AcceptedKinds, _ requirement: borrowing Requirement,
        _ text: borrowing FormScratch, _ record: inout CredentialRecord, from address: () -> IPAddress?
    ) -> Judgement {
        let state: InactiveReason?
        do throws(Verifier.Failure) {
            state = try verifier.verify(credential, at: now, into: &record)
        } catch {
            return .unavailable
        }
        // Most credentials have no limits, and then neither texts nor the address are needed.
        let reason = InactiveReason.first(
            state, takesKind: kinds.contains(record.kind),
            allowsNetwork: record.networks == 0 || allows(record.networks, address()),
            isMeant: record.audiences == 0 || !requirement.namesAudience
                || verifier.withText(.audiences, record.audiences) { requirement.isMeant($0, text) },
            grantsScope: !requirement.needsScope
                || verifier.withText(.scopes, record.scopes) { requirement.isGranted($0, text) })
        guard let reason else { return .allowed }
        return reason == .insufficientScope ? .insufficientScope : .notAccepted(reason)
    }

    @inlinable
    func allows(_ networks: UInt32, _ address: IPAddress?) -> Bool {
        guard let address else { return false }
        return verifier.withText(.networks, networks) { NetworkSet.contains($0, address) }
    }
}

/// The kinds of credentials that a scheme accepts.
@usableFromInline
struct AcceptedKinds: Sendable {
    @usableFromInline let keys, tokens: Bool

    @usableFromInline static let keys = AcceptedKinds(keys: true, tokens: false)

    @inlinable
    init(keys: Bool, tokens: Bool) { (self.keys, self.tokens) = (keys, tokens) }

    @inlinable
    func contains(_ kind: CredentialKind) -> Bool {
        kind == .apiKey ? keys : kind == .accessToken && tokens
    }
}
