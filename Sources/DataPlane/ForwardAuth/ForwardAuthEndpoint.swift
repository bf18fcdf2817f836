import CredentialModel
import ForwardAuth
import HTTPWire
import NIOCore
import Verification

/// `ANY /verify`: says to a gateway whether the request it forwards may pass, and on whose behalf.
struct ForwardAuthEndpoint: ~Copyable, ~Escapable {
    let context: RequestContext
    private var loop: LoopState { context.loop }
    private let peer: IPAddress?

    /// - Parameter peer: who connected; nil for a Unix socket.
    @_lifetime(copy context)
    init(_ context: consuming RequestContext, _ peer: IPAddress?) {
        self.context = context
        self.peer = peer
    }

    func answer(_ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let own = context.request.query
        var requirement = Requirement(own, &scratch.judging.text)
        let answer = ForwardAuthAnswer(
            exchange: context.exchange, loop: loop, isNginx: requirement.isNginx)
        if let fault = requirement.fault { return answer.refuse(.malformed(fault), &out) }
        let original: OriginalRequest
        do throws(OriginalRequest.Fault) {
            original = try OriginalRequest(context.request, context.policy.gatewayHeaders)
        } catch {
            return answer.refuse(.malformed(error.reason), &out)
        }
        let key = KeyField(context.request, loop.services.settings.keyHeaders)
        let request = ForwardedRequest(
            uri: original.uri, host: original.host,
            // Where nobody said which fields are the gateway's, the method may be the client's: no preflight passes.
            isOptions: original.isOptions && context.policy.gatewayHeaders.family != nil,
            authorization: context.request.value(.authorization), keyField: key.value,
            counts: FieldCounts(context.request, key), ownQuery: original.hasURI ? RawSpan() : own)
        let judgement: Judgement
        if !requirement.namesPolicy {
            judgement = loop.judge(.forwardAuth, request, by: requirement, &scratch.judging) { clientAddress() }
        } else if let policy = requirement.namedPolicy(loop.policies, scratch.judging.text) {
            judgement = loop.judge(.forwardAuth, request, under: policy, &requirement, &scratch.judging) {
                clientAddress()
            }
        } else {
            return answer.refuse(.malformed("there is no policy of this name"), &out)
        }
        answer.write(judgement, request.uri, requirement, &scratch, &out)
    }

    /// A request that is told by its own path, under a policy.
    /// - Parameter uri: its path and query.
    func answer(
        _ uri: RawSpan, under policy: PolicySet.Entry, _ scratch: inout RequestScratch, _ out: inout ByteBuffer
    ) {
        var requirement = Requirement()
        let key = KeyField(context.request, loop.services.settings.keyHeaders)
        let request = ForwardedRequest(
            uri: uri, host: context.request.value(.host),
            isOptions: context.request.method == .options, authorization: context.request.value(.authorization),
            keyField: key.value, counts: FieldCounts(context.request, key))
        let judgement = loop.judge(.externalAuthorization, request, under: policy, &requirement, &scratch.judging) {
            clientAddress()
        }
        ForwardAuthAnswer(exchange: context.exchange, loop: loop, isNginx: false, isEnvoy: true)
            .write(judgement, uri, requirement, &scratch, &out)
    }

    /// A request that is not judged, in the statuses that its gateway passes on.
    func refuse(_ refusal: Refusal, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let isNginx = Requirement(context.request.query, &scratch.judging.text).isNginx
        ForwardAuthAnswer(exchange: context.exchange, loop: loop, isNginx: isNginx).refuse(refusal, &out)
    }

    private func clientAddress() -> IPAddress? {
        ClientAddress.find(
            context.request, peer: peer, by: context.policy.gatewayHeaders,
            trusted: loop.services.settings.trustedProxies)
    }
}

/// The fields of a request that may hold a key, besides Authorization.
private struct KeyField: ~Escapable {
    /// The value of the first of them.
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
