import CredentialModel

/// A right over this service, written as a scope of a key or of a client's secret.
///
/// Granted only by administration, never by an OAuth flow, and only by somebody who has it (see ``Authority``).
public enum Right: String, Sendable, CaseIterable {
    case introspect = "countersign:introspect"
    case changes = "countersign:changes"
    case keysRead = "countersign:keys:read"
    case keysWrite = "countersign:keys:write"
    case keysRevoke = "countersign:keys:revoke"
    case clientsRead = "countersign:clients:read"
    case clientsWrite = "countersign:clients:write"
    case clientsRevoke = "countersign:clients:revoke"
    case tokensRead = "countersign:tokens:read"
    case tokensIssue = "countersign:tokens:issue"
    case tokensRevoke = "countersign:tokens:revoke"
    case ownersRevoke = "countersign:owners:revoke"
    case authorizationsDecide = "countersign:authorizations:decide"
    case consentsRead = "countersign:consents:read"
    case consentsRevoke = "countersign:consents:revoke"
    case peppersRead = "countersign:peppers:read"
    case peppersWrite = "countersign:peppers:write"
    case storeRead = "countersign:store:read"
    case storeBackup = "countersign:store:backup"
    case auditRead = "countersign:audit:read"
    case explain = "countersign:explain"
    case metricsRead = "countersign:metrics:read"

    /// The scope that includes every right.
    public static let all = "countersign:admin"

    /// Whether a credential with these scopes has the right.
    public func isGranted(by scope: some Sequence<String>) -> Bool {
        scope.contains { $0 == rawValue || $0 == Self.all }
    }

    /// Whether a scope is a right of this version, or all of them. An unknown one would mean something to people but nothing
    /// to this service.
    static func isKnown(_ scope: String) -> Bool {
        scope == all || Right(rawValue: scope) != nil
    }
}
