import CMachine
import CredentialModel
import ForwardAuth
import HTTPWire
import NIOCore

/// Finds the route of a request, authenticates the caller, and calls the endpoint.
///
/// An endpoint first decides, once, and then writes: a response that does not fit is written again with more capacity,
/// but nothing is verified or counted again.
struct Router: Sendable {
    let listener: ListenerConfiguration

    @inline(__always)
    private func route(_ path: RawSpan) -> Route? {
        let routes = listener.routes
        for index in routes.indices where routes[index].matches(path) { return routes[index] }
        return nil
    }

    /// Answers a complete request.
    /// - Returns: the waiting request, if the response is not complete.
    func answer(
        _ context: consuming RequestContext, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) -> ChangesWait? {
        let (start, loop) = (cs_ticks(), context.loop)
        let (written, isCorrelated) = (out.writerIndex, context.framing.isCorrelated)
        loop.beginRecord()
        scratch.judging.text.clear()
        guard let route = route(context.request.path), route.methods.contains(context.request.method) else {
            refuseUnrouted(context, &out)
            if loop.endRecord() { record(nil, caller, loop, isCorrelated, out, written, start) }
            return nil
        }
        var wait: ChangesWait?
        switch context.admit(to: route, &caller, &scratch) {
        case .allowed(let audience): wait = callEndpoint(of: route, context, audience, caller.peer, &scratch, &out)
        case .refused(let refusal): refuse(refusal, at: route, context, &scratch, &out)
        }
        guard loop.questions?.mustAsk != true else { return wait }
        if let interface = route.interface { loop.times.note(interface, since: start) }
        if !route.isForProbes, loop.endRecord() {
            if wait != nil { loop.access.note(.waits) }
            record(route.interface ?? .changes, caller, loop, isCorrelated, out, written, start)
        }
        return wait
    }

    /// - Parameter written: where the response begins in the buffer.
    @inline(never)
    private func record(
        _ interface: VerificationInterface?, _ caller: borrowing Caller, _ loop: LoopState, _ isCorrelated: Bool,
        _ out: borrowing ByteBuffer, _ written: Int, _ start: UInt64
    ) {
        if listener.isHealthOnly { return }
        loop.access.finish(
            interface, peer: caller.peer, status: out.status(ofResponseAt: written), since: start,
            isCorrelated ? loop.correlation : nil)
    }

    /// Checks the head before the body is buffered: whether the path and method are served, and whether the caller is
    /// admitted. The complete request is checked again, since a caller may be revoked in between.
    /// - Returns: false if the request is refused; the response is written.
    @inline(never)
    func admit(
        _ context: consuming RequestContext, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) -> Bool {
        scratch.judging.text.clear()
        let (start, loop) = (cs_ticks(), context.loop)
        let (written, isCorrelated) = (out.writerIndex, context.framing.isCorrelated)
        loop.beginRecord()
        guard let route = route(context.request.path), route.methods.contains(context.request.method) else {
            refuseUnrouted(context, &out)
            if loop.endRecord() { record(nil, caller, loop, isCorrelated, out, written, start) }
            return false
        }
        guard let refusal = context.refusalByHead(at: route, &caller, &scratch) else { return true }
        refuse(refusal, at: route, context, &scratch, &out)
        // It will be decided again.
        guard loop.questions?.mustAsk != true else { return false }
        if loop.endRecord() {
            record(route.interface ?? .changes, caller, loop, isCorrelated, out, written, start)
        }
        return false
    }

    /// Records the refusal of what is no request, or not yet a whole one.
    func recordRefusal(_ status: UInt16, _ caller: borrowing Caller, _ loop: LoopState) {
        if listener.isHealthOnly { return }
        loop.beginRecord()
        guard loop.endRecord() else { return }
        loop.access.finish(nil, peer: caller.peer, status: status, since: cs_ticks(), nil)
    }

    @inline(__always)
    private func callEndpoint(
        of route: Route, _ context: consuming RequestContext, _ audience: CallerAudience, _ peer: IPAddress?,
        _ scratch: inout RequestScratch, _ out: inout ByteBuffer
    ) -> ChangesWait? {
        switch route.endpoint {
        case .introspection: Introspection(context).answer(audience, &scratch, &out)
        case .forwardAuth: ForwardAuthEndpoint(context, peer).answer(&scratch, &out)
        case .externalAuthorization: ExternalAuthorization(context, peer).answer(&scratch, &out)
        case .authorizationOnly:
            ExternalAuthorization(context, peer).answerWhole(under: listener.authzOnly ?? [], &scratch, &out)
        case .verdicts: Verdicts(context).answer(audience, &scratch, &out)
        case .tokenReview: TokenReview(context).answer(audience, &out)
        case .changes: return Changes(context).answer(&scratch, &out)
        case .liveness: Health(context).answerLiveness(&out)
        case .readiness: Health(context).answerReadiness(&out)
        case .metrics: Health(context).answerMetrics(&out)
        }
        return nil
    }

    /// Refuses in the form of the endpoint's protocol.
    @inline(never)
    private func refuse(
        _ refusal: Refusal, at route: Route, _ context: consuming RequestContext, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) {
        switch route.endpoint {
        case .introspection: Introspection(context).refuse(refusal, &out)
        case .forwardAuth: ForwardAuthEndpoint(context, nil).refuse(refusal, &scratch, &out)
        default: out.appendRefusal(refusal, context.framing, context.loop)
        }
    }

    @inline(never)
    private func refuseUnrouted(_ context: borrowing RequestContext, _ out: inout ByteBuffer) {
        let (framing, loop) = (context.framing, context.loop)
        guard let route = route(context.request.path) else {
            return out.appendRefusal(.notFound("nothing is served at this path"), framing, loop)
        }
        _ = out.appendAnswer {
            $0.problem(405, "the method is not allowed for this path", framing, loop) {
                $0.append(field: "Allow", route.methods.text)
            }
        }
    }

    /// Answers an invalid request. The connection closes after it.
    func refuse(_ fault: WireFault, _ loop: LoopState, _ out: inout ByteBuffer) {
        _ = out.appendAnswer {
            $0.problem(fault.status, fault.reason, .last, loop) {
                if let allow = fault.allow { $0.append(field: "Allow", allow) }
            }
        }
    }
}

/// Probes and metrics.
private struct Health {
    private let framing: ResponseFraming
    private let loop: LoopState

    init(_ context: borrowing RequestContext) { (framing, loop) = (context.framing, context.loop) }

    func answerLiveness(_ out: inout ByteBuffer) {
        _ = out.appendAnswer { $0.whole(200, "text/plain", "ok\n", framing, loop) { _ in } }
    }

    func answerReadiness(_ out: inout ByteBuffer) {
        _ = out.appendAnswer { out in
            let state = loop.services.readiness.current
            guard let reason = state.unreadyReason else {
                return out.whole(200, "text/plain", "ready\n", framing, loop) { _ in }
            }
            out.problem(503, reason, framing, loop) {
                $0.append(field: "Retry-After", state == .starting ? "1" : "5")
            }
        }
    }

    @inline(never)
    func answerMetrics(_ out: inout ByteBuffer) {
        let text = Array(loop.services.exposition().utf8)
        _ = out.appendAnswer { out in
            let slot = out.beginUnsized(200, framing, loop)
            out.append("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nCache-Control: no-store\r\n")
            out.endHead()
            let start = out.written
            out.append(text.octets)
            out.end(slot, from: start, framing)
        }
    }
}

/// One request as endpoints see it: a view, as ``HTTPWire/ReceivedRequest`` is. Not copyable: each copy would count
/// references on the hot path.
struct RequestContext: ~Copyable, ~Escapable {
    let request: ReceivedRequest
    let framing: ResponseFraming
    let listener: ListenerConfiguration
    let loop: LoopState

    @_lifetime(copy request)
    init(_ request: ReceivedRequest, keepAlive: Bool, _ listener: ListenerConfiguration, _ loop: LoopState) {
        self.request = request
        framing = ResponseFraming(
            minorVersion: request.minorVersion, isHead: request.method == .head, keepAlive: keepAlive,
            isCorrelated: request.isCorrelated && loop.correlation.read(request))
        self.listener = listener
        self.loop = loop
    }
}

extension RequestContext {
    /// The key or token with which the caller authenticates; empty if there is none. Presenting the very credential
    /// that is asked about does not authenticate the caller.
    var ownCredential: RawSpan {
        @_lifetime(copy self) get {
            let authorization = request.value(.authorization)
            switch AuthorizationField.parse(authorization) {
            case .bearer(let range), .apiKey(let range): return authorization.slice(range)
            default: return RawSpan()
            }
        }
    }
}
