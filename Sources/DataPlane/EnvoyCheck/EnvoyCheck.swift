import CredentialModel
import EnvoyAuthorization
import HTTPWire
import Verification

/// `envoy.service.auth.v3.Authorization/Check`: says to Envoy whether the request that it describes may pass, and on whose
/// behalf. Decides as `/ext_authz` does, by the same ``Judge``.
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

    /// Answers one message. What is written counts only if it was answered.
    func answer(_ message: RawSpan, _ scratch: inout RequestScratch, _ out: inout ByteWriter) -> Outcome {
        do throws(ProtobufFault) {
            try scratch.check.read(message)
        } catch {
            return .failed(.invalidArgument, "the message is no CheckRequest")
        }
        let request = scratch.check
        guard request.policy != nil || defaultPolicy != nil else {
            return refuse(
                403,
                "no policy: name one by context_extensions {policy: NAME} of the route, or by ?policy=NAME of the listener",
                &out)
        }
        guard let policy = policy(of: request, message) else {
            return refuse(403, "there is no policy of this name", &out)
        }
        var fields = FieldCounts()
        fields.authorization = request.authorizationCount
        fields.key = request.keyCount
        fields.origin = request.originCount
        fields.accessControlRequestMethod = request.accessControlRequestMethodCount
        let uri = message.slice(request.path)
        guard uri.byteCount <= CallLimits.uriBytesMax else { return deny("the URI is longer than 16 KiB", &out) }
        var needs = Needs()
        var record = CredentialRecord.blank
        let judgement = loop.judge.judge(
            uri, host: message.slice(request.host), isOptions: message.slice(request.method).isEqual("OPTIONS"),
            under: policy, message.slice(request.authorization), message.slice(request.key), fields, .grpc,
            at: loop.now, &scratch, &needs,
            into: &record
        ) {
            ClientAddress.find(
                message.slice(request.source), forwardedFor: request.forwardedFor, message,
                trusted: loop.settings.trustedProxies)
        }
        if case .trouble = judgement { return .failed(.unavailable, Refusal.trouble) }
        answerWriter
            .write(judgement, needs, &record, uri, &out)
        return .answered
    }

    /// Denies a request that is not judged. No error of the call: `failure_mode_allow` would let that pass.
    @discardableResult
    func refuse(_ status: UInt16, _ reason: StaticString, _ out: inout ByteWriter) -> Outcome {
        answerWriter.refuse(status, reason, &out)
        return .answered
    }

    /// `grpc.health.v1.Health/Check`: of the server as a whole, or of the one service here. Open to everybody who can
    /// connect, as `/readyz` is.
    func answerHealth(_ message: RawSpan, _ out: inout ByteWriter) -> Outcome {
        do throws(ProtobufFault) {
            let service = message.slice(try HealthCheck.service(in: message))
            guard service.isEmpty || service.isEqual("envoy.service.auth.v3.Authorization") else {
                return .failed(.notFound, "there is no such service")
            }
        } catch {
            return .failed(.invalidArgument, "the message is no HealthCheckRequest")
        }
        out.append(health: loop.readiness.current == .ready ? .serving : .notServing)
        return .answered
    }

    private var answerWriter: EnvoyCheckAnswer {
        EnvoyCheckAnswer(
            judge: loop.judge, challenges: loop.challenges, keyHeaders: loop.settings.keyHeaders)
    }

    private func deny(_ reason: StaticString, _ out: inout ByteWriter) -> Outcome {
        answerWriter.refuse(reason, &out)
        return .answered
    }

    private func policy(of request: CheckRequest, _ message: RawSpan) -> PolicySet.Entry? {
        if let name = request.policy { return loop.policies.entry(message.slice(name)) }
        guard let defaultPolicy else { return nil }
        return loop.policies.entry(defaultPolicy.octets)
    }
}
