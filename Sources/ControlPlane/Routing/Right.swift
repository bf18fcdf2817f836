/// A right over this service, written as a scope. Given by administration only, never by an OAuth flow.
///
/// Who reaches the Unix socket has them all: the file's permission is the authentication. A listener for keys and
/// tokens compares them with the scope of the caller.
public enum Right: String, Sendable, CaseIterable {
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

    /// The scope that holds every right.
    public static let all = "countersign:admin"

    /// Whether a caller with this scope has the right.
    public func isGranted(by scope: some Sequence<String>) -> Bool {
        scope.contains { $0 == rawValue || $0 == Self.all }
    }
}

/// Who may do what on a listener: decides on each request before its body is read.
public struct AccessRule: Sendable {
    let permit: @Sendable (ControlPlaneRequest, Right) async throws -> Void

    /// - Parameter permit: throws an `AdministrationAPI.Problem` to refuse.
    public init(permit: @escaping @Sendable (ControlPlaneRequest, Right) async throws -> Void) {
        self.permit = permit
    }

    /// Whoever could open the socket file.
    public static let socketFile = AccessRule { _, _ in }
}
