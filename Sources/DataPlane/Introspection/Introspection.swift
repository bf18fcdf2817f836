import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
import RecordCache
import Verification

/// `POST /oauth2/introspect` (RFC 7662).
struct Introspection: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    private enum Outcome {
        /// Active; the record is in the scratch.
        case active
        case inactive
        case refused(Refusal)
    }

    func answer(_ audience: CallerAudience, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let answer = IntrospectionAnswer(framing: context.framing, loop: loop)
        switch outcome(for: audience, &scratch) {
        case .active: out.appendAnswer(context.framing, loop) { answer.writeActive(&scratch.judging.record, &$0) }
        case .inactive: out.appendAnswer(context.framing, loop) { answer.writeInactive(&$0) }
        case .refused(let refusal): refuse(refusal, &out)
        }
    }

    @inline(never)
    func refuse(_ refusal: Refusal, _ out: inout ByteBuffer) {
        let answer = IntrospectionAnswer(framing: context.framing, loop: loop)
        out.appendAnswer(context.framing, loop) { answer.write(refusal, &$0) }
    }

    private func outcome(for audience: CallerAudience, _ scratch: inout RequestScratch) -> Outcome {
        if hasToken(context.request.query, &scratch.judging.text) {
            return .refused(.malformed("token must be in the body: URLs are logged"))
        }
        guard scratch.form.count(.token) == 1, let token = scratch.form.text(.token), !token.isEmpty else {
            return .refused(.malformed("exactly one token is required"))
        }
        var address: IPAddress?
        if let text = scratch.form.text(.clientIP) {
            guard let parsed = scratch.form.withBytes(of: text, in: context.request.body, { IPAddress($0) }) else {
                return .refused(.malformed("client_ip is not an IP address"))
            }
            address = parsed
            if loop.isRecording { loop.access.note(address: parsed) }
        }
        do throws(StoreFailure) {
            return try verify(token, scratch.form, for: audience, from: address, &scratch.judging.record)
        } catch {
            loop.noteUnavailable(.introspection)
            return .refused(.storeUnavailable)
        }
    }

    @inline(__always)
    private func verify(
        _ token: FormText, _ form: borrowing IntrospectionForm, for audience: CallerAudience,
        from address: IPAddress?, _ record: inout CredentialRecord
    ) throws(StoreFailure) -> Outcome {
        let state = try form.withBytes(of: token, in: context.request.body) { (token) throws(StoreFailure) in
            try loop.verifier.verify(token, at: loop.clock.now, into: &record)
        }
        // For metrics only: the response never contains the reason.
        let reason = CallerAcceptance.firstReason(
            state, &record, for: audience, from: address, isDisclosed: false, loop.interned)
        loop.note(.introspection, reason, on: &record)
        return reason == nil ? .active : .inactive
    }

    private func hasToken(_ query: RawSpan, _ text: inout FormScratch) -> Bool {
        !query.isEmpty && QueryParameters.find("token", in: query, scratch: &text) != .absent
    }
}

/// Writes the responses of introspection (RFC 7662 §2.2 and §2.3).
///
/// Records are not modified; `inout` avoids a 168-byte copy.
struct IntrospectionAnswer {
    let framing: ResponseFraming
    let loop: LoopState

    func writeActive(_ record: inout CredentialRecord, _ out: inout ByteWriter) {
        let slot = beginActive(&out)
        let start = out.written
        out.append("{\"active\":true,")
        CredentialMembers(loop: loop).write(&record, &out)
        out.append("}")
        out.end(slot, from: start, framing)
    }

    private func beginActive(_ out: inout ByteWriter) -> LengthSlot {
        if framing.usesPrepared {
            let prepared = loop.clock.prepared
            return out.append(headWithLengthLast: prepared.active.octets)
        }
        return out.beginJSON(200, framing, loop)
    }

    /// The same bytes for all inactive credentials (RFC 7662 §2.2): the reason is not disclosed.
    func writeInactive(_ out: inout ByteWriter) {
        guard framing.usesPrepared else {
            return out.whole(200, "application/json", PreparedAnswers.inactiveBody, framing, loop) { _ in }
        }
        let prepared = loop.clock.prepared
        out.append(prepared.inactive.octets)
    }

    /// Errors of the request and of its caller are in the format of OAuth (RFC 7662 §2.3, RFC 6749 §5.2); others are
    /// problems.
    func write(_ refusal: Refusal, _ out: inout ByteWriter) {
        switch refusal {
        case .malformed(let reason):
            let slot = out.beginJSON(400, framing, loop)
            let start = out.written
            out.append("{\"error\":\"invalid_request\",\"error_description\":\"")
            out.append(reason)
            out.append("\"}")
            out.end(slot, from: start, framing)
        case .unauthenticated, .invalidClient, .invalidToken:
            let challenge = refusal.challenge(loop.services.challenges)
            out.whole(401, "application/json", "{\"error\":\"invalid_client\"}", framing, loop) {
                $0.append(challenge.octets)
            }
        case .forbidden:
            out.whole(403, "application/json", "{\"error\":\"insufficient_scope\"}", framing, loop) { _ in }
        case .notFound, .tooLarge, .wrongType, .unavailable: out.refuse(refusal, framing, loop)
        }
    }
}

/// The members of an active credential in a JSON object. The first one is always present.
struct CredentialMembers {
    let loop: LoopState

    func write(_ record: inout CredentialRecord, _ out: inout ByteWriter) {
        let interned = loop.interned
        out.append("\"scope\":\"")
        // Scopes and client ids have no characters that JSON escapes (RFC 6749 §3.3): this is checked when they are
        // created.
        interned.withText(.scopes, record.scopes) { out.append($0) }
        if record.client != 0 {
            out.append("\",\"client_id\":\"")
            interned.withText(.client, record.client) { out.append($0) }
        }
        out.append(record.kind == .apiKey ? "\",\"token_type\":\"ApiKey\"" : "\",\"token_type\":\"Bearer\"")
        if record.expiresAt < .never { write(",\"exp\":", record.expiresAt, &out) }
        write(",\"iat\":", record.issuedAt, &out)
        if record.notBefore > .always { write(",\"nbf\":", record.notBefore, &out) }
        out.append(",\"sub\":\"")
        let start = out.written
        if record.holdsWholeOwner {
            record.owner.withBytes { out.append(jsonEscaped: $0) }
        } else {
            out.append(jsonEscaped: loop.verifier.owner(of: record).octets)
        }
        let end = out.written
        // Some clients need it to identify the user (Django OAuth Toolkit).
        out.append("\",\"username\":\"")
        out.append(again: start..<end)
        out.append("\"")
        if record.audiences != 0 { interned.withText(.audiences, record.audiences) { writeAudience($0, &out) } }
        if let issuer = loop.services.issuer {
            out.append(",\"iss\":\"")
            out.append(issuer.octets)
            out.append("\"")
        }
        if record.family != 0 {
            // The change feed reports the revocation of a family by this id.
            out.append(",\"family\":\"")
            out.append(base62: record.family)
            out.append("\"")
        }
        out.append(",\"jti\":\"")
        out.append(base62: record.id.rawValue)
        out.append("\"")
    }

    private func write(_ name: StaticString, _ time: UnixSeconds, _ out: inout ByteWriter) {
        out.append(name)
        out.append(decimal: UInt64(clamping: time.rawValue))
    }

    /// One audience is a string, several are an array (RFC 7519 §4.1.3).
    private func writeAudience(_ list: RawSpan, _ out: inout ByteWriter) {
        var isArray = false
        for offset in 0..<list.byteCount where list.byte(at: offset) == 0x20 { isArray = true }
        out.append(isArray ? ",\"aud\":[\"" : ",\"aud\":\"")
        for offset in 0..<list.byteCount {
            let byte = list.byte(at: offset)
            if byte == 0x20 { out.append("\",\"") } else { out.append(byte: byte) }
        }
        out.append(isArray ? "\"]" : "\"")
    }
}
