import CredentialModel
import CredentialStore
import HTTPWire
import RecordCache
import Verification

/// What a request that is judged comes to.
enum Judgement {
    case allowed
    /// Nobody is asked for a credential: a preflight that its policy lets pass.
    case passed
    /// There is none, or none that is taken here.
    case noCredential
    case malformed(StaticString)
    /// Unknown, not alive, or not for this kind of use, this network or this audience.
    case notAccepted
    case insufficientScope
    /// The store cannot answer.
    case trouble
}

/// How a refusal is told, over every protocol. A malformed request is told its own reason.
enum Refusal {
    static let noCredential: StaticString = "a credential is required"
    static let notAccepted: StaticString = "the credential is not accepted"
    static let insufficientScope: StaticString = "the credential lacks a scope"
    static let trouble: StaticString = "the store cannot answer"
    static let callers: StaticString = "this endpoint is open to local callers only"
}

/// What of a request's fields decides, beside their values.
struct FieldCounts {
    var authorization = 0
    /// Fields that may hold a key, besides.
    var key = 0
    var origin = 0
    var accessControlRequestMethod = 0

    /// Whether a browser asks beforehand if it may send its request (Fetch §4.8). It has no credential to send with that.
    func isPreflight(_ isOptions: Bool) -> Bool {
        isOptions && authorization == 0 && key == 0 && origin == 1 && accessControlRequestMethod == 1
    }
}

/// What may come by a scheme.
private struct TakenKinds {
    let keys, tokens: Bool

    static let keys = TakenKinds(keys: true, tokens: false)

    init(keys: Bool, tokens: Bool) {
        self.keys = keys
        self.tokens = tokens
    }

    /// As `Bearer`: tokens, and keys where the rule says so.
    init(bearer rule: PolicySet.Rule?) {
        self.init(keys: rule?.allowsBearerKeys ?? false, tokens: rule?.allowsTokens ?? true)
    }

    @inline(__always)
    func holds(_ kind: CredentialKind) -> Bool {
        kind == .apiKey ? keys : kind == .accessToken && tokens
    }
}

/// Decides about requests: for `/verify`, `/ext_authz` and gRPC alike, so that no protocol is milder than another.
///
/// One per thread, as the verifier that it holds.
final class Judge: @unchecked Sendable {
    let verifier: Verifier
    let interned: InternedTable
    /// What has been verified here, for metrics.
    let counts = VerificationCounts()

    init(store: CredentialStore) throws(StoreFailure) {
        verifier = try Verifier(store: store)
        interned = store.published.interned
    }

    /// Judges a request that is told by its own path, by the rule that its policy has for it.
    /// - Parameters:
    ///   - needs: takes the rule.
    ///   - address: the client's; asked only when it matters.
    func judge(
        _ uri: RawSpan, host: RawSpan, isOptions: Bool, under policy: PolicySet.Entry, _ authorization: RawSpan,
        _ keyField: RawSpan,
        _ fields: FieldCounts, _ interface: VerificationInterface, at now: UnixSeconds, _ scratch: inout RequestScratch,
        _ needs: inout Needs, into record: inout CredentialRecord, from address: () -> IPAddress?
    ) -> Judgement {
        let parts = OriginalURI(uri)
        let rule: PolicySet.Rule
        switch policy.choose(host: host, path: uri.slice(parts.path)) {
        case .rule(let chosen): rule = chosen
        case .unclear(let reason): return .malformed(reason)
        }
        needs.rule = rule
        if rule.allowsPreflight, fields.isPreflight(isOptions) { return .passed }
        return judge(
            authorization, keyField, fields, query: uri.slice(parts.query ?? WireRange()), needs, RawSpan(),
            interface, at: now, &scratch, into: &record, from: address)
    }

    /// Finds the one credential of a request, and judges it by what is needed.
    /// - Parameters:
    ///   - query: where else than in the Authorization field it may be.
    ///   - own: the query that `needs` was read from.
    func judge(
        _ authorization: RawSpan, _ keyField: RawSpan, _ fields: FieldCounts, query: RawSpan, _ needs: Needs,
        _ own: RawSpan,
        _ interface: VerificationInterface, at now: UnixSeconds, _ scratch: inout RequestScratch,
        into record: inout CredentialRecord, from address: () -> IPAddress?
    ) -> Judgement {
        switch PresentedCredential.find(authorization, keyField, fields, query: query, &scratch.query) {
        case .none, .unsupported:
            counts.note(interface, nil, .noCredential)
            return .noCredential
        case .malformed(let reason): return .malformed(reason)
        // What a policy does not take is as good as a scheme that nobody knows.
        case .key where needs.rule.map({ !$0.allowsKeys }) ?? false:
            counts.note(interface, nil, .noCredential)
            return .noCredential
        case .token where needs.rule.map({ !$0.allowsTokens && !$0.allowsBearerKeys }) ?? false:
            counts.note(interface, nil, .noCredential)
            return .noCredential
        case .key(.query) where needs.rule.map({ !$0.allowsQueryKeys }) ?? false:
            counts.note(interface, nil, .noCredential)
            return .noCredential
        case .key(.field(let range)):
            return judge(
                authorization.slice(range), .keys, needs, own, scratch.text, interface, at: now, into: &record,
                from: address)
        case .key(.keyField):
            return judge(
                keyField, .keys, needs, own, scratch.text, interface, at: now, into: &record, from: address)
        case .key(.query(let text)):
            return scratch.query.withBytes(of: text, in: query) { key in
                judge(key, .keys, needs, own, scratch.text, interface, at: now, into: &record, from: address)
            }
        case .token(.field(let range)):
            return judge(
                authorization.slice(range), TakenKinds(bearer: needs.rule), needs, own, scratch.text, interface,
                at: now,
                into: &record, from: address)
        case .token(.query), .token(.keyField):
            // RFC 6750 §2.3: a token in a URL is logged along the way; it is not looked for.
            return .noCredential
        }
    }

    private func judge(
        _ credential: RawSpan, _ kinds: TakenKinds, _ needs: Needs, _ own: RawSpan, _ text: borrowing FormScratch,
        _ interface: VerificationInterface, at now: UnixSeconds, into record: inout CredentialRecord,
        from address: () -> IPAddress?
    ) -> Judgement {
        do throws(StoreFailure) {
            if let reason = try verifier.verify(credential, at: now, into: &record) {
                counts.noteInactive(interface, record.kind, reason)
                return .notAccepted
            }
        } catch {
            counts.note(interface, nil, .trouble)
            return .trouble
        }
        let kind = record.kind
        guard kinds.holds(kind),
            // Most credentials have no limit, and need no address.
            record.networks == 0
                || Decision.allows(networks: record.networks, from: address(), interned: interned),
            needs.isMeant(audiences: record.audiences, own, text, interned)
        else {
            let isMeant = needs.isMeant(audiences: record.audiences, own, text, interned)
            counts.note(
                interface, kind, !kinds.holds(kind) ? .wrongKind : isMeant ? .wrongNetwork : .wrongAudience)
            return .notAccepted
        }
        guard needs.isGranted(scopes: record.scopes, own, text, interned) else {
            counts.note(interface, kind, .insufficientScope)
            return .insufficientScope
        }
        counts.noteValid(interface, kind, record.flags)
        return .allowed
    }
}
