/// What the service says of a credential.
public enum Verdict: Equatable, Sendable {
    /// It may be used for what was asked.
    case active(Identity)
    case inactive(Reason)
}

/// Why a credential may not be used. It is for logs and metrics: who presented it need not know.
public enum Reason: Hashable, Sendable, CustomStringConvertible {
    case unknown, expired, notYetValid, revoked, insufficientScope, wrongAudience, wrongNetwork, malformed
    /// A reason that this version of the library does not know.
    case other(String)

    private static let known: [String: Reason] = [
        "unknown": .unknown, "expired": .expired, "not_yet_valid": .notYetValid, "revoked": .revoked,
        "insufficient_scope": .insufficientScope, "wrong_audience": .wrongAudience, "wrong_network": .wrongNetwork,
        "malformed": .malformed,
    ]

    init(code: String) {
        self = Self.known[code] ?? .other(code)
    }

    /// The code of the service.
    public var description: String {
        if case .other(let code) = self { return code }
        return Self.known.first { $0.value == self }?.key ?? "unknown"
    }
}

/// Why there is no verdict. It says nothing about the credential: let nobody in, and do not call it invalid.
public enum VerificationFailure: Error, Equatable, Sendable {
    /// No connection, no answer within the deadline, too many questions at once, or the service's own trouble (503).
    /// - Parameter retryAfterSeconds: when to ask again, fit for a `Retry-After` field (RFC 9110 §10.2.3).
    case unavailable(cause: String, retryAfterSeconds: Int)
    /// The service does not know this program (401), or it has not the right to ask (403).
    case callerRefused(status: Int)
    /// The service cannot follow the question (400, 413): a scope, audience or address that is none, or too many credentials.
    case questionRefused(detail: String)
    /// The answer is none that this version of the library can read.
    case answerNotUnderstood
    /// The task was cancelled before there was an answer.
    case cancelled
}
