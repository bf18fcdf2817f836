public import CredentialModel
public import HTTPWire

// One rule for all who ask about a request that they have received: `/verify`, `/ext_authz` and gRPC in the daemon, and a
// gateway that verifies in its own process. No protocol is milder than another, because none of them decides.
//
// The module needs neither sockets nor a store, has no classes and no existentials, and compiles as Embedded Swift too.

/// What a request that is judged comes to.
public enum Judgement: Sendable {
    case allowed
    /// Nobody is asked for a credential: a preflight that its policy lets pass.
    case passed
    /// There is none, or none that is taken here.
    case noCredential
    case malformed(StaticString)
    /// Unknown, not alive, or not for this kind of use, this network or this audience.
    case notAccepted(InactiveReason)
    case insufficientScope
    /// The store cannot answer.
    case trouble
}

/// Verifies presented credentials, and has the texts that records refer to by number: the daemon's verifier, or a gateway's
/// view of what the daemon shares with it.
public protocol CredentialVerifying {
    associatedtype Trouble: Error

    /// - Parameter record: filled in if the secret was right; otherwise undefined.
    /// - Returns: nil when the credential is active.
    /// - Throws: when the store cannot answer.
    func verify(
        _ presented: RawSpan, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(Trouble) -> InactiveReason?

    /// Calls `body` with a text of a record; with an empty one for 0.
    func withText<Value>(_ kind: RecordText, _ number: UInt32, _ body: (RawSpan) -> Value) -> Value
}

/// The texts of a record that judging needs, each a list.
public enum RecordText: Sendable {
    case scopes, audiences, networks
}

/// Room that one judgement after another uses anew, so that none of them allocates.
public struct JudgingScratch: ~Copyable {
    /// Of the credential that was verified last.
    public var record = CredentialRecord.blank
    /// Finds and holds a key in a query.
    public var query = QueryCredential()
    /// Decoded texts of the requirement.
    public var text = FormScratch()

    public init() {}
}

/// Judges requests at one moment, by what one verifier says.
public struct Judge<Verifier: CredentialVerifying> {
    @usableFromInline let verifier: Verifier
    @usableFromInline let now: UnixSeconds

    @inlinable
    public init(_ verifier: Verifier, at now: UnixSeconds) {
        (self.verifier, self.now) = (verifier, now)
    }

    /// Judges a request by the rule that a policy has for it.
    /// - Parameters:
    ///   - requirement: takes the rule.
    ///   - address: the client's; asked only when it matters.
    @inlinable
    public func judge(
        _ request: ForwardedRequest, under policy: PolicySet.Entry, _ requirement: inout Requirement,
        _ scratch: inout JudgingScratch, from address: () -> IPAddress?
    ) -> Judgement {
        if let reason = request.fault ?? requirement.take(policy, for: request) { return .malformed(reason) }
        if requirement.allowsPreflight, request.isPreflight { return .passed }
        return judge(request, by: requirement, &scratch, from: address)
    }

    /// Finds the one credential of a request, and judges it by what is required. Its record is the scratch's.
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
            return judge(
                request.authorization.slice(range), .keys, requirement, scratch.text, &scratch.record, from: address)
        case .key(.keyField):
            return judge(request.keyField, .keys, requirement, scratch.text, &scratch.record, from: address)
        case .key(.query(let text)):
            return judge(
                text, in: request.query, scratch.query, requirement, scratch.text, &scratch.record, from: address)
        case .token(let range):
            return judge(
                request.authorization.slice(range), requirement.bearerKinds, requirement, scratch.text,
                &scratch.record, from: address)
        }
    }

    /// Judges a key that came in a query.
    @inlinable
    func judge(
        _ key: FormText, in query: RawSpan, _ finder: borrowing QueryCredential, _ requirement: borrowing Requirement,
        _ text: borrowing FormScratch, _ record: inout CredentialRecord, from address: () -> IPAddress?
    ) -> Judgement {
        finder.withBytes(of: key, in: query) { judge($0, .keys, requirement, text, &record, from: address) }
    }

    @inlinable
    func judge(
        _ credential: RawSpan, _ kinds: TakenKinds, _ requirement: borrowing Requirement,
        _ text: borrowing FormScratch, _ record: inout CredentialRecord, from address: () -> IPAddress?
    ) -> Judgement {
        let state: InactiveReason?
        do throws(Verifier.Trouble) {
            state = try verifier.verify(credential, at: now, into: &record)
        } catch {
            return .trouble
        }
        // Most credentials have no limits, and need neither texts nor an address.
        let reason = InactiveReason.first(
            state, takesKind: kinds.holds(record.kind),
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

/// What may come by a scheme.
@usableFromInline
struct TakenKinds: Sendable {
    @usableFromInline let keys, tokens: Bool

    @usableFromInline static let keys = TakenKinds(keys: true, tokens: false)

    @inlinable
    init(keys: Bool, tokens: Bool) { (self.keys, self.tokens) = (keys, tokens) }

    @inlinable
    func holds(_ kind: CredentialKind) -> Bool {
        kind == .apiKey ? keys : kind == .accessToken && tokens
    }
}
