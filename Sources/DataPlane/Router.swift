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

    /// Writes the answer to one request.
    func answer(
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ body: RawSpan, _ exchange: Exchange,
        _ caller: inout Caller, _ loop: LoopState, _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) {
        let path = bytes.slice(request.path)
        if let name = policy.authzOnly {
            externalAuthorization(exchange, loop)
                .answerWhole(under: name, request, bytes, caller, &scratch, &out)
        } else if path.isEqual("/oauth2/introspect"), !policy.isHealthOnly {
            guard request.method == .post else { return refuseMethod("POST", exchange, loop, &out) }
            Introspection(request: request, exchange: exchange, loop: loop)
                .answer(bytes, body, &caller, &scratch, &out)
        } else if path.isEqual("/verify"), !policy.isHealthOnly {
            ForwardAuth(policy: policy, exchange: exchange, loop: loop)
                .answer(request, bytes, caller, &scratch, &out)
        } else if ExternalAuthorization.owns(path), !policy.isHealthOnly {
            externalAuthorization(exchange, loop).answer(request, bytes, caller, &scratch, &out)
        } else if path.isEqual(Self.verdictsPath), !policy.isHealthOnly {
            guard request.method == .post else { return refuseMethod("POST", exchange, loop, &out) }
            Verdicts(request: request, exchange: exchange, loop: loop)
                .answer(bytes, body, &caller, &scratch, &out)
        } else if path.isEqual(TokenReview.path), !policy.isHealthOnly {
            guard request.method == .post else { return refuseMethod("POST", exchange, loop, &out) }
            TokenReview(request: request, exchange: exchange, loop: loop)
                .answer(bytes, body, &caller, &scratch, &out)
        } else if path.isEqual("/v1/changes"), !policy.isHealthOnly {
            guard request.method == .get else { return refuseMethod("GET", exchange, loop, &out) }
            Changes(exchange: exchange, loop: loop).answer(request, bytes, &caller, &scratch, &out)
        } else if path.isEqual("/livez") {
            guard isRead(request) else { return refuseMethod("GET, HEAD", exchange, loop, &out) }
            out.whole(200, "text/plain", "ok\n", exchange, loop) { _ in }
        } else if path.isEqual("/readyz") {
            guard isRead(request) else { return refuseMethod("GET, HEAD", exchange, loop, &out) }
            answerReadiness(exchange, loop, &out)
        } else if path.isEqual("/metrics"), policy.isHealthOnly {
            guard isRead(request) else { return refuseMethod("GET, HEAD", exchange, loop, &out) }
            answerMetrics(exchange, loop, &out)
        } else {
            out.problem(404, "there is nothing at this path", exchange, loop) { _ in }
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

    private func isRead(_ request: borrowing RequestHead) -> Bool {
        request.method == .get || request.method == .head
    }

    private func refuseMethod(
        _ allowed: StaticString, _ exchange: Exchange, _ loop: LoopState, _ out: inout ByteWriter
    ) {
        out.problem(405, "this path does not take this method", exchange, loop) { $0.append(field: "Allow", allowed) }
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
