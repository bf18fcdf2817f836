import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
import RecordCache
import Verification

/// The answers of `/verify`, as gateways need them.
struct ForwardAuthAnswer {
    let exchange: Exchange
    let loop: LoopState
    /// nginx turns every status but 200, 401 and 403 into 500; the real one then stands in `X-Auth-Status`.
    var isNginx: Bool
    /// Envoy is told which fields of the request it must not send on.
    var isEnvoy = false

    func write(
        _ judgement: Judgement, _ uri: RawSpan, _ requirement: Requirement, _ scratch: inout RequestScratch,
        _ out: inout ByteBuffer
    ) {
        out.appendAnswer(exchange, loop) { out in
            switch judgement {
            case .allowed: allow(&scratch.judging.record, uri, &out)
            case .passed: pass(uri, &out)
            case .noCredential: requirement.withScope(scratch.judging.text) { challenge($0, &out) }
            case .insufficientScope: requirement.withScope(scratch.judging.text) { insufficientScope($0, &out) }
            case .malformed(let reason): write(.malformed(reason), &out)
            case .notAccepted: write(.invalidToken(JudgementText.notAccepted), &out)
            case .trouble: write(.trouble, &out)
            }
        }
    }

    func refuse(_ refusal: Refusal, _ out: inout ByteBuffer) {
        out.appendAnswer(exchange, loop) { write(refusal, &$0) }
    }

    /// 200 with the identity. All fields, always, and none empty: a gateway that copies a field which is missing here
    /// would let through the one that the client forged.
    private func allow(_ record: inout CredentialRecord, _ uri: RawSpan, _ out: inout ByteWriter) {
        if exchange.isUsual {
            let usual = loop.clock.usual
            out.append(usual.allowed.octets)
        } else {
            out.begin(200, length: 0, exchange, loop)
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

    /// 200 for a request that needs no credential: the same fields, and nobody in them.
    private func pass(_ uri: RawSpan, _ out: inout ByteWriter) {
        out.begin(200, length: 0, exchange, loop)
        out.append("Cache-Control: private, no-store\r\nX-Auth-Subject: -\r\nX-Auth-Client: -\r\nX-Auth-Scope: -\r\n")
        out.append("X-Auth-Type: -\r\nX-Auth-Id: -\r\nX-Auth-Expires: -\r\nX-Auth-Sunset: -\r\nX-Auth-Uri: ")
        out.append(uriWithoutCredential: uri, headerEncoded: true)
        out.append("\r\n")
        if isEnvoy { appendRemovals(&out) }
        writeStatus(200, &out)
        out.endHead()
    }

    /// 401 without `error`: there was no credential that could be wrong (RFC 6750 §3.1).
    private func challenge(_ needed: RawSpan, _ out: inout ByteWriter) {
        let challenges = loop.services.challenges
        out.problem(401, JudgementText.noCredential, exchange, loop) { out in
            challenges.append(lineOfNoCredential: needed, to: &out)
            writeStatus(401, &out)
        }
    }

    /// 403 that names the scopes which are needed.
    private func insufficientScope(_ needed: RawSpan, _ out: inout ByteWriter) {
        let challenges = loop.services.challenges
        out.problem(403, JudgementText.insufficientScope, exchange, loop) { out in
            challenges.append(lineOfInsufficientScope: needed, to: &out)
            writeStatus(403, &out)
        }
    }

    private func write(_ refusal: Refusal, _ out: inout ByteWriter) {
        let (status, challenge) = (refusal.status, refusal.challenge(loop.services.challenges))
        let invalidRequest = loop.services.challenges.invalidRequest
        out.problem(isNginx && status == 400 ? 403 : status, refusal.detail, exchange, loop) { out in
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
