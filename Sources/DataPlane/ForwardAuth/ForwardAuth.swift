import CredentialModel
import CredentialStore
import HTTPWire
import Listening
import Verification

/// `ANY /verify`: says to a gateway whether the request it forwards may pass, and on whose behalf.
struct ForwardAuth {
    let policy: ListenerPolicy
    let exchange: Exchange
    let loop: LoopState
    var interface = VerificationInterface.forwardAuth

    func answer(
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        var answer = ForwardAuthAnswer(exchange: exchange, loop: loop, isNginx: false)
        let own = bytes.slice(request.query ?? WireRange())
        var needs = Needs.read(own, &scratch.text)
        answer.isNginx = needs.isNginx
        if let fault = needs.fault { return answer.refuse(fault, &out) }
        guard caller.mayVerify(loop, interface) else { return answer.forbidden(Refusal.callers, &out) }
        let original: OriginalRequest
        do throws(OriginalRequest.Fault) {
            original = try OriginalRequest(request, bytes, policy)
        } catch {
            return answer.refuse(error.reason, &out)
        }
        let uri = bytes.slice(original.uri ?? WireRange())
        if let name = needs.policy {
            guard let policy = scratch.text.withBytes(of: name, in: own, { loop.policies.entry($0) }) else {
                return answer.refuse("there is no policy of this name", &out)
            }
            let path = uri.slice(OriginalURI(uri).path)
            let rule: PolicySet.Rule
            switch policy.choose(host: bytes.slice(original.host ?? WireRange()), path: path) {
            case .rule(let chosen): rule = chosen
            case .unclear(let reason): return answer.refuse(reason, &out)
            }
            needs.rule = rule
            if rule.allowsPreflight,
                FieldCounts(request, KeyField(request, bytes, loop.settings.keyHeaders)).isPreflight(original.isOptions)
            {
                return answer.pass(uri, &out)
            }
        }
        let key = KeyField(request, bytes, loop.settings.keyHeaders)
        let fields = FieldCounts(request, key)
        // Without an original URI, a gateway may have kept the client's own query.
        let query = original.uri == nil ? own : uri.slice(OriginalURI(uri).query ?? WireRange())
        var record = CredentialRecord.blank
        let judgement = loop.judge.judge(
            bytes.slice(request.value(.authorization) ?? WireRange()), bytes.slice(key.value), fields, query: query,
            needs, own, interface,
            at: loop.now, &scratch, into: &record
        ) { clientAddress(request, bytes, caller) }
        write(judgement, needs, own, &record, uri, answer, scratch.text, &out)
    }

    /// A request that is told by its own path, under a policy.
    func answer(
        _ uri: RawSpan, host: RawSpan, method: Method, under policy: PolicySet.Entry,
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        let answer = ForwardAuthAnswer(exchange: exchange, loop: loop, isNginx: false, isEnvoy: true)
        guard caller.mayVerify(loop, interface) else { return answer.forbidden(Refusal.callers, &out) }
        var needs = Needs()
        var record = CredentialRecord.blank
        let key = KeyField(request, bytes, loop.settings.keyHeaders)
        let judgement = loop.judge.judge(
            uri, host: host, isOptions: method == .options, under: policy,
            bytes.slice(request.value(.authorization) ?? WireRange()), bytes.slice(key.value),
            FieldCounts(request, key), interface, at: loop.now, &scratch, &needs, into: &record
        ) { clientAddress(request, bytes, caller) }
        write(judgement, needs, RawSpan(), &record, uri, answer, scratch.text, &out)
    }

    func trouble(_ reason: StaticString, _ out: inout ByteWriter) {
        out.problem(503, reason, exchange, loop) { $0.append(field: "Retry-After", "1") }
    }

    private func clientAddress(_ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller) -> IPAddress? {
        ClientAddress.find(
            request, bytes, peer: caller.peer, by: policy.addressField, trusted: loop.settings.trustedProxies)
    }

    private func write(
        _ judgement: Judgement, _ needs: Needs, _ own: RawSpan, _ record: inout CredentialRecord, _ uri: RawSpan,
        _ answer: ForwardAuthAnswer, _ text: borrowing FormScratch, _ out: inout ByteWriter
    ) {
        switch judgement {
        case .allowed: answer.allow(&record, uri, &out)
        case .passed: answer.pass(uri, &out)
        case .noCredential: needs.withScope(own, text) { answer.challenge($0, &out) }
        case .malformed(let reason): answer.refuse(reason, &out)
        case .notAccepted: answer.invalidToken(&out)
        case .insufficientScope: needs.withScope(own, text) { answer.insufficientScope($0, &out) }
        case .trouble: answer.trouble(&out)
        }
    }
}

/// The fields of a request that may hold a key, besides Authorization.
private struct KeyField {
    /// The value of the first of them.
    private(set) var value = WireRange()
    private(set) var count = 0

    init(_ request: borrowing RequestHead, _ bytes: RawSpan, _ names: [[UInt8]]) {
        if names.isEmpty { return }
        for index in 0..<request.fieldCount where request.field(at: index) == .unknown {
            let name = bytes.slice(request.name(at: index))
            guard names.contains(where: { name.isName($0) }) else { continue }
            if count == 0 { value = request.value(at: index) }
            count += 1
        }
    }
}

extension FieldCounts {
    fileprivate init(_ request: borrowing RequestHead, _ key: KeyField) {
        authorization = request.count(.authorization)
        self.key = key.count
        origin = request.count(.origin)
        accessControlRequestMethod = request.count(.accessControlRequestMethod)
    }
}
