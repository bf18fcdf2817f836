import CredentialModel
import CredentialStore
import HTTPWire
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

    /// 200 with the identity. All fields, always, and none empty: a gateway that copies a field which is missing here
    /// would let through the one that the client forged.
    func allow(_ record: inout CredentialRecord, _ uri: RawSpan, _ out: inout ByteWriter) {
        if exchange.isUsual {
            let usual = loop.usual
            out.append(usual.allowed.octets)
        } else {
            out.begin(200, length: 0, exchange, loop)
            out.append("Cache-Control: private, no-store\r\nX-Auth-Subject: ")
        }
        out.append(subjectOf: &record, loop.judge)
        out.append("\r\nX-Auth-Client: ")
        out.append(clientOf: &record, loop.judge)
        out.append("\r\nX-Auth-Scope: ")
        out.append(scopeOf: &record, loop.judge)
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
    func pass(_ uri: RawSpan, _ out: inout ByteWriter) {
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
    func challenge(_ needed: RawSpan, _ out: inout ByteWriter) {
        let challenges = loop.challenges
        out.problem(401, Refusal.noCredential, exchange, loop) { out in
            challenges.append(lineOfNoCredential: needed, to: &out)
            writeStatus(401, &out)
        }
    }

    func invalidToken(_ out: inout ByteWriter) {
        refuse(401, Refusal.notAccepted, loop.challenges.invalidToken, &out)
    }

    /// 403 that names the scopes which are needed.
    func insufficientScope(_ needed: RawSpan, _ out: inout ByteWriter) {
        let challenges = loop.challenges
        out.problem(403, Refusal.insufficientScope, exchange, loop) { out in
            challenges.append(lineOfInsufficientScope: needed, to: &out)
            writeStatus(403, &out)
        }
    }

    /// 400: the request cannot be read.
    func refuse(_ reason: StaticString, _ out: inout ByteWriter) {
        refuse(400, reason, loop.challenges.invalidRequest, &out)
    }

    func forbidden(_ reason: StaticString, _ out: inout ByteWriter) {
        out.problem(403, reason, exchange, loop) { writeStatus(403, &$0) }
    }

    /// The store cannot answer: never "invalid".
    func trouble(_ out: inout ByteWriter) {
        out.problem(503, Refusal.trouble, exchange, loop) {
            $0.append(field: "Retry-After", "1")
            writeStatus(503, &$0)
        }
    }

    private func refuse(_ status: UInt16, _ reason: StaticString, _ challenge: [UInt8], _ out: inout ByteWriter) {
        out.problem(isNginx && status == 400 ? 403 : status, reason, exchange, loop) {
            $0.append(challenge.octets)
            writeStatus(status, &$0)
        }
    }

    private func appendRemovals(_ out: inout ByteWriter) {
        out.append("x-envoy-auth-headers-to-remove: authorization")
        for name in loop.settings.keyHeaders {
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
