import CredentialModel
import EnvoyAuthorization
import ForwardAuth
import HTTPWire
import NIOCore
import RecordCache
import Verification

/// `envoy.service.auth.v3.Authorization/Check`: tells Envoy whether the request that it describes is allowed, and on
/// whose behalf. It decides as `/ext_authz` does, with the same `Judge`.
struct EnvoyCheck {
    /// The result of a call.
    enum Outcome {
        /// The response is written: allowed or denied.
        case answered
        /// There is no response. Envoy then acts as configured for failures; the default is to deny.
        case failed(StatusCode, StaticString)
    }

    /// The policy of requests whose route names none.
    let defaultPolicy: [UInt8]?
    let loop: LoopState

    /// Answers one message: appends the response to `out`.
    func answer(_ message: RawSpan, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) -> Outcome {
        // Unless it is judged below.
        if loop.isRecording { loop.access.note(.notJudged) }
        do throws(ProtobufFault) {
            try scratch.check.read(message)
        } catch {
            return .failed(.invalidArgument, "the message is no CheckRequest")
        }
        let described = scratch.check
        guard described.policy != nil || defaultPolicy != nil else {
            return refuse(
                403,
                "no policy: name one by context_extensions {policy: NAME} of the route, or by ?policy=NAME of the listener",
                &out)
        }
        guard let policy = policy(of: described, message) else {
            return refuse(403, "there is no policy of this name", &out)
        }
        let uri = message.slice(described.path)
        guard uri.byteCount <= CallLimits.uriBytesMax else {
            return write(&out) { answerWriter.refuse("the URI is longer than 16 KiB", &$0) }
        }
        let request = ForwardedRequest(
            uri: uri, host: message.slice(described.host),
            isOptions: message.slice(described.method).isEqual("OPTIONS"),
            authorization: message.slice(described.authorization), keyField: message.slice(described.key),
            counts: FieldCounts(described))
        var requirement = Requirement()
        let judgement = loop.judgeAndCount(.grpc, request, under: policy, &requirement, &scratch.judging) {
            ClientAddress.find(
                message.slice(described.source), forwardedFor: described.forwardedFor, message,
                trusted: loop.services.settings.trustedProxies)
        }
        if case .unavailable = judgement { return .failed(.unavailable, JudgementText.unavailable) }
        return write(&out) { answerWriter.write(judgement, uri, requirement, &scratch.judging.record, &$0) }
    }

    private func write(_ out: inout ByteBuffer, _ body: (inout ByteWriter) -> Void) -> Outcome {
        CallFrame.write(into: &out, body) ? .answered : .failed(.internal, "the answer is too large")
    }

    /// Denies a request that is not judged. Not an error of the call: `failure_mode_allow` would allow the request.
    @discardableResult
    func refuse(_ status: UInt16, _ reason: StaticString, _ out: inout ByteBuffer) -> Outcome {
        write(&out) { answerWriter.refuse(status, reason, &$0) }
    }

    /// `grpc.health.v1.Health/Check`: for the whole server, or for its one service. Open to every client that can
    /// connect, as `/readyz` is.
    func answerHealth(_ message: RawSpan, _ out: inout ByteBuffer) -> Outcome {
        do throws(ProtobufFault) {
            let service = message.slice(try HealthCheck.service(in: message))
            guard service.isEmpty || service.isEqual("envoy.service.auth.v3.Authorization") else {
                return .failed(.notFound, "there is no such service")
            }
        } catch {
            return .failed(.invalidArgument, "the message is no HealthCheckRequest")
        }
        let isReady = loop.services.readiness.current == .ready
        return write(&out) { $0.append(health: isReady ? .serving : .notServing) }
    }

    private var answerWriter: EnvoyCheckAnswer { EnvoyCheckAnswer(loop: loop) }

    private func policy(of request: CheckRequest, _ message: RawSpan) -> PolicySet.Entry? {
        if let name = request.policy { return loop.policies.entry(message.slice(name)) }
        guard let defaultPolicy else { return nil }
        return loop.policies.entry(defaultPolicy.octets)
    }
}

extension FieldCounts {
    fileprivate init(_ described: CheckRequest) {
        self.init()
        authorization = described.authorizationCount
        key = described.keyCount
        origin = described.originCount
        accessControlRequestMethod = described.accessControlRequestMethodCount
    }
}

/// Writes a judgement for Envoy. A refusal never has the code 0, which allows the request.
struct EnvoyCheckAnswer {
    let loop: LoopState
    private var challenges: Challenges { loop.services.challenges }

    func write(
        _ judgement: Judgement, _ uri: RawSpan, _ requirement: Requirement, _ record: inout CredentialRecord,
        _ out: inout ByteWriter
    ) {
        switch judgement {
        case .allowed: allow(&record, uri, &out)
        case .preflight: pass(uri, &out)
        case .noCredential:
            requirement.withScope(FormScratch()) { scope in
                deny(.unauthenticated, 401, JudgementText.noCredential, &out) {
                    challenges.append(noCredential: scope, to: &$0)
                }
            }
        case .notAccepted, .unavailable:
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

    /// The request is malformed.
    func refuse(_ reason: StaticString, _ out: inout ByteWriter) {
        deny(.invalidArgument, 400, reason, &out) { Challenges.append(valueOf: challenges.invalidRequest, to: &$0) }
    }

    /// The request is not judged, and denied.
    func refuse(_ status: UInt16, _ reason: StaticString, _ out: inout ByteWriter) {
        writeDenial(.permissionDenied, status, reason, &out) { _ in }
    }

    /// All headers are always present, and each replaces the one that the client sent.
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

    /// Allows a request that needs no credential: all headers are present, `-` in place of an identity.
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

    /// The URI without the credential, and the headers and parameters that Envoy removes: all places of a credential.
    private func appendURI(_ uri: RawSpan, _ out: inout ByteWriter) {
        out.append(header: "x-auth-uri") { $0.append(uriWithoutCredential: uri, headerEncoded: true) }
        out.append(headerToRemove: "authorization")
        for name in loop.services.settings.keyHeaders { out.append(headerToRemove: name.octets) }
        uri.slice(OriginalURI(uri).query ?? WireRange()).forEachCredentialName {
            out.append(queryParameterToRemove: $0)
        }
    }

    /// Metadata for Envoy's other filters and its log; members without a value are omitted.
    private func appendMetadata(_ record: inout CredentialRecord, _ out: inout ByteWriter) {
        let owner = loop.verifier.owner(of: record)
        out.append(member: "subject") { out in
            // Strings of protocol buffers are UTF-8; an imported owner need not be.
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
