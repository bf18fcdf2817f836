import CredentialModel
import CredentialStore
import HTTPWire
import RecordCache
import Verification

/// The answers of introspection (RFC 7662 §2.2 and §2.3).
///
/// Records are handed on as `inout` though nothing changes them: what is borrowed of an `inout` is copied first.
struct IntrospectionAnswer {
    let exchange: Exchange
    let loop: LoopState

    func writeActive(_ record: inout CredentialRecord, _ out: inout ByteWriter) {
        let slot = beginActive(&out)
        let start = out.written
        out.append("{\"active\":true,")
        CredentialMembers(loop: loop).write(&record, &out)
        out.append("}")
        out.end(slot, from: start, exchange)
    }

    private func beginActive(_ out: inout ByteWriter) -> LengthSlot {
        if exchange.isUsual {
            let usual = loop.clock.usual
            return out.append(headWithLengthLast: usual.active.octets)
        }
        return out.beginJSON(200, exchange, loop)
    }

    /// The same bytes for whatever is not active (RFC 7662 §2.2): the reason is nobody's business.
    func writeInactive(_ out: inout ByteWriter) {
        guard exchange.isUsual else {
            return out.whole(200, "application/json", UsualAnswers.inactiveBody, exchange, loop) { _ in }
        }
        let usual = loop.clock.usual
        out.append(usual.inactive.octets)
    }

    /// Errors of the request and of its caller are OAuth's (RFC 7662 §2.3, RFC 6749 §5.2); others are problems.
    func write(_ refusal: Refusal, _ out: inout ByteWriter) {
        switch refusal {
        case .malformed(let reason):
            let slot = out.beginJSON(400, exchange, loop)
            let start = out.written
            out.append("{\"error\":\"invalid_request\",\"error_description\":\"")
            out.append(reason)
            out.append("\"}")
            out.end(slot, from: start, exchange)
        case .unauthenticated, .invalidClient, .invalidToken:
            let challenge = refusal.challenge(loop.services.challenges)
            out.whole(401, "application/json", "{\"error\":\"invalid_client\"}", exchange, loop) {
                $0.append(challenge.octets)
            }
        case .forbidden:
            out.whole(403, "application/json", "{\"error\":\"insufficient_scope\"}", exchange, loop) { _ in }
        case .notFound, .tooLarge, .wrongType, .unavailable: out.refuse(refusal, exchange, loop)
        }
    }
}

/// What is said of an active credential, as members of a JSON object, the first of which is always there.
struct CredentialMembers {
    let loop: LoopState

    func write(_ record: inout CredentialRecord, _ out: inout ByteWriter) {
        let interned = loop.interned
        out.append("\"scope\":\"")
        // Scopes and client ids hold no character that JSON escapes (RFC 6749 §3.3): checked when they were given.
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
        // Some clients find their user by nothing else (Django OAuth Toolkit).
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
            // What a bulk revocation of a family is told by in the change feed.
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
