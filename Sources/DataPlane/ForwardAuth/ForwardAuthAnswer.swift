import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
import RecordCache
import Verification

/// Writes the responses of `/verify` and `/ext_authz`.
struct ForwardAuthAnswer {
    let framing: ResponseFraming
    let loop: LoopState
    /// nginx turns every status but 200, 401 and 403 into 500; the actual status is then in `X-Auth-Status`.
    var isNginx: Bool
    /// Whether to list the headers that Envoy must not forward.
    var isEnvoy = false

    func write(
        _ judgement: Judgement, _ uri: RawSpan, _ requirement: Requirement, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) {
        out.appendAnswer(framing, loop) { out in
            switch judgement {
            case .allowed: allow(&scratch.judging.record, uri, &out)
            case .preflight: pass(uri, &out)
            case .noCredential: requirement.withScope(scratch.judging.text) { challenge($0, &out) }
            case .insufficientScope: requirement.withScope(scratch.judging.text) { insufficientScope($0, &out) }
            case .malformed(let reason): write(.malformed(reason), &out)
            case .notAccepted: write(.invalidToken(JudgementText.notAccepted), &out)
            case .unavailable: write(.storeUnavailable, &out)
            }
        }
    }

    func refuse(_ refusal: Refusal, _ out: inout ByteBuffer) {
        out.appendAnswer(framing, loop) { write(refusal, &$0) }
    }

    /// 200 with the identity. All fields are always present and never empty: if one were missing, a gateway that copies
    /// it would pass on the one that the client forged.
    private func allow(_ record: inout CredentialRecord, _ uri: RawSpan, _ out: inout ByteWriter) {
        if framing.usesPrepared {
            let prepared = loop.clock.prepared
            out.append(prepared.allowed.octets)
        } else {
            out.begin(200, length: 0, framing, loop)
            out.append("Cache-Control: private, no-store\r\nX-Auth-Subject: ")
        }
        out.append(subjectOf: &record, loop)
        out.append("\r\nX-Auth-Client: ")
        out.append(clientOf: &record, loop)
        out.append("\r\nX-Auth-Scope: ")
        out.append(scopeOf: &record, loop)
        out.append("\r\nX-Auth-Type: ")
        out.append(typeOf: &record)
        out.append("\r\nX-Auth-Id: ")
        out.append(idOf: &record)
        out.append("\r\nX-Auth-Expires: ")
        out.append(expiryOf: &record)
        out.append("\r\nX-Auth-Sunset: ")
        out.append(sunsetOf: &record)
        out.append("\r\nX-Auth-Uri: ")
        out.append(uriWithoutCredential: uri, headerEncoded: true)
        out.append("\r\n")
        if isEnvoy { appendRemovals(&out) }
        writeStatus(200, &out)
        out.endHead()
    }

    /// 200 for a request that needs no credential: all fields are present, `-` in place of an identity.
    private func pass(_ uri: RawSpan, _ out: inout ByteWriter) {
        out.begin(200, length: 0, framing, loop)
        out.append("Cache-Control: private, no-store\r\nX-Auth-Subject: -\r\nX-Auth-Client: -\r\nX-Auth-Scope: -\r\n")
        out.append("X-Auth-Type: -\r\nX-Auth-Id: -\r\nX-Auth-Expires: -\r\nX-Auth-Sunset: -\r\nX-Auth-Uri: ")
        out.append(uriWithoutCredential: uri, headerEncoded: true)
        out.append("\r\n")
        if isEnvoy { appendRemovals(&out) }
        writeStatus(200, &out)
        out.endHead()
    }

    /// 401 without `error`: no credential was presented (RFC 6750 §3.1).
    private func challenge(_ needed: RawSpan, _ out: inout ByteWriter) {
        let challenges = loop.services.challenges
        out.problem(401, JudgementText.noCredential, framing, loop) { out in
            challenges.append(lineOfNoCredential: needed, to: &out)
            writeStatus(401, &out)
        }
    }

    /// 403 with the required scopes.
    private func insufficientScope(_ needed: RawSpan, _ out: inout ByteWriter) {
        let challenges = loop.services.challenges
        out.problem(403, JudgementText.insufficientScope, framing, loop) { out in
            challenges.append(lineOfInsufficientScope: needed, to: &out)
            writeStatus(403, &out)
        }
    }

    private func write(_ refusal: Refusal, _ out: inout ByteWriter) {
        let (status, challenge) = (refusal.status, refusal.challenge(loop.services.challenges))
        let invalidRequest = loop.services.challenges.invalidRequest
        out.problem(isNginx && status == 400 ? 403 : status, refusal.detail, framing, loop) { out in
            switch refusal {
            case .malformed: out.append(invalidRequest.octets)
            case .unavailable: out.append(field: "Retry-After", "1")
            default: out.append(challenge.octets)
            }
            writeStatus(status, &out)
        }
    }

    private func appendRemovals(_ out: inout ByteWriter) {
        out.append("x-envoy-auth-headers-to-remove: authorization")
        for name in loop.services.settings.keyHeaders {
            out.append(",")
            out.append(name.octets)
        }
        out.append("\r\n")
    }

    private func writeStatus(_ status: UInt16, _ out: inout ByteWriter) {
        guard isNginx else { return }
        out.append("X-Auth-Status: ")
        out.append(decimal: UInt64(status))
        out.append("\r\n")
    }
}

/// The values of the `X-Auth-…` headers, in the same form for every protocol: never empty, `-` means "no value". The
/// record is not modified; `inout` avoids a 168-byte copy.
extension ByteWriter {
    mutating func append(subjectOf record: inout CredentialRecord, _ loop: LoopState) {
        if record.holdsWholeOwner {
            record.owner.withBytes { append(headerEncoded: $0) }
        } else {
            append(headerEncoded: loop.verifier.owner(of: record).octets)
        }
    }

    mutating func append(clientOf record: inout CredentialRecord, _ loop: LoopState) {
        loop.verifier.interned.withText(.client, record.client) { append(headerEncoded: $0) }
    }

    mutating func append(scopeOf record: inout CredentialRecord, _ loop: LoopState) {
        loop.verifier.interned.withText(.scopes, record.scopes) { append(headerEncoded: $0) }
    }

    mutating func append(typeOf record: inout CredentialRecord) {
        append(record.kind == .apiKey ? "ApiKey" : "Bearer")
    }

    mutating func append(idOf record: inout CredentialRecord) {
        append(base62: record.id.rawValue)
    }

    mutating func append(expiryOf record: inout CredentialRecord) {
        append(record.expiresAt < .never ? record.expiresAt : nil)
    }

    /// The expiry of a credential that already has a successor.
    mutating func append(sunsetOf record: inout CredentialRecord) {
        append(record.flags.contains(.superseded) ? record.expiresAt : nil)
    }

    private mutating func append(_ time: UnixSeconds?) {
        guard let time else { return append("-") }
        append(decimal: UInt64(clamping: time.rawValue))
    }
}
