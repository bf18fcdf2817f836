import CMachine
import CredentialModel
import HTTPWire

/// Which endpoint answers a request.
struct Router: Sendable {
    let policy: ListenerPolicy

    /// What one request may cost on this plane.
    static let limits = {
        var limits = WireLimits()
        limits.limitBody(to: VerifyForm.bodyBytesMax, under: verdictsPath)
        return limits
    }()

    private static let verdictsPath: StaticString = "/v1/verify"

    /// What a path is answered by.
    private enum Endpoint {
        case introspection, forwardAuth, externalAuthorization, authorizationOnly, verdicts, tokenReview, changes
        case liveness, readiness, metrics, none

        /// Where a verification is counted; nil: nothing is verified.
        var interface: VerificationInterface? {
            switch self {
            case .introspection: .introspection
            case .forwardAuth: .forwardAuth
            case .externalAuthorization, .authorizationOnly: .externalAuthorization
            case .verdicts: .verdicts
            case .tokenReview: .tokenReview
            case .changes, .liveness, .readiness, .metrics, .none: nil
            }
        }

        /// The methods that it takes; nil: all.
        var methods: StaticString? {
            switch self {
            case .introspection, .verdicts, .tokenReview: "POST"
            case .changes: "GET"
            case .liveness, .readiness, .metrics: "GET, HEAD"
            case .forwardAuth, .externalAuthorization, .authorizationOnly, .none: nil
            }
        }

        @inline(__always)
        func takes(_ method: Method) -> Bool {
            switch self {
            case .introspection, .verdicts, .tokenReview: method == .post
            case .changes: method == .get
            case .liveness, .readiness, .metrics: method == .get || method == .head
            case .forwardAuth, .externalAuthorization, .authorizationOnly, .none: true
            }
        }
    }

    @inline(__always)
    private func endpoint(_ path: RawSpan) -> Endpoint {
        if policy.authzOnly != nil { return .authorizationOnly }
        if !policy.isHealthOnly {
            if path.isEqual("/oauth2/introspect") { return .introspection }
            if path.isEqual("/verify") { return .forwardAuth }
            if ExternalAuthorization.owns(path) { return .externalAuthorization }
            if path.isEqual(Self.verdictsPath) { return .verdicts }
            if path.isEqual(TokenReview.path) { return .tokenReview }
            if path.isEqual("/v1/changes") { return .changes }
        }
        if path.isEqual("/livez") { return .liveness }
        if path.isEqual("/readyz") { return .readiness }
        return policy.isHealthOnly && path.isEqual("/metrics") ? .metrics : .none
    }

    /// Writes the answer to one request.
    func answer(
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ body: RawSpan, _ exchange: Exchange,
        _ caller: inout Caller, _ loop: LoopState, _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) {
        let start = cs_ticks()
        let endpoint = endpoint(bytes.slice(request.path))
        guard endpoint.takes(request.method) else { return refuseMethod(endpoint, exchange, loop, &out) }
        answer(at: endpoint, request, bytes, body, exchange, &caller, loop, &scratch, &out)
        if let interface = endpoint.interface { loop.times.note(interface, since: start) }
    }

    @inline(__always)
    private func answer(
        at endpoint: Endpoint, _ request: borrowing RequestHead, _ bytes: RawSpan, _ body: RawSpan,
        _ exchange: Exchange, _ caller: inout Caller, _ loop: LoopState, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        switch endpoint {
        case .authorizationOnly:
            externalAuthorization(exchange, loop)
                .answerWhole(under: policy.authzOnly ?? [], request, bytes, caller, &scratch, &out)
        case .introspection:
            Introspection(request: request, exchange: exchange, loop: loop)
                .answer(bytes, body, &caller, &scratch, &out)
        case .forwardAuth:
            ForwardAuth(policy: policy, exchange: exchange, loop: loop)
                .answer(request, bytes, caller, &scratch, &out)
        case .externalAuthorization:
            externalAuthorization(exchange, loop).answer(request, bytes, caller, &scratch, &out)
        case .verdicts:
            Verdicts(request: request, exchange: exchange, loop: loop)
                .answer(bytes, body, &caller, &scratch, &out)
        case .tokenReview:
            TokenReview(request: request, exchange: exchange, loop: loop)
                .answer(bytes, body, &caller, &scratch, &out)
        case .changes:
            Changes(exchange: exchange, loop: loop).answer(request, bytes, &caller, &scratch, &out)
        case .liveness:
            out.whole(200, "text/plain", "ok\n", exchange, loop) { _ in }
        case .readiness:
            answerReadiness(exchange, loop, &out)
        case .metrics:
            answerMetrics(exchange, loop, &out)
        case .none:
            refusePath(exchange, loop, &out)
        }
    }

    /// Judges a request by its head, before its body is kept: whether it is served here, and whether its caller may ask.
    /// The whole request is judged again, since a caller may be revoked in between.
    /// - Returns: false when it is refused; the answer is written.
    @inline(never)
    func admit(
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ exchange: Exchange, _ caller: inout Caller,
        _ loop: LoopState, _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) -> Bool {
        let endpoint = endpoint(bytes.slice(request.path))
        guard endpoint.takes(request.method) else {
            refuseMethod(endpoint, exchange, loop, &out)
            return false
        }
        switch endpoint {
        case .introspection:
            return Introspection(request: request, exchange: exchange, loop: loop)
                .admit(bytes, &caller, &scratch, &out)
        case .verdicts:
            return Verdicts(request: request, exchange: exchange, loop: loop)
                .admit(bytes, &caller, &scratch, &out) != nil
        case .tokenReview:
            return TokenReview(request: request, exchange: exchange, loop: loop)
                .admit(bytes, &caller, &scratch, &out) != nil
        case .changes:
            return Changes(exchange: exchange, loop: loop).admit(request, bytes, &caller, &scratch, &out)
        case .forwardAuth, .externalAuthorization, .authorizationOnly:
            guard !caller.mayVerify(loop, endpoint.interface ?? .forwardAuth) else { return true }
            let isNginx =
                endpoint == .forwardAuth
                && Needs.read(bytes.slice(request.query ?? WireRange()), &scratch.text).isNginx
            ForwardAuthAnswer(exchange: exchange, loop: loop, isNginx: isNginx).forbidden(Refusal.callers, &out)
            return false
        case .liveness, .readiness, .metrics:
            return true
        case .none:
            refusePath(exchange, loop, &out)
            return false
        }
    }

    private func externalAuthorization(_ exchange: Exchange, _ loop: LoopState) -> ExternalAuthorization {
        ExternalAuthorization(
            forwardAuth: ForwardAuth(
                policy: policy, exchange: exchange, loop: loop, interface: .externalAuthorization))
    }

    /// Writes the answer to what is no request. The connection closes behind it.
    func refuse(_ fault: WireFault, _ loop: LoopState, _ out: inout ByteWriter) {
        let exchange = Exchange(minorVersion: 1, isHead: false, keepAlive: false)
        out.problem(fault.status, fault.reason, exchange, loop) {
            // RFC 9110 §15.5.6: a 405 says what is allowed.
            if fault == .connectMethod { $0.append(field: "Allow", "GET, HEAD, POST") }
        }
    }

    private func refusePath(_ exchange: Exchange, _ loop: LoopState, _ out: inout ByteWriter) {
        out.problem(404, "there is nothing at this path", exchange, loop) { _ in }
    }

    private func refuseMethod(
        _ endpoint: Endpoint, _ exchange: Exchange, _ loop: LoopState, _ out: inout ByteWriter
    ) {
        out.problem(405, "this path does not take this method", exchange, loop) { out in
            if let methods = endpoint.methods { out.append(field: "Allow", methods) }
        }
    }

    @inline(never)
    private func answerMetrics(_ exchange: Exchange, _ loop: LoopState, _ out: inout ByteWriter) {
        let slot = out.beginUnsized(200, exchange, loop)
        out.append("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nCache-Control: no-store\r\n")
        out.endHead()
        let start = out.written
        out.append(Array(loop.exposition().utf8).octets)
        out.end(slot, from: start, exchange)
    }

    private func answerReadiness(_ exchange: Exchange, _ loop: LoopState, _ out: inout ByteWriter) {
        switch loop.readiness.current {
        case .ready:
            out.whole(200, "text/plain", "ready\n", exchange, loop) { _ in }
        case .starting:
            out.problem(503, "the service is starting", exchange, loop) { $0.append(field: "Retry-After", "1") }
        case .draining:
            out.problem(503, "the service is shutting down", exchange, loop) { $0.append(field: "Retry-After", "5") }
        case .failed:
            out.problem(503, "the store has failed and the process is ending", exchange, loop) {
                $0.append(field: "Retry-After", "5")
            }
        }
    }
}
