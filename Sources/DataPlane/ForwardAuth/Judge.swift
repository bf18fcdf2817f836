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

/// How a judgement is told, over every protocol. A malformed request is told its own reason.
enum JudgementText {
    static let noCredential: StaticString = "a credential is required"
    static let notAccepted: StaticString = "the credential is not accepted"
    static let insufficientScope: StaticString = "the credential lacks a scope"
    static let trouble: StaticString = "the store cannot answer"
    static let callers: StaticString = "this endpoint is open to local callers only"
}

/// A request that a gateway asks about, however the gateway describes it.
struct ForwardedRequest: ~Escapable {
    let interface: VerificationInterface
    /// Path and query, raw; empty where the gateway did not say.
    let uri: RawSpan
    /// As the request has it, with its port; empty where it is not known.
    let host: RawSpan
    let isOptions: Bool
    /// The value of the first Authorization field; empty where there is none.
    let authorization: RawSpan
    /// The value of the first other field that may hold a key; empty where there is none.
    let keyField: RawSpan
    let counts: FieldCounts
    /// Where else a key may be: the query of the URI, or the gateway's own where the URI is not known.
    let query: RawSpan

    /// - Parameter ownQuery: of the gateway's own request, in which it may have kept the client's.
    @_lifetime(copy uri, copy host, copy authorization, copy keyField, copy ownQuery)
    init(
        _ interface: VerificationInterface, uri: RawSpan, host: RawSpan, isOptions: Bool, authorization: RawSpan,
        keyField: RawSpan, counts: FieldCounts, ownQuery: RawSpan = RawSpan()
    ) {
        self.interface = interface
        (self.uri, self.host) = (uri, host)
        self.isOptions = isOptions
        (self.authorization, self.keyField, self.counts) = (authorization, keyField, counts)
        query = uri.isEmpty ? ownQuery : uri.slice(OriginalURI(uri).query ?? WireRange())
    }

    /// The path of the URI.
    var path: RawSpan {
        @_lifetime(copy self) get { uri.slice(OriginalURI(uri).path) }
    }

    /// Why it is no request that can be judged. A request target has no fragment (RFC 9112 §3.2): servers that cut one off
    /// and servers that do not would serve different paths.
    var fault: StaticString? {
        for index in 0..<uri.byteCount where uri.byte(at: index) == UInt8(ascii: "#") {
            return "the original URI has a fragment"
        }
        return nil
    }

    /// Whether a browser asks beforehand if it may send its request (Fetch §4.8). It has no credential to send with that.
    var isPreflight: Bool {
        isOptions && counts.authorization == 0 && counts.key == 0 && counts.origin == 1
            && counts.accessControlRequestMethod == 1
    }
}

/// How many fields of some names a request has.
struct FieldCounts {
    var authorization = 0
    /// Other fields that may hold a key.
    var key = 0
    var origin = 0
    var accessControlRequestMethod = 0
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

    /// Judges a request by the rule that a policy has for it.
    /// - Parameters:
    ///   - requirement: takes the rule.
    ///   - address: the client's; asked only when it matters.
    @_lifetime(requirement: copy requirement)
    func judge(
        _ request: ForwardedRequest, under policy: PolicySet.Entry, _ requirement: inout Requirement,
        at now: UnixSeconds, _ scratch: inout RequestScratch, from address: () -> IPAddress?
    ) -> Judgement {
        if let reason = request.fault ?? requirement.take(policy, for: request) { return .malformed(reason) }
        if let rule = requirement.rule, rule.allowsPreflight, request.isPreflight { return .passed }
        return judge(request, by: requirement, at: now, &scratch, from: address)
    }

    /// Finds the one credential of a request, and judges it by what is required. Its record is the scratch's.
    func judge(
        _ request: ForwardedRequest, by requirement: Requirement, at now: UnixSeconds,
        _ scratch: inout RequestScratch, from address: () -> IPAddress?
    ) -> Judgement {
        if let reason = request.fault { return .malformed(reason) }
        let judging = Judging(request.interface, requirement, at: now, self)
        switch PresentedCredential.find(
            request.authorization, request.keyField, request.counts, query: request.query, &scratch.query)
        {
        case .none, .unsupported: return judging.noCredential()
        case .malformed(let reason): return .malformed(reason)
        // What a policy does not take is as good as a scheme that nobody knows.
        case .key where requirement.rule.map({ !$0.allowsKeys }) ?? false: return judging.noCredential()
        case .token where requirement.rule.map({ !$0.allowsTokens && !$0.allowsBearerKeys }) ?? false:
            return judging.noCredential()
        case .key(.query) where requirement.rule.map({ !$0.allowsQueryKeys }) ?? false: return judging.noCredential()
        case .key(.field(let range)):
            return judging.judge(
                request.authorization.slice(range), .keys, scratch.text, &scratch.record, from: address)
        case .key(.keyField):
            return judging.judge(request.keyField, .keys, scratch.text, &scratch.record, from: address)
        case .key(.query(let text)):
            return judging.judge(text, in: request.query, scratch.query, scratch.text, &scratch.record, from: address)
        case .token(.field(let range)):
            return judging.judge(
                request.authorization.slice(range), TakenKinds(bearer: requirement.rule), scratch.text,
                &scratch.record, from: address)
        case .token(.query), .token(.keyField):
            // RFC 6750 §2.3: a token in a URL is logged along the way; it is not looked for.
            return .noCredential
        }
    }
}

/// One judgement: by what, where it is counted, and when.
private struct Judging: ~Escapable {
    private let interface: VerificationInterface
    private let requirement: Requirement
    private let now: UnixSeconds
    private let judge: Judge

    @_lifetime(copy requirement)
    init(_ interface: VerificationInterface, _ requirement: Requirement, at now: UnixSeconds, _ judge: Judge) {
        self.interface = interface
        self.requirement = requirement
        self.now = now
        self.judge = judge
    }

    func noCredential() -> Judgement {
        judge.counts.note(interface, nil, .noCredential)
        return .noCredential
    }

    /// Judges a key that came in a query.
    func judge(
        _ key: FormText, in query: RawSpan, _ finder: borrowing QueryCredential, _ text: borrowing FormScratch,
        _ record: inout CredentialRecord, from address: () -> IPAddress?
    ) -> Judgement {
        finder.withBytes(of: key, in: query) { judge($0, .keys, text, &record, from: address) }
    }

    func judge(
        _ credential: RawSpan, _ kinds: TakenKinds, _ text: borrowing FormScratch, _ record: inout CredentialRecord,
        from address: () -> IPAddress?
    ) -> Judgement {
        let (counts, interned) = (judge.counts, judge.interned)
        do throws(StoreFailure) {
            if let reason = try judge.verifier.verify(credential, at: now, into: &record) {
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
            requirement.isMeant(audiences: record.audiences, text, interned)
        else {
            let isMeant = requirement.isMeant(audiences: record.audiences, text, interned)
            counts.note(
                interface, kind, !kinds.holds(kind) ? .wrongKind : isMeant ? .wrongNetwork : .wrongAudience)
            return .notAccepted
        }
        guard requirement.isGranted(scopes: record.scopes, text, interned) else {
            counts.note(interface, kind, .insufficientScope)
            return .insufficientScope
        }
        counts.noteValid(interface, kind, record.flags)
        return .allowed
    }
}
