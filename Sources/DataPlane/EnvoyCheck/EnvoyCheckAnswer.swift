import CredentialModel
import EnvoyAuthorization
import ForwardAuth
import HTTPWire
import RecordCache
import Verification

/// A judgement as Envoy is told it. What is refused never has the code 0, which lets pass.
struct EnvoyCheckAnswer {
    let loop: LoopState
    private var challenges: Challenges { loop.services.challenges }

    func write(
        _ judgement: Judgement, _ uri: RawSpan, _ requirement: Requirement, _ record: inout CredentialRecord,
        _ out: inout ByteWriter
    ) {
        switch judgement {
        case .allowed: allow(&record, uri, &out)
        case .passed: pass(uri, &out)
        case .noCredential:
            requirement.withScope(FormScratch()) { scope in
                deny(.unauthenticated, 401, JudgementText.noCredential, &out) {
                    challenges.append(noCredential: scope, to: &$0)
                }
            }
        case .notAccepted, .trouble:
            deny(.unauthenticated, 401, JudgementText.notAccepted, &out) {
                Challenges.append(valueOf: challenges.invalidToken, to: &$0)
            }
        case .insufficientScope:
            requirement.withScope(FormScratch()) { scope in
                deny(.permissionDenied, 403, JudgementText.insufficientScope, &out) {
                    challenges.append(insufficientScope: scope, to: &$0)
                }
            }
        case .malformed(let reason): refuse(reason, &out)
        }
    }

    /// The request cannot be judged as it is.
    func refuse(_ reason: StaticString, _ out: inout ByteWriter) {
        deny(.invalidArgument, 400, reason, &out) { Challenges.append(valueOf: challenges.invalidRequest, to: &$0) }
    }

    /// The request is not judged at all, and does not pass.
    func refuse(_ status: UInt16, _ reason: StaticString, _ out: inout ByteWriter) {
        writeDenial(.permissionDenied, status, reason, &out) { _ in }
    }

    /// All fields, always, each in place of what the client sent under its name.
    private func allow(_ record: inout CredentialRecord, _ uri: RawSpan, _ out: inout ByteWriter) {
        out.append(checkStatus: .ok, "")
        out.append(okResponse: { out in
            out.append(header: "x-auth-subject") { $0.append(subjectOf: &record, loop) }
            out.append(header: "x-auth-client") { $0.append(clientOf: &record, loop) }
            out.append(header: "x-auth-scope") { $0.append(scopeOf: &record, loop) }
            out.append(header: "x-auth-type") { $0.append(typeOf: &record) }
            out.append(header: "x-auth-id") { $0.append(idOf: &record) }
            out.append(header: "x-auth-expires") { $0.append(expiryOf: &record) }
            out.append(header: "x-auth-sunset") { $0.append(sunsetOf: &record) }
            appendURI(uri, &out)
        })
        out.append(dynamicMetadata: { appendMetadata(&record, &$0) })
    }

    /// The same fields, and nobody in them.
    private func pass(_ uri: RawSpan, _ out: inout ByteWriter) {
        out.append(checkStatus: .ok, "")
        out.append(okResponse: { out in
            out.append(header: "x-auth-subject") { $0.append("-") }
            out.append(header: "x-auth-client") { $0.append("-") }
            out.append(header: "x-auth-scope") { $0.append("-") }
            out.append(header: "x-auth-type") { $0.append("-") }
            out.append(header: "x-auth-id") { $0.append("-") }
            out.append(header: "x-auth-expires") { $0.append("-") }
            out.append(header: "x-auth-sunset") { $0.append("-") }
            appendURI(uri, &out)
        })
    }

    /// The URI without the credential, and what Envoy takes away: the credential, wherever it may be.
    private func appendURI(_ uri: RawSpan, _ out: inout ByteWriter) {
        out.append(header: "x-auth-uri") { $0.append(uriWithoutCredential: uri, headerEncoded: true) }
        out.append(headerToRemove: "authorization")
        for name in loop.services.settings.keyHeaders { out.append(headerToRemove: name.octets) }
        uri.slice(OriginalURI(uri).query ?? WireRange()).forEachCredentialName {
            out.append(queryParameterToRemove: $0)
        }
    }

    /// What Envoy's other filters and its log may read; what there is nothing of is left out.
    private func appendMetadata(_ record: inout CredentialRecord, _ out: inout ByteWriter) {
        let owner = loop.verifier.owner(of: record)
        out.append(member: "subject") { out in
            // Texts of protocol buffers are UTF-8; an imported owner need not be.
            if owner.octets.isUTF8 { out.append(owner.octets) } else { out.append(headerEncoded: owner.octets) }
        }
        if record.client != 0 {
            loop.interned.withText(.client, record.client) { text in
                out.append(member: "client_id") { $0.append(text) }
            }
        }
        loop.interned.withText(.scopes, record.scopes) { text in
            out.append(member: "scope") { $0.append(text) }
        }
        out.append(member: "type") { $0.append(typeOf: &record) }
        out.append(member: "id") { $0.append(idOf: &record) }
        if record.expiresAt < .never { out.append(member: "expires", number: Double(record.expiresAt.rawValue)) }
    }

    private func deny(
        _ code: StatusCode, _ status: UInt16, _ reason: StaticString, _ out: inout ByteWriter,
        challenge: (inout ByteWriter) -> Void
    ) {
        writeDenial(code, status, reason, &out) { $0.append(header: "www-authenticate", challenge) }
    }

    private func writeDenial(
        _ code: StatusCode, _ status: UInt16, _ reason: StaticString, _ out: inout ByteWriter,
        fields: (inout ByteWriter) -> Void
    ) {
        out.append(checkStatus: code, reason)
        out.append(deniedResponse: status) { out in
            fields(&out)
            out.append(header: "content-type") { $0.append("application/problem+json") }
            out.append(header: "cache-control") { $0.append("private, no-store") }
            out.append(body: { $0.append(problemBody: status, reason) })
        }
    }
}
