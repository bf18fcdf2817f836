import CredentialModel
import CredentialStore
import HTTPWire
import Verification

/// `POST /oauth2/introspect` (RFC 7662).
struct Introspection {
    let head: IntrospectionHead
    let exchange: Exchange
    let loop: LoopState

    init(request: borrowing RequestHead, exchange: Exchange, loop: LoopState) {
        head = IntrospectionHead(request)
        self.exchange = exchange
        self.loop = loop
    }

    func answer(
        _ bytes: RawSpan, _ body: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        guard head.isBody(of: .form, bytes) else { return refuseType(&out) }
        if scratch.form.parse(body) != nil {
            return refuse("the form is not well encoded", &out)
        }
        guard head.authorizationCount <= 1 else { return refuse("more than one Authorization field", &out) }
        guard scratch.form.count(.clientID) <= 1, scratch.form.count(.clientSecret) <= 1,
            scratch.form.count(.clientIP) <= 1
        else { return refuse("a parameter is there twice", &out) }
        // The caller first: without him, good and bad tokens are answered alike and nothing is looked up.
        let authentication = CallerAuthentication(loop: loop, interface: .introspection)
        let outcome = authentication.judge(
            authorization: head.authorization, bytes, body, &caller, &scratch)
        if case .allowed(let audience) = outcome { return introspect(bytes, body, audience, &scratch, &out) }
        refuse(outcome, &out)
    }

    /// Judges the caller by the head, if that says who it is. Where it does not, credentials may come in the body.
    /// - Returns: false when the request is refused; the answer is written.
    func admit(
        _ bytes: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) -> Bool {
        guard head.isBody(of: .form, bytes) else {
            refuseType(&out)
            return false
        }
        guard head.authorizationCount <= 1 else {
            refuse("more than one Authorization field", &out)
            return false
        }
        guard head.authorization != nil else { return true }
        _ = scratch.form.parse(RawSpan())
        let outcome = CallerAuthentication(loop: loop, interface: .introspection)
            .judge(authorization: head.authorization, bytes, RawSpan(), &caller, &scratch)
        if case .allowed = outcome { return true }
        refuse(outcome, &out)
        return false
    }

    private func refuse(_ outcome: CallerOutcome, _ out: inout ByteWriter) {
        switch outcome {
        case .allowed: break
        case .unauthenticated, .invalidClient: refuseCaller(401, loop.challenges.basic, &out)
        case .invalidToken: refuseCaller(401, loop.challenges.invalidToken, &out)
        case .forbidden: refuseForbidden(&out)
        case .badRequest(let reason): refuse(reason, &out)
        case .trouble: trouble(&out)
        }
    }

    private func refuseType(_ out: inout ByteWriter) {
        out.problem(415, "the body must be application/x-www-form-urlencoded", exchange, loop) { _ in }
    }

    private func introspect(
        _ bytes: RawSpan, _ body: RawSpan, _ audience: CallerAudience, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        if let query = head.query, hasToken(bytes.slice(query), &scratch.text) {
            return refuse("token must be in the body: a URL is logged", &out)
        }
        guard scratch.form.count(.token) == 1, let token = scratch.form.text(.token), !token.isEmpty else {
            return refuse("token is required, once", &out)
        }
        var address: IPAddress?
        if let text = scratch.form.text(.clientIP) {
            guard let parsed = scratch.form.withBytes(of: text, in: body, { IPAddress($0) }) else {
                return refuse("client_ip is no IP address", &out)
            }
            address = parsed
        }
        do throws(StoreFailure) {
            var record = CredentialRecord.blank
            let reason = try scratch.form.withBytes(of: token, in: body) { (token) throws(StoreFailure) in
                try loop.verifier.verify(token, at: loop.now, into: &record)
            }
            let interned = loop.interned
            guard reason == nil, record.kind == .accessToken || record.kind == .apiKey,
                audience.mayKnow(audiences: record.audiences, interned),
                Decision.allows(networks: record.networks, from: address, interned: interned)
            else {
                noteInactive(&record, reason, audience)
                return answerInactive(&out)
            }
            loop.counts.noteValid(.introspection, record.kind, record.flags)
            IntrospectionAnswer(exchange: exchange, loop: loop).write(&record, &out)
        } catch {
            loop.counts.note(.introspection, nil, .trouble)
            trouble(&out)
        }
    }

    /// Which of the reasons it was: for metrics, never for the answer.
    @inline(never)
    private func noteInactive(_ record: inout CredentialRecord, _ reason: InactiveReason?, _ audience: CallerAudience) {
        let kind = record.kind
        if let reason {
            loop.counts.noteInactive(.introspection, kind, reason)
        } else if kind != .accessToken && kind != .apiKey {
            loop.counts.note(.introspection, kind, .wrongKind)
        } else {
            let isKnown = audience.mayKnow(audiences: record.audiences, loop.interned)
            loop.counts.note(.introspection, kind, isKnown ? .wrongNetwork : .wrongAudience)
        }
    }

    private func hasToken(_ query: RawSpan, _ text: inout FormScratch) -> Bool {
        text.clear()
        return QueryParameters.find("token", in: query, scratch: &text) != .absent
    }

    /// The same bytes for whatever is not active (RFC 7662 §2.2): the reason is nobody's business.
    private func answerInactive(_ out: inout ByteWriter) {
        guard exchange.isUsual else {
            return out.whole(200, "application/json", UsualAnswers.inactiveBody, exchange, loop) { _ in }
        }
        let usual = loop.usual
        out.append(usual.inactive.octets)
    }

    private func refuse(_ reason: StaticString, _ out: inout ByteWriter) {
        let slot = out.beginUnsized(400, exchange, loop)
        out.append("Content-Type: application/json\r\nCache-Control: no-store\r\n")
        out.endHead()
        let start = out.written
        out.append("{\"error\":\"invalid_request\",\"error_description\":\"")
        out.append(reason)
        out.append("\"}")
        out.end(slot, from: start, exchange)
    }

    private func refuseCaller(_ status: UInt16, _ challenge: [UInt8], _ out: inout ByteWriter) {
        out.whole(status, "application/json", "{\"error\":\"invalid_client\"}", exchange, loop) {
            $0.append(challenge.octets)
        }
    }

    private func refuseForbidden(_ out: inout ByteWriter) {
        out.whole(403, "application/json", "{\"error\":\"insufficient_scope\"}", exchange, loop) { _ in }
    }

    /// The store cannot answer: never "inactive".
    private func trouble(_ out: inout ByteWriter) {
        out.problem(503, "the store cannot answer", exchange, loop) { $0.append(field: "Retry-After", "1") }
    }
}

/// What an introspection needs of a request's head.
struct IntrospectionHead {
    let contentType: WireRange?
    let contentTypeCount: Int
    let authorization: WireRange?
    let authorizationCount: Int
    let query: WireRange?

    init(_ request: borrowing RequestHead) {
        contentType = request.value(.contentType)
        contentTypeCount = request.count(.contentType)
        authorization = request.value(.authorization)
        authorizationCount = request.count(.authorization)
        query = request.query
    }

    /// Whether the body is of a media type, as far as its sender says: without a Content-Type it is what is expected here
    /// (RFC 9110 §8.3 leaves that to the recipient; clients of Kubernetes send none).
    func isBody(of expected: MediaType, _ bytes: RawSpan) -> Bool {
        guard let contentType else { return true }
        return contentTypeCount == 1 && MediaType.parse(bytes.slice(contentType)) == expected
    }
}
