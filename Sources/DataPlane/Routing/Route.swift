import CredentialModel
import ForwardAuth
import HTTPWire
import Listening

/// One endpoint of the data plane: its path and methods, its callers, and its body.
struct Route: Sendable {
    enum Endpoint {
        case introspection, forwardAuth, externalAuthorization, authorizationOnly, verdicts, tokenReview, changes
        case liveness, readiness, metrics
    }

    /// The callers that a route admits.
    enum Callers {
        case anybody
        /// Local callers, callers with a verified certificate, and those from `verify.sources`.
        case gateways
        /// Callers that prove a right: by the Authorization field, a client certificate or the socket; if the body is a
        /// form, also by that.
        case holders(of: CallerRight)
    }

    let endpoint: Endpoint
    let path: StaticString
    let methods: AllowedMethods
    let callers: Callers
    /// The media type of the body; nil if it is ignored.
    let body: MediaType?
    /// The interface for metrics; nil if nothing is verified.
    let interface: VerificationInterface?

    init(
        _ methods: AllowedMethods, _ path: StaticString, _ endpoint: Endpoint, for callers: Callers,
        body: MediaType? = nil, as interface: VerificationInterface? = nil
    ) {
        (self.methods, self.path, self.endpoint) = (methods, path, endpoint)
        (self.callers, self.body, self.interface) = (callers, body, interface)
    }

    /// All verification endpoints. The most frequent one comes first.
    private static let verification: [Route] = [
        Route(
            .post, "/oauth2/introspect", .introspection, for: .holders(of: .introspect), body: .form,
            as: .introspection),
        Route(.any, "/verify", .forwardAuth, for: .gateways, as: .forwardAuth),
        Route(
            .any, ExternalAuthorization.prefix, .externalAuthorization, for: .gateways, as: .externalAuthorization),
        Route(.post, "/v1/verify", .verdicts, for: .holders(of: .introspect), body: .json, as: .verdicts),
        Route(.post, TokenReview.path, .tokenReview, for: .holders(of: .introspect), body: .json, as: .tokenReview),
        Route(.get, "/v1/changes", .changes, for: .holders(of: .changes)),
    ]

    private static let health: [Route] = [
        Route(.getOrHead, "/livez", .liveness, for: .anybody),
        Route(.getOrHead, "/readyz", .readiness, for: .anybody),
    ]

    private static let metrics: [Route] = [Route(.getOrHead, "/metrics", .metrics, for: .anybody)]

    /// For a listener on which every request is judged, whatever its path.
    private static let authorizationOnly = [
        Route(.any, "/", .authorizationOnly, for: .gateways, as: .externalAuthorization)
    ]

    /// The routes of a listener.
    static func all(healthOnly: Bool, authorizationOnly: Bool) -> [Route] {
        if healthOnly { return health + metrics }
        return authorizationOnly ? Self.authorizationOnly : verification + health
    }

    /// The limits on a request to this plane.
    static let limits = {
        var limits = WireLimits()
        limits.limitBody(to: VerifyForm.bodyBytesMax, under: "/v1/verify")
        return limits
    }()

    /// Whether it is for those who look whether the service lives: no requests in the sense of the access log.
    var isForProbes: Bool {
        switch endpoint {
        case .liveness, .readiness, .metrics: true
        default: false
        }
    }

    /// Whether the route serves a path. Two routes serve everything below theirs.
    @inline(__always)
    func matches(_ path: RawSpan) -> Bool {
        switch endpoint {
        case .authorizationOnly: return true
        case .externalAuthorization:
            let count = self.path.utf8CodeUnitCount
            return path.byteCount >= count && path.slice(WireRange(0, count)).isEqual(self.path)
        default: return path.isEqual(self.path)
        }
    }
}

/// The methods that a route accepts.
struct AllowedMethods: Sendable {
    private let bits: UInt16
    /// The value of `Allow` (RFC 9110 §10.2.1).
    let text: StaticString

    static let post = AllowedMethods([.post], "POST")
    static let get = AllowedMethods([.get], "GET")
    static let getOrHead = AllowedMethods([.get, .head], "GET, HEAD")
    static let any = AllowedMethods(Method.allCases, "")

    private init(_ methods: [Method], _ text: StaticString) {
        bits = methods.reduce(0) { $0 | 1 << UInt16($1.rawValue) }
        self.text = text
    }

    @inline(__always)
    func contains(_ method: Method) -> Bool { bits & 1 << UInt16(method.rawValue) != 0 }
}

/// The configuration of a listener in the form that requests need it.
///
/// An object: each request reads it, and copies of its texts would be reference-counted.
final class ListenerConfiguration: Sendable {
    let address: ListenerAddress
    /// Whether it serves only `/livez`, `/readyz` and `/metrics`.
    let isHealthOnly: Bool
    /// The routes that it serves.
    let routes: [Route]
    /// The audience of callers that the permissions of the socket allow to introspect, as a list of one word.
    let audience: [UInt8]
    /// The policy of every request, whatever its path.
    let authzOnly: [UInt8]?
    /// The policy of gRPC checks that name none.
    let checkPolicy: [UInt8]?
    // Properties of the address, computed once.
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

    /// Whether callers that can open this Unix socket have a right without a credential.
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
