public import CredentialModel

/// The result for a presented credential. Outcomes are values; if the store cannot answer, an error is thrown.
public enum Verdict: Sendable {
    /// Its secret matches, it is not revoked, and it is valid now. Scope, audience and network must still be checked.
    case active(CredentialRecord)
    case inactive(InactiveReason)

    public var isActive: Bool {
        switch self {
        case .active: true
        case .inactive: false
        }
    }

    /// The record, if it is active.
    public var record: CredentialRecord? {
        switch self {
        case .active(let record): record
        case .inactive: nil
        }
    }

    /// The reason, if it is inactive.
    public var reason: InactiveReason? {
        switch self {
        case .active: nil
        case .inactive(let reason): reason
        }
    }
}
