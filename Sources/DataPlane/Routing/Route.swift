import CredentialModel
import HTTPWire

/// One thing that the data plane serves: where, to whom, and what it takes.
struct Route: Sendable {
    enum Endpoint {
        case introspection, forwardAuth, externalAuthorization, authorizationOnly, verdicts, tokenReview, changes
        case liveness, readiness, metrics
    }

    /// Who may ask.
    enum Callers {
        case anybody
        /// Local callers, callers with a verified certificate, and those from `verify.sources`.
        case gateways
        /// Whoever proves to hold a right: by the Authorization field, a client certificate or the socket; where the
        /// body is a form, by that as well.
        case holders(of: CallerRight)
    }

    let endpoint: Endpoint
    let path: StaticString
    let methods: AllowedMethods
    let callers: Callers
    /// What the body has to be; nil: it is not looked at.
    let body: MediaType?
    /// Where its verifications are counted; nil: nothing is verified.
    let interface: VerificationInterface?

    init(
        _ methods: AllowedMethods, _ path: StaticString, _ endpoint: Endpoint, for callers: Callers,
        body: MediaType? = nil, as interface: VerificationInterface? = nil
    ) {
        (self.methods, self.path, self.endpoint) = (methods, path, endpoint)
        (self.callers, self.body, self.interface) = (callers, body, interface)
    }

    /// All of the interface. What is asked most often comes first.
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

    /// A listener where every request is one to judge, whatever its path.
    private static let authorizationOnly = [
        Route(.any, "/", .authorizationOnly, for: .gateways, as: .externalAuthorization)
    ]

    /// What a listener serves.
    static func all(healthOnly: Bool, authorizationOnly: Bool) -> [Route] {
        if healthOnly { return health + metrics }
        return authorizationOnly ? Self.authorizationOnly : verification + health
    }

    /// What one request may cost on this plane.
    static let limits = {
        var limits = WireLimits()
        limits.limitBody(to: VerifyForm.bodyBytesMax, under: "/v1/verify")
        return limits
    }()

    /// Whether a path is this one. Two routes own all that begins with theirs.
    @inline(__always)
    func owns(_ path: RawSpan) -> Bool {
        switch endpoint {
        case .authorizationOnly: return true
        case .externalAuthorization:
            let count = self.path.utf8CodeUnitCount
            return path.byteCount >= count && path.slice(WireRange(0, count)).isEqual(self.path)
        default: return path.isEqual(self.path)
        }
    }
}

/// The methods that a route takes.
struct AllowedMethods: Sendable {
    private let bits: UInt16
    /// What stands in `Allow` (RFC 9110 §10.2.1).
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
