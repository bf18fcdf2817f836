/// Why a credential is not accepted. For authorised callers, metrics and the operator; introspection never tells.
public enum InactiveReason: UInt8, Sendable, Error, CaseIterable {
    case malformed, unknown, revoked, expired, notYetValid, wrongKind, insufficientScope, wrongAudience, wrongNetwork

    /// The stable code of the contract.
    public var code: String {
        switch self {
        case .malformed: "malformed"
        // A right secret of the wrong kind says no more than a wrong one.
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
