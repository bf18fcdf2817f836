import CredentialStore
public import Issuance

/// The authorization server: what its endpoints share.
public struct OAuthServer: Sendable {
    let issuer: Issuer
    let settings: OAuthSettings
    let authentication: ClientAuthentication
    let seal: Seal
    let browsers: Browsers

    var store: CredentialStore { issuer.store }

    /// - Throws: ``StoreFailure`` when the store has no reader left.
    public init(issuer: Issuer, settings: OAuthSettings) throws {
        self.issuer = issuer
        self.settings = settings
        authentication = ClientAuthentication(store: issuer.store, secrets: try ClientSecrets(store: issuer.store))
        seal = Seal(key: issuer.store.lookup)
        browsers = Browsers(isSecure: settings.issuer.hasPrefix("https://"))
    }

    func address(_ path: String) -> String { settings.issuer + path }
}

/// Where the endpoints are.
enum OAuthPath {
    static let authorize = "/oauth2/authorize"
    static let resume = "/oauth2/authorize/resume"
    static let token = "/oauth2/token"
    static let revoke = "/oauth2/revoke"
    static let leaks = "/v1/leaks"
    static let metadata = "/.well-known/oauth-authorization-server"
    static let protectedResource = "/.well-known/oauth-protected-resource"
    static let demonstration = "/oauth2/demonstration"

    /// Whether a path is one of the authorization server's.
    static func owns(_ path: String) -> Bool {
        path.hasPrefix("/oauth2/") || path.hasPrefix("/.well-known/") || path == leaks
    }
}
