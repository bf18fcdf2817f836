/// What a credential is for: the third letter of its text.
public enum CredentialKind: UInt8, Sendable, CaseIterable {
    /// `k`: an API key, server to server.
    case apiKey = 0x6B
    /// `b`: an OAuth 2.0 bearer access token (RFC 6750).
    case accessToken = 0x62
    /// `r`: an OAuth 2.0 refresh token (RFC 6749 §1.5).
    case refreshToken = 0x72
    /// `a`: an OAuth 2.0 authorization code (RFC 6749 §1.3.1).
    case authorizationCode = 0x61
    /// `c`: an OAuth 2.0 client secret (RFC 6749 §2.3.1).
    case clientSecret = 0x63

    /// The name in the administration API.
    public var name: String {
        switch self {
        case .apiKey: "api_key"
        case .accessToken: "access_token"
        case .refreshToken: "refresh_token"
        case .authorizationCode: "authorization_code"
        case .clientSecret: "client_secret"
        }
    }

    /// The kind with this ``name``, or nil.
    public init?(name: String) {
        guard let kind = CredentialKind.allCases.first(where: { $0.name == name }) else { return nil }
        self = kind
    }
}
