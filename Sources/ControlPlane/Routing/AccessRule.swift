import AdministrationAPI
import Issuance

/// Who may do what on a listener: decides on each request before its body is read.
public struct AccessRule: Sendable {
    /// In whose name a request acts. It is refused unless he has the right, where one is needed.
    let admit: @Sendable (ControlPlaneRequest, Peer, Right?) async throws -> Authority

    /// - Parameter admit: throws a ``Problem`` to refuse.
    init(admit: @escaping @Sendable (ControlPlaneRequest, Peer, Right?) async throws -> Authority) {
        self.admit = admit
    }

    /// Whoever could open the socket file may do everything.
    public static let socketFile = AccessRule { _, peer, _ in
        .unlimited(.controlSocket(user: await peer.userNumber()))
    }

    /// The command that has opened the store itself and speaks to itself.
    public static let command = AccessRule { _, _, _ in .unlimited(.command) }

    /// Whoever proves himself with a credential may do what it has the rights for.
    public static func credentials(_ callers: AdministrationCallers) -> AccessRule {
        AccessRule { request, peer, right in try await callers.admit(request, from: peer, needing: right) }
    }
}
