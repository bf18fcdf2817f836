/// Why a credential is not accepted. For authorised callers, metrics and the operator; introspection does not reveal it.
public enum InactiveReason: UInt8, Sendable, Error, CaseIterable {
    case malformed, unknown, revoked, expired, notYetValid, wrongKind, insufficientScope, wrongAudience, wrongNetwork

    /// The stable code in the API.
    public var code: String {
        switch self {
        case .malformed: "malformed"
        // A right secret of the wrong kind gets the same answer as a wrong secret.
        case .unknown, .wrongKind: "unknown"
        case .revoked: "revoked"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .insufficientScope: "insufficient_scope"
        case .wrongAudience: "wrong_audience"
        case .wrongNetwork: "wrong_network"
        }
    }
}
