import CredentialModel
import CredentialStore
public import ForwardAuth
import HTTPWire
import NIOCore
import RecordCache
public import Verification

/// `ANY /verify`: tells a gateway whether the request that it forwards is allowed, and on whose behalf.
struct ForwardAuthEndpoint: ~Copyable, ~Escapable {
    let context: RequestContext
    private var loop: LoopState { context.loop }
    private let peer: IPAddress?

    /// - Parameter peer: the address of the connection; nil for a Unix socket.
    @_lifetime(copy context)
    init(_ context: consuming RequestContext, _ peer: IPAddress?) {
        self.context = context
        self.peer = peer
    }

    func answer(_ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let own = context.request.query
        var requirement = Requirement(own, &scratch.judging.text)
        let answer = ForwardAuthAnswer(
            framing: context.framing, loop: loop, isNginx: requirement.isNginx)
        if let fault = requirement.fault { return refuse(fault, answer, &out) }
        let original: OriginalRequest
        do throws(OriginalRequest.Fault) {
            original = try OriginalRequest(context.request, context.listener.gatewayHeaders)
        } catch {
            return refuse(error.reason, answer, &out)
        }
        let key = KeyField(context.request, loop.services.settings.keyHeaders)
        let request = ForwardedRequest(
            uri: original.uri, host: original.host,
            // Unless the listener specifies the header set, the method may come from the client: no preflight is
            // allowed.
            isOptions: original.isOptions && context.listener.gatewayHeaders.family != nil,
            authorization: context.request.value(.authorization), keyField: key.value,
            counts: FieldCounts(context.request, key), ownQuery: original.hasURI ? RawSpan() : own)
        let judgement: Judgement
        if !requirement.namesPolicy {
            judgement = loop.judgeAndCount(.forwardAuth, request, by: requirement, &scratch.judging) { clientAddress() }
        } else if let policy = requirement.namedPolicy(loop.policies, scratch.judging.text) {
            judgement = loop.judgeAndCount(.forwardAuth, request, under: policy, &requirement, &scratch.judging) {
                clientAddress()
            }
        } else {
            return refuse("there is no policy of this name", answer, &out)
        }
        answer.write(judgement, request.uri, requirement, &scratch, &out)
    }

    /// Refuses a request that is malformed. Its status need not say so: see ``ForwardAuthAnswer/isNginx``.
    private func refuse(_ reason: StaticString, _ answer: ForwardAuthAnswer, _ out: inout ByteBuffer) {
        if loop.isRecording { loop.access.note(.malformed) }
        answer.refuse(.malformed(reason), &out)
    }

    /// Judges a request that is described by its own path, under a policy.
    /// - Parameter uri: the path and query to judge.
    func answerCheck(
        of uri: RawSpan, under policy: PolicySet.Entry, _ scratch: inout RequestScratch, _ out: inout ByteBuffer
    ) {
        var requirement = Requirement()
        let key = KeyField(context.request, loop.services.settings.keyHeaders)
        let request = ForwardedRequest(
            uri: uri, host: context.request.value(.host),
            isOptions: context.request.method == .options, authorization: context.request.value(.authorization),
            keyField: key.value, counts: FieldCounts(context.request, key))
        let judgement = loop.judgeAndCount(
            .externalAuthorization, request, under: policy, &requirement, &scratch.judging
        ) { clientAddress() }
        ForwardAuthAnswer(framing: context.framing, loop: loop, isNginx: false, isEnvoy: true)
            .write(judgement, uri, requirement, &scratch, &out)
    }

    /// Refuses a request that is not judged, with a status that its gateway passes on.
    func refuse(_ refusal: Refusal, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let isNginx = Requirement(context.request.query, &scratch.judging.text).isNginx
        ForwardAuthAnswer(framing: context.framing, loop: loop, isNginx: isNginx).refuse(refusal, &out)
    }

    private func clientAddress() -> IPAddress? {
        ClientAddress.find(
            context.request, peer: peer, by: context.listener.gatewayHeaders,
            trusted: loop.services.settings.trustedProxies)
    }
}

/// The fields of a request that may hold a key, other than Authorization.
private struct KeyField: ~Escapable {
    /// The value of the first one.
    private(set) var value: RawSpan
    private(set) var count = 0

    @_lifetime(copy request)
    init(_ request: ReceivedRequest, _ names: [[UInt8]]) {
        value = RawSpan()
        if names.isEmpty { return }
        for index in 0..<request.fieldCount where request.field(at: index) == .unknown {
            let name = request.name(at: index)
            guard names.contains(where: { name.isName($0) }) else { continue }
            if count == 0 { value = request.value(at: index) }
            count += 1
        }
    }
}

extension FieldCounts {
    fileprivate init(_ request: ReceivedRequest, _ key: KeyField) {
        self.init()
        authorization = request.count(.authorization)
        self.key = key.count
        origin = request.count(.origin)
        accessControlRequestMethod = request.count(.accessControlRequestMethod)
    }
}

/// `ANY /ext_authz/{policy}/…`: the check of Envoy's HTTP service, which sends the original request with this path as a
/// prefix.
///
/// The rest of the raw target is the original path and query: `/ext_authz/p/../oauth2/introspect` is a request for
/// `/../oauth2/introspect`, and is never routed.
struct ExternalAuthorization: ~Copyable, ~Escapable {
    private let forwardAuth: ForwardAuthEndpoint

    static let prefix: StaticString = "/ext_authz/"

    @_lifetime(copy context)
    init(_ context: consuming RequestContext, _ peer: IPAddress?) {
        forwardAuth = ForwardAuthEndpoint(context, peer)
    }

    func answer(_ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let path = forwardAuth.context.request.path
        let start = Self.prefix.utf8CodeUnitCount
        var end = start
        while end < path.byteCount, path.byte(at: end) != UInt8(ascii: "/") { end += 1 }
        guard let policy = forwardAuth.context.loop.policies.entry(path.slice(WireRange(start, end))) else {
            return out.appendRefusal(
                .notFound("there is no policy of this name"), forwardAuth.context.framing, forwardAuth.context.loop)
        }
        forwardAuth.answerCheck(of: forwardAuth.context.request.target(behind: end), under: policy, &scratch, &out)
    }

    /// Judges a request to a listener on which every path is the original one, under the policy of the listener.
    func answerWhole(under name: [UInt8], _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        guard let policy = forwardAuth.context.loop.policies.entry(name.octets) else {
            return out.appendRefusal(
                .unavailable("the policy of this listener is not configured"), forwardAuth.context.framing,
                forwardAuth.context.loop)
        }
        forwardAuth.answerCheck(of: forwardAuth.context.request.target(behind: 0), under: policy, &scratch, &out)
    }
}

extension Verifier: CredentialVerifying {
    @inline(__always)
    public func withText<Value>(_ kind: RecordText, _ number: UInt32, _ body: (RawSpan) -> Value) -> Value {
        switch kind {
        case .scopes: interned.withText(.scopes, number, body)
        case .audiences: interned.withText(.audiences, number, body)
        case .networks: interned.withText(.networks, number, body)
        }
    }
}

extension LoopState {
    /// Judges a request by the rule that a policy has for it, and counts the outcome.
    func judgeAndCount(
        _ interface: VerificationInterface, _ request: ForwardedRequest, under policy: PolicySet.Entry,
        _ requirement: inout Requirement, _ scratch: inout JudgingScratch, from address: () -> IPAddress?
    ) -> Judgement {
        if isRecording { access.note(policy: policy.name) }
        let judgement = Judge(verifier, at: clock.now).judge(
            request, under: policy, &requirement, &scratch, from: address)
        note(judgement, &scratch.record, interface, from: address)
        return judgement
    }

    /// Judges a request by the requirement in the gateway's query, and counts the outcome.
    func judgeAndCount(
        _ interface: VerificationInterface, _ request: ForwardedRequest, by requirement: Requirement,
        _ scratch: inout JudgingScratch, from address: () -> IPAddress?
    ) -> Judgement {
        let judgement = Judge(verifier, at: clock.now).judge(request, by: requirement, &scratch, from: address)
        note(judgement, &scratch.record, interface, from: address)
        return judgement
    }

    @inline(__always)
    private func note(
        _ judgement: Judgement, _ record: inout CredentialRecord, _ interface: VerificationInterface,
        from address: () -> IPAddress?
    ) {
        if isRecording { access.note(address: address()) }
        switch judgement {
        case .allowed: note(interface, nil, on: &record)
        case .notAccepted(let reason): note(interface, reason, on: &record)
        case .insufficientScope: note(interface, .insufficientScope, on: &record)
        case .noCredential: note(interface, .noCredential)
        case .unavailable: noteUnavailable(interface)
        case .malformed: if isRecording { access.note(.malformed) }
        case .preflight: if isRecording { access.note(.preflight) }
        }
    }
}
