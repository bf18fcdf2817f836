import CredentialModel
import CredentialStore
import HTTPWire
import RecordCache
import Verification

/// `POST /apis/authentication.k8s.io/v1/tokenreviews`: the webhook that a Kubernetes API server asks about bearer tokens.
///
/// Callers are those of introspection. A credential without audiences is good for all that are asked for; one with audiences
/// for those that both have, and for none if there are no such.
struct TokenReview {
    let head: IntrospectionHead
    let exchange: Exchange
    let loop: LoopState

    static let path: StaticString = "/apis/authentication.k8s.io/v1/tokenreviews"

    init(request: borrowing RequestHead, exchange: Exchange, loop: LoopState) {
        head = IntrospectionHead(request)
        self.exchange = exchange
        self.loop = loop
    }

    func answer(
        _ bytes: RawSpan, _ body: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        guard head.contentTypeCount == 1, let type = head.contentType, MediaType.parse(bytes.slice(type)) == .json
        else { return refuse(415, "the body must be application/json", &out) }
        guard head.authorizationCount <= 1 else { return refuse(400, "more than one Authorization field", &out) }
        _ = scratch.form.parse(RawSpan())
        let authentication = CallerAuthentication(loop: loop)
        switch authentication.judge(authorization: head.authorization, bytes, RawSpan(), &caller, &scratch) {
        case .allowed(let audience): review(body, audience, &out)
        case .unauthenticated, .invalidClient:
            refuse(401, "the caller is not known", &out, challenge: loop.challenges.basic)
        case .invalidToken:
            refuse(401, "the caller's credential is not accepted", &out, challenge: loop.challenges.invalidToken)
        case .forbidden: refuse(403, "the caller may not introspect", &out)
        case .badRequest(let reason): refuse(400, reason, &out)
        case .trouble: trouble(&out)
        }
    }

    private func review(_ body: RawSpan, _ audience: CallerAudience, _ out: inout ByteWriter) {
        // Not on the path of requests: API servers keep the answers for minutes.
        var form = TokenReviewForm()
        if let fault = form.parse(body) { return refuse(400, fault, &out) }
        do throws(StoreFailure) {
            var record = CredentialRecord.blank
            let reason = try form.withBytes(of: form.token, in: body) { (token) throws(StoreFailure) in
                try loop.verifier.verify(token, at: loop.now, into: &record)
            }
            if let outcome = refusal(&record, reason, form, body, audience) {
                let isKnown = reason != .unknown && reason != .malformed
                loop.counts.note(.tokenReview, isKnown ? record.kind : nil, outcome)
                return write(&out) { $0.append("\"authenticated\":false") }
            }
            loop.counts.noteValid(.tokenReview, record.kind, record.flags)
            write(&out) { writeUser(&record, form, body, &$0) }
        } catch {
            loop.counts.note(.tokenReview, nil, .trouble)
            trouble(&out)
        }
    }

    /// Why the token is not accepted; nil when it is.
    private func refusal(
        _ record: inout CredentialRecord, _ reason: InactiveReason?, _ form: borrowing TokenReviewForm, _ body: RawSpan,
        _ audience: CallerAudience
    ) -> VerificationOutcome? {
        if let reason { return VerificationOutcome(reason) }
        let interned = loop.interned
        guard record.kind == .accessToken || record.kind == .apiKey else { return .wrongKind }
        guard audience.mayKnow(audiences: record.audiences, interned) else { return .wrongAudience }
        // An API server does not say where the request came from.
        guard Decision.allows(networks: record.networks, from: nil, interned: interned) else { return .wrongNetwork }
        guard record.audiences != 0, !form.audiences.isEmpty else { return nil }
        for asked in form.audiences where isMeant(record.audiences, asked, form, body) { return nil }
        return .wrongAudience
    }

    private func isMeant(
        _ audiences: UInt32, _ asked: FormText, _ form: borrowing TokenReviewForm, _ body: RawSpan
    ) -> Bool {
        form.withBytes(of: asked, in: body) { asked in
            Decision.isMeant(audiences: audiences, for: asked, interned: loop.interned)
        }
    }

    private func write(_ out: inout ByteWriter, _ status: (inout ByteWriter) -> Void) {
        let slot = out.beginUnsized(200, exchange, loop)
        out.append("Content-Type: application/json\r\nCache-Control: no-store\r\n")
        out.endHead()
        let start = out.written
        out.append("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"status\":{")
        status(&out)
        out.append("}}")
        out.end(slot, from: start, exchange)
    }

    private func writeUser(
        _ record: inout CredentialRecord, _ form: borrowing TokenReviewForm, _ body: RawSpan, _ out: inout ByteWriter
    ) {
        let interned = loop.interned
        let owner = loop.verifier.owner(of: record)
        out.append("\"authenticated\":true,\"user\":{\"username\":\"")
        out.append(jsonEscaped: owner.octets)
        out.append("\",\"uid\":\"")
        out.append(jsonEscaped: owner.octets)
        // Scopes as groups, so that roles can be bound to them; the word in front keeps them apart from the cluster's own.
        out.append("\",\"groups\":[")
        interned.withText(.scopes, record.scopes) { writeWords($0, "scope:", &out) }
        out.append("],\"extra\":{\"countersign/id\":[\"")
        out.append(base62: record.id.rawValue)
        out.append(
            record.kind == .apiKey ? "\"],\"countersign/type\":[\"ApiKey\"]" : "\"],\"countersign/type\":[\"Bearer\"]")
        if record.client != 0 {
            out.append(",\"countersign/client\":[\"")
            interned.withText(.client, record.client) { out.append($0) }
            out.append("\"]")
        }
        out.append("}}")
        writeAudiences(record.audiences, form, body, &out)
    }

    private func writeAudiences(
        _ audiences: UInt32, _ form: borrowing TokenReviewForm, _ body: RawSpan, _ out: inout ByteWriter
    ) {
        guard !form.audiences.isEmpty else { return }
        out.append(",\"audiences\":[")
        var isFirst = true
        for asked in form.audiences where isMeant(audiences, asked, form, body) {
            out.append(isFirst ? "\"" : ",\"")
            isFirst = false
            form.withBytes(of: asked, in: body) { out.append(jsonEscaped: $0) }
            out.append("\"")
        }
        out.append("]")
    }

    /// Words parted by spaces, as strings of an array. They hold no character that JSON escapes.
    private func writeWords(_ list: RawSpan, _ front: StaticString, _ out: inout ByteWriter) {
        guard !list.isEmpty else { return }
        out.append("\"")
        out.append(front)
        for offset in 0..<list.byteCount {
            let byte = list.byte(at: offset)
            if byte == 0x20 {
                out.append("\",\"")
                out.append(front)
            } else {
                out.append(byte: byte)
            }
        }
        out.append("\"")
    }

    private func refuse(_ status: UInt16, _ reason: StaticString, _ out: inout ByteWriter, challenge: [UInt8] = []) {
        out.problem(status, reason, exchange, loop) { $0.append(challenge.octets) }
    }

    private func trouble(_ out: inout ByteWriter) {
        out.problem(503, "the store cannot answer", exchange, loop) { $0.append(field: "Retry-After", "1") }
    }
}
