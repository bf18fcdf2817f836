public import CredentialModel

/// What is found of a presented credential. Outcomes are values; a store that cannot answer is an error.
public enum Verdict: Sendable {
    /// Its secret is right, it is alive, and now lies within its life. Scope, audience and network are still to be judged.
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

    /// The reason, if it is not.
    public var reason: InactiveReason? {
        switch self {
        case .active: nil
        case .inactive(let reason): reason
        }
    }
}
