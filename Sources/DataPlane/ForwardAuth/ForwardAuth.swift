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
        guard mayAsk(caller) else { return answer.forbidden("this endpoint is open to local callers only", &out) }
        let original: OriginalRequest
        do throws(OriginalRequest.Fault) {
            original = try OriginalRequest(request, bytes, trusted: policy.originalHeaders)
        } catch {
            return answer.refuse(error.reason, &out)
        }
        let uri = bytes.slice(original.uri ?? WireRange())
        if let name = needs.policy {
            guard let policy = scratch.text.withBytes(of: name, in: own, { loop.policies.entry($0) }) else {
                return answer.refuse("there is no policy of this name", &out)
            }
            let path = uri.slice(OriginalURI(uri).path)
            let host = bytes.slice(request.value(.xForwardedHost) ?? WireRange())
            guard let rule = policy.rule(host: host, path: path) else {
                return answer.refuse("the path can be read in more than one way", &out)
            }
            needs.rule = rule
            if rule.allowsPreflight, isPreflight(request, original.method(request, bytes)) {
                return answer.pass(uri, &out)
            }
        }
        // Without an original URI, a gateway may have kept the client's own query.
        let query = original.uri == nil ? own : uri.slice(OriginalURI(uri).query ?? WireRange())
        check(needs, own, uri: uri, query: query, request, bytes, caller, &scratch, answer, &out)
    }

    /// A request that is told by its own path, under a policy.
    func answer(
        _ uri: RawSpan, host: RawSpan, method: Method, under policy: PolicySet.Entry,
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        let answer = ForwardAuthAnswer(exchange: exchange, loop: loop, isNginx: false, isEnvoy: true)
        guard mayAsk(caller) else { return answer.forbidden("this endpoint is open to local callers only", &out) }
        let parts = OriginalURI(uri)
        guard let rule = policy.rule(host: host, path: uri.slice(parts.path)) else {
            return answer.refuse("the path can be read in more than one way", &out)
        }
        if rule.allowsPreflight, isPreflight(request, method == .options) { return answer.pass(uri, &out) }
        var needs = Needs()
        needs.rule = rule
        let query = uri.slice(parts.query ?? WireRange())
        check(
            needs, RawSpan(), uri: uri, query: query, request, bytes, caller, &scratch, answer, &out)
    }

    func trouble(_ reason: StaticString, _ out: inout ByteWriter) {
        out.problem(503, reason, exchange, loop) { $0.append(field: "Retry-After", "1") }
    }

    /// Whether a browser asks beforehand if it may send its request (Fetch §4.8). It has no credential to send with that.
    private func isPreflight(_ request: borrowing RequestHead, _ isOptions: Bool) -> Bool {
        isOptions && request.count(.authorization) == 0 && request.count(.origin) == 1
            && request.count(.accessControlRequestMethod) == 1
    }

    /// Finds the one credential, and judges it by what is needed.
    private func check(
        _ needs: Needs, _ own: RawSpan, uri: RawSpan, query: RawSpan, _ request: borrowing RequestHead,
        _ bytes: RawSpan, _ caller: Caller, _ scratch: inout RequestScratch, _ answer: ForwardAuthAnswer,
        _ out: inout ByteWriter
    ) {
        switch PresentedCredential.find(request, bytes, query: query, &scratch.query) {
        case .none, .unsupported:
            answer.challenge(&out)
        case .malformed(let reason):
            answer.refuse(reason, &out)
        // What a policy does not take is as good as a scheme that nobody knows.
        case .key where needs.rule.map({ !$0.allowsKeys }) ?? false: answer.challenge(&out)
        case .token where needs.rule.map({ !$0.allowsTokens }) ?? false: answer.challenge(&out)
        case .key(.query) where needs.rule.map({ !$0.allowsQueryKeys }) ?? false: answer.challenge(&out)
        case .key(.head(let range)):
            judge(bytes.slice(range), .apiKey, needs, own, request, bytes, caller, uri, answer, scratch.text, &out)
        case .key(.query(let text)):
            scratch.query.withBytes(of: text, in: query) { key in
                judge(key, .apiKey, needs, own, request, bytes, caller, uri, answer, scratch.text, &out)
            }
        case .token(.head(let range)):
            judge(bytes.slice(range), .accessToken, needs, own, request, bytes, caller, uri, answer, scratch.text, &out)
        case .token(.query):
            // RFC 6750 §2.3: a token in a URL is logged along the way; it is not looked for.
            answer.challenge(&out)
        }
    }

    /// Local callers, callers with a verified certificate, and those from listed networks.
    private func mayAsk(_ caller: Caller) -> Bool {
        if policy.isLocal || !caller.certificateNames.isEmpty { return true }
        guard let peer = caller.peer else { return false }
        return loop.settings.verifySources.contains { $0.contains(peer) }
    }

    private func clientAddress(_ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller) -> IPAddress? {
        ClientAddress.find(request, bytes, peer: caller.peer, trusted: loop.settings.trustedProxies)
    }

    private func judge(
        _ credential: RawSpan, _ kind: CredentialKind, _ needs: Needs, _ own: RawSpan,
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller, _ uri: RawSpan,
        _ answer: ForwardAuthAnswer, _ text: borrowing FormScratch, _ out: inout ByteWriter
    ) {
        let interned = loop.interned
        do throws(StoreFailure) {
            var record = CredentialRecord.blank
            if let reason = try loop.verifier.verify(credential, at: loop.now, into: &record) {
                loop.counts.noteInactive(interface, record.kind, reason)
                return answer.invalidToken(&out)
            }
            guard record.kind == kind,
                // Most credentials have no limit, and need no address.
                record.networks == 0
                    || Decision.allows(
                        networks: record.networks, from: clientAddress(request, bytes, caller), interned: interned),
                needs.isMeant(audiences: record.audiences, own, text, interned)
            else {
                let isMeant = needs.isMeant(audiences: record.audiences, own, text, interned)
                loop.counts.note(
                    interface, record.kind,
                    record.kind != kind ? .wrongKind : isMeant ? .wrongNetwork : .wrongAudience)
                return answer.invalidToken(&out)
            }
            guard needs.isGranted(scopes: record.scopes, own, text, interned) else {
                loop.counts.note(interface, kind, .insufficientScope)
                return needs.withScope(own, text) { answer.insufficientScope($0, &out) }
            }
            loop.counts.noteValid(interface, kind, record.flags)
            answer.allow(&record, uri, &out)
        } catch {
            loop.counts.note(interface, nil, .trouble)
            answer.trouble(&out)
        }
    }
}
