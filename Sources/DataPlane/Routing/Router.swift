import CMachine
import CredentialModel
import ForwardAuth
import HTTPWire
import NIOCore

/// Finds the endpoint of a request, lets only its callers in, and has it answered.
///
/// An endpoint judges first, once, and then writes: an answer that does not fit is written again with more room, and nothing
/// is verified or counted again.
struct Router: Sendable {
    let policy: ListenerPolicy

    @inline(__always)
    private func route(_ path: RawSpan) -> Route? {
        let routes = policy.routes
        for index in routes.indices where routes[index].owns(path) { return routes[index] }
        return nil
    }

    /// Answers a whole request.
    /// - Returns: the request, if its answer has to wait.
    func answer(
        _ context: consuming RequestContext, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) -> ChangesWait? {
        let (start, loop) = (cs_ticks(), context.loop)
        scratch.judging.text.clear()
        guard let route = route(context.request.path), route.methods.contains(context.request.method) else {
            refuseUnrouted(context, &out)
            return nil
        }
        var wait: ChangesWait?
        switch context.admit(to: route, &caller, &scratch) {
        case .allowed(let audience): wait = answer(at: route, context, audience, caller.peer, &scratch, &out)
        case .refused(let refusal): refuse(refusal, at: route, context, &scratch, &out)
        }
        if let interface = route.interface { loop.times.note(interface, since: start) }
        return wait
    }

    /// Judges a request by its head, before its body is kept: whether it is served here, and whether its caller may ask. The
    /// whole request is judged again, since a caller may be revoked in between.
    /// - Returns: false when it is refused; the answer is written.
    @inline(never)
    func admit(
        _ context: consuming RequestContext, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) -> Bool {
        scratch.judging.text.clear()
        guard let route = route(context.request.path), route.methods.contains(context.request.method) else {
            refuseUnrouted(context, &out)
            return false
        }
        guard let refusal = context.refusalByHead(at: route, &caller, &scratch) else { return true }
        refuse(refusal, at: route, context, &scratch, &out)
        return false
    }

    @inline(__always)
    private func answer(
        at route: Route, _ context: consuming RequestContext, _ audience: CallerAudience, _ peer: IPAddress?,
        _ scratch: inout RequestScratch, _ out: inout ByteBuffer
    ) -> ChangesWait? {
        switch route.endpoint {
        case .introspection: Introspection(context).answer(audience, &scratch, &out)
        case .forwardAuth: ForwardAuthEndpoint(context, peer).answer(&scratch, &out)
        case .externalAuthorization: ExternalAuthorization(context, peer).answer(&scratch, &out)
        case .authorizationOnly:
            ExternalAuthorization(context, peer).answerWhole(under: policy.authzOnly ?? [], &scratch, &out)
        case .verdicts: Verdicts(context).answer(audience, &scratch, &out)
        case .tokenReview: TokenReview(context).answer(audience, &out)
        case .changes: return Changes(context).answer(&scratch, &out)
        case .liveness: Health(context).answerLiveness(&out)
        case .readiness: Health(context).answerReadiness(&out)
        case .metrics: Health(context).answerMetrics(&out)
        }
        return nil
    }

    /// Refuses in the words of the endpoint's protocol.
    @inline(never)
    private func refuse(
        _ refusal: Refusal, at route: Route, _ context: consuming RequestContext, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) {
        switch route.endpoint {
        case .introspection: Introspection(context).refuse(refusal, &out)
        case .forwardAuth: ForwardAuthEndpoint(context, nil).refuse(refusal, &scratch, &out)
        default: out.appendRefusal(refusal, context.exchange, context.loop)
        }
    }

    @inline(never)
    private func refuseUnrouted(_ context: borrowing RequestContext, _ out: inout ByteBuffer) {
        let (exchange, loop) = (context.exchange, context.loop)
        guard let route = route(context.request.path) else {
            return out.appendRefusal(.notFound("there is nothing at this path"), exchange, loop)
        }
        _ = out.appendAnswer {
            $0.problem(405, "this path does not take this method", exchange, loop) {
                $0.append(field: "Allow", route.methods.text)
            }
        }
    }

    /// Answers what is no request. The connection closes behind it.
    func refuse(_ fault: WireFault, _ loop: LoopState, _ out: inout ByteBuffer) {
        _ = out.appendAnswer {
            $0.problem(fault.status, fault.reason, .last, loop) {
                // RFC 9110 §15.5.6: a 405 says what is allowed.
                if fault == .connectMethod { $0.append(field: "Allow", "GET, HEAD, POST") }
            }
        }
    }
}

/// What probes and Prometheus ask for.
private struct Health {
    private let exchange: Exchange
    private let loop: LoopState

    init(_ context: borrowing RequestContext) { (exchange, loop) = (context.exchange, context.loop) }

    func answerLiveness(_ out: inout ByteBuffer) {
        _ = out.appendAnswer { $0.whole(200, "text/plain", "ok\n", exchange, loop) { _ in } }
    }

    func answerReadiness(_ out: inout ByteBuffer) {
        _ = out.appendAnswer { out in
            switch loop.services.readiness.current {
            case .ready: out.whole(200, "text/plain", "ready\n", exchange, loop) { _ in }
            case .starting: refuse("the service is starting", "1", &out)
            case .draining: refuse("the service is shutting down", "5", &out)
            case .failed: refuse("the store has failed and the process is ending", "5", &out)
            }
        }
    }

    private func refuse(_ reason: StaticString, _ seconds: StaticString, _ out: inout ByteWriter) {
        out.problem(503, reason, exchange, loop) { $0.append(field: "Retry-After", seconds) }
    }

    @inline(never)
    func answerMetrics(_ out: inout ByteBuffer) {
        let text = Array(loop.services.exposition().utf8)
        _ = out.appendAnswer { out in
            let slot = out.beginUnsized(200, exchange, loop)
            out.append("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nCache-Control: no-store\r\n")
            out.endHead()
            let start = out.written
            out.append(text.octets)
            out.end(slot, from: start, exchange)
        }
    }
}
