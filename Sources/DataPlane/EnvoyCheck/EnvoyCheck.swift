import CredentialModel
import EnvoyAuthorization
import ForwardAuth
import HTTPWire
import NIOCore
import Verification

/// `envoy.service.auth.v3.Authorization/Check`: says to Envoy whether the request that it describes may pass, and on whose
/// behalf. Decides as `/ext_authz` does, by the same `Judge`.
struct EnvoyCheck {
    /// What has become of a call.
    enum Outcome {
        /// The answer is written: it may pass, or not.
        case answered
        /// There is no answer. Envoy then does what it is told to do on errors, which is to let nothing pass.
        case failed(StatusCode, StaticString)
    }

    /// The policy of requests whose route names none.
    let defaultPolicy: [UInt8]?
    let loop: LoopState

    /// Answers one message: behind what is in `out`, if it is answered.
    func answer(_ message: RawSpan, _ scratch: inout RequestScratch, _ out: inout ByteBuffer) -> Outcome {
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
        let judgement = loop.judge(.grpc, request, under: policy, &requirement, &scratch.judging) {
            ClientAddress.find(
                message.slice(described.source), forwardedFor: described.forwardedFor, message,
                trusted: loop.services.settings.trustedProxies)
        }
        if case .trouble = judgement { return .failed(.unavailable, JudgementText.trouble) }
        return write(&out) { answerWriter.write(judgement, uri, requirement, &scratch.judging.record, &$0) }
    }

    private func write(_ out: inout ByteBuffer, _ body: (inout ByteWriter) -> Void) -> Outcome {
        CallFrame.write(into: &out, body) ? .answered : .failed(.internal, "the answer is too large")
    }

    /// Denies a request that is not judged. No error of the call: `failure_mode_allow` would let that pass.
    @discardableResult
    func refuse(_ status: UInt16, _ reason: StaticString, _ out: inout ByteBuffer) -> Outcome {
        write(&out) { answerWriter.refuse(status, reason, &$0) }
    }

    /// `grpc.health.v1.Health/Check`: of the server as a whole, or of the one service here. Open to everybody who can
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
