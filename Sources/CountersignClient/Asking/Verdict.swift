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
