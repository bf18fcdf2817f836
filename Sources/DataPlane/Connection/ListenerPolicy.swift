import ForwardAuth
import HTTPWire
import Listening

/// What a connection may do because of where it came in.
///
/// An object, since each request looks at it, and its texts would have to be counted with every copy.
final class ListenerPolicy: Sendable {
    let address: ListenerAddress
    /// Serves only `/livez`, `/readyz` and `/metrics`.
    let isHealthOnly: Bool
    /// What is served here.
    let routes: [Route]
    /// The audience of whoever may introspect by the socket's permission, as a one-word list.
    let audience: [UInt8]
    /// The policy that every request here is checked by, whatever its path.
    let authzOnly: [UInt8]?
    /// The policy of checks over gRPC that name none.
    let checkPolicy: [UInt8]?
    // Of the address, read once.
    let isEncrypted: Bool
    let isGRPC: Bool
    let isLocal: Bool
    let mayIntrospect: Bool
    let gatewayHeaders: GatewayHeaders

    init(_ address: ListenerAddress, isHealthOnly: Bool) {
        self.address = address
        self.isHealthOnly = isHealthOnly
        isEncrypted = address.isEncrypted
        isGRPC = address.isGRPC
        isLocal = address.isLocal
        mayIntrospect = address.mayIntrospect
        gatewayHeaders = GatewayHeaders(address)
        authzOnly = isHealthOnly ? nil : address.authzOnly.map { Array($0.utf8) }
        routes = Route.all(healthOnly: isHealthOnly, authorizationOnly: authzOnly != nil)
        checkPolicy = address.policy.map { Array($0.utf8) }
        audience = Array((address.audience ?? "").utf8)
    }

    /// Whether whoever can open this Unix socket has a right without a credential.
    func may(_ right: CallerRight) -> Bool {
        switch right {
        case .introspect: mayIntrospect
        case .changes: address.mayFollowChanges
        }
    }
}

extension GatewayHeaders {
    init(_ address: ListenerAddress) {
        let hostField: KnownField? =
            switch address.hostField {
            case .xOriginalHost: .xOriginalHost
            case .host: .host
            case nil: nil
            }
        let addressField: KnownField? =
            switch address.addressField {
            case .xForwardedFor: .xForwardedFor
            case .xRealIP: .xRealIP
            case nil: nil
            }
        let family: Family? =
            switch address.originalHeaders {
            case .xForwarded: .xForwarded
            case .xOriginal: .xOriginal
            case nil: nil
            }
        self.init(family: family, hostField: hostField, addressField: addressField)
    }
}
