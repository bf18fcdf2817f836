import CredentialModel
import CredentialStore
import HTTPWire
import Verification

/// `POST /v1/verify`: verdicts with their reasons on one credential or on up to a thousand, for whoever may introspect.
///
/// What introspection hides, this says: why a credential is not accepted. Only of what the caller may know, though: outside
/// of its audience, and of kinds that are nobody's business, everything is `unknown`.
struct Verdicts {
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
        guard let audience = admit(bytes, &caller, &scratch, &out) else { return }
        judge(bytes, body, audience, &scratch, &out)
    }

    /// Judges the caller by the head.
    /// - Returns: nil when the request is refused; the answer is written.
    func admit(
        _ bytes: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) -> CallerAudience? {
        guard head.isBody(of: .json, bytes) else {
            refuse(415, "the body must be application/json", &out)
            return nil
        }
        guard head.authorizationCount <= 1 else {
            refuse(400, "more than one Authorization field", &out)
            return nil
        }
        // A caller says in the head or by the connection who it is: the body has no parameters for that.
        _ = scratch.form.parse(RawSpan())
        let authentication = CallerAuthentication(loop: loop, interface: .verdicts)
        switch authentication.judge(authorization: head.authorization, bytes, RawSpan(), &caller, &scratch) {
        case .allowed(let audience): return audience
        case .unauthenticated, .invalidClient:
            refuse(401, "the caller is not known", &out, challenge: loop.challenges.basic)
        case .invalidToken:
            refuse(401, "the caller's credential is not accepted", &out, challenge: loop.challenges.invalidToken)
        case .forbidden: refuse(403, "the caller may not introspect", &out)
        case .badRequest(let reason): refuse(400, reason, &out)
        case .trouble: trouble(&out)
        }
        return nil
    }

    private func judge(
        _ bytes: RawSpan, _ body: RawSpan, _ audience: CallerAudience, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        if let fault = scratch.verdictForm.parse(body) { return refuse(fault.status, fault.reason, &out) }
        var needs = VerdictNeeds(audience: audience)
        if let fault = needs.read(scratch.verdictForm, body) { return refuse(400, fault, &out) }
        if let authorization = head.authorization,
            holds(
                credentialOf: bytes.slice(authorization), body, scratch.verdictForm, &scratch.text)
        {
            // Whoever presents the very token it asks about proves nothing about itself.
            return refuse(
                401, "the caller's credential is among those asked about", &out,
                challenge: loop.challenges.invalidToken)
        }
        let slot = out.beginUnsized(200, exchange, loop)
        out.append("Content-Type: application/json\r\nCache-Control: no-store\r\n")
        out.endHead()
        let start = out.written
        if scratch.verdictForm.isBatch { out.append("{\"results\":[") }
        do throws(StoreFailure) {
            try writeVerdicts(body, needs, scratch.verdictForm, &scratch.text, &scratch.batch, &out)
        } catch {
            loop.counts.note(.verdicts, nil, .trouble)
            out.rewind(to: 0)
            return trouble(&out)
        }
        if scratch.verdictForm.isBatch { out.append("]}") }
        out.end(slot, from: start, exchange)
    }

    private func writeVerdicts(
        _ body: RawSpan, _ needs: VerdictNeeds, _ form: borrowing VerifyForm, _ text: inout FormScratch,
        _ batch: inout VerificationBatch, _ out: inout ByteWriter
    ) throws(StoreFailure) {
        let interned = loop.interned
        var first = 0
        while first < form.count {
            batch.removeAll()
            while first + batch.count < form.count {
                let hasRoom = form.withCredential(at: first + batch.count, in: body, scratch: &text) {
                    batch.append($0)
                }
                guard hasRoom else { break }
            }
            try loop.verifier.verify(&batch, at: loop.now) { index, reason, record in
                if first + index > 0 { out.append(byte: UInt8(ascii: ",")) }
                let reason = needs.judge(reason, &record, body, form, interned)
                if let reason {
                    loop.counts.noteInactive(.verdicts, record.kind, reason)
                } else {
                    loop.counts.noteValid(.verdicts, record.kind, record.flags)
                }
                VerdictAnswer(reason: reason, loop: loop).write(&record, &out)
            }
            first += batch.count
        }
    }

    /// Whether the credential that the caller shows is one of those that it asks about. Both came from the same sender, so
    /// the comparison gives nothing away.
    private func holds(
        credentialOf authorization: RawSpan, _ body: RawSpan, _ form: borrowing VerifyForm, _ text: inout FormScratch
    ) -> Bool {
        let own: RawSpan
        switch AuthorizationField.parse(authorization) {
        case .bearer(let range), .apiKey(let range): own = authorization.slice(range)
        default: return false
        }
        for index in 0..<form.count
        where form.withCredential(at: index, in: body, scratch: &text, { $0.elementsEqual(own) }) { return true }
        return false
    }

    private func refuse(_ status: UInt16, _ reason: StaticString, _ out: inout ByteWriter, challenge: [UInt8] = []) {
        out.problem(status, reason, exchange, loop) { $0.append(challenge.octets) }
    }

    /// The store cannot answer: never a verdict.
    private func trouble(_ out: inout ByteWriter) {
        out.problem(503, "the store cannot answer", exchange, loop) { $0.append(field: "Retry-After", "1") }
    }
}
