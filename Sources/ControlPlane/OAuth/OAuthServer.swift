import CredentialStore
import HTTPTypes
public import Issuance

/// The authorization server: what its endpoints share.
public struct OAuthServer: Sendable {
    let issuer: Issuer
    let settings: OAuthSettings
    let authentication: ClientAuthentication
    let signer: TextSigner
    let cookie: BrowserCookie

    var store: CredentialStore { issuer.store }

    /// - Throws: ``StoreFailure`` if the store has no free reader slot.
    public init(issuer: Issuer, settings: OAuthSettings) throws {
        self.issuer = issuer
        self.settings = settings
        authentication = ClientAuthentication(store: issuer.store, secrets: try ClientSecrets(store: issuer.store))
        signer = TextSigner(key: issuer.store.lookup)
        cookie = BrowserCookie(isSecure: settings.issuer.hasPrefix("https://"))
    }

    func address(_ path: String) -> String { settings.issuer + path }

    /// See ``CredentialStore/becomeCurrent()``.
    func becomeCurrent() async throws(OAuthError) {
        do {
            try await issuer.becomeCurrent()
        } catch {
            throw OAuthError(.temporarilyUnavailable, error.message)
        }
    }

    /// Decides, and before a refusal once more with everything that other nodes of the fleet have acknowledged: a client, a
    /// secret or a code that one of them has made a moment ago is not unknown.
    func currently<Value>(
        _ decide: () async throws(OAuthError) -> Value
    ) async throws(OAuthError) -> Value {
        guard issuer.store.fleet != nil else { return try await decide() }
        let refusal: OAuthError
        do throws(OAuthError) {
            return try await decide()
        } catch {
            refusal = error
        }
        // What was used twice has ended its family.
        guard Self.refusals.contains(refusal.code), !refusal.isReuse else { throw refusal }
        try await becomeCurrent()
        return try await decide()
    }

    private static let refusals: Set<OAuthError.Code> = [
        .invalidClient, .invalidGrant, .invalidScope, .invalidTarget, .unauthorizedClient, .accessDenied,
    ]
}

/// The address of the authorization server, and where people sign in.
public struct OAuthSettings: Sendable {
    /// Where people sign in and give consent.
    public enum Login: Sendable, Equatable {
        /// The operator's application. It receives `login_challenge` and decides through the administration API.
        case application(url: String)
        /// A built-in page on which anybody can sign in as anybody. For trials only.
        case demonstration
    }

    /// `iss`: the address that clients know, without a trailing slash (RFC 8414 §2).
    public var issuer: String
    public var introspectionURL: String?
    /// Nil: there is no sign-in, and so no authorization codes.
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

/// The paths of the endpoints.
enum OAuthPath {
    static let authorize = "/oauth2/authorize"
    static let resume = "/oauth2/authorize/resume"
    static let token = "/oauth2/token"
    static let revoke = "/oauth2/revoke"
    static let leaks = "/v1/leaks"
    static let metadata = "/.well-known/oauth-authorization-server"
    static let protectedResource = "/.well-known/oauth-protected-resource"
    static let demonstration = "/oauth2/demonstration"

    /// Whether the answer needs the log of a fleet: all but metadata.
    static func usesLog(_ path: String, _ method: HTTPRequest.Method) -> Bool {
        switch path {
        case token, revoke, leaks: method == .post
        case authorize, resume: method == .get || method == .head
        case demonstration: [.get, .head, .post].contains(method)
        default: false
        }
    }

    /// Whether a path belongs to the authorization server.
    static func owns(_ path: String) -> Bool {
        path.hasPrefix("/oauth2/") || path.hasPrefix("/.well-known/") || path == leaks
    }
}
