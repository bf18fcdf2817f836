import CredentialModel
import Listening

/// What a connection may do because of where it came in.
struct ListenerPolicy: Sendable {
    let address: ListenerAddress
    /// Serves only `/livez`, `/readyz` and `/metrics`.
    let isHealthOnly: Bool
    /// The audience of whoever may introspect by the socket's permission, as a one-word list.
    let audience: [UInt8]

    init(_ address: ListenerAddress, isHealthOnly: Bool) {
        self.address = address
        self.isHealthOnly = isHealthOnly
        audience = Array((address.audience ?? "").utf8)
    }
}
