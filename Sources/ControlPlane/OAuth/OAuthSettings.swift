/// What the authorization server says of itself and where people sign in.
public struct OAuthSettings: Sendable {
    /// Where people sign in and agree.
    public enum Login: Sendable, Equatable {
        /// The operator's own application: it gets `login_challenge` and decides over the administration API.
        case application(url: String)
        /// Built-in pages on which everybody can be anybody. For trying things out.
        case demonstration
    }

    /// `iss`: the address that clients know, without a slash at its end (RFC 8414 §2).
    public var issuer: String
    public var introspectionURL: String?
    /// Nil: no authorization codes.
    public var login: Login?
    /// Origins whose pages may call the token and revocation endpoints.
    public var corsOrigins: [String]

    public init(
        issuer: String, introspectionURL: String? = nil, login: Login? = nil, corsOrigins: [String] = []
    ) {
        self.issuer = issuer
        self.introspectionURL = introspectionURL
        self.login = login
        self.corsOrigins = corsOrigins
    }
}
