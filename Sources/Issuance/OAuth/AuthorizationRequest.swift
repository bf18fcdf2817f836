import CredentialDigest
import CredentialModel
public import CredentialStore
import NetworkAddress

/// A client's validated authorization request (RFC 6749 §4.1.1).
public struct AuthorizationRequest: Sendable, Equatable {
    public let clientID: String
    /// The address to which the response is sent.
    public let redirectURI: String
    /// Whether the request contained the redirect URI; if not, it is the only one of the client.
    public let namesRedirectURI: Bool
    public let scope: [String]
    public let audience: [String]
    public let challenge: CodeChallenge

    /// The parameters as received, except the client and the redirect URI, which must be checked before.
    public struct Parameters: Sendable {
        public var responseType: String?
        public var scope: String?
        public var resources: [String] = []
        public var codeChallenge: String?
        public var codeChallengeMethod: String?

        public init() {}
    }

    /// Checks a request whose client and redirect URI are valid.
    /// - Throws: the error to send to the client by redirect.
    public init(
        client: ClientDefinition, redirectURI: String, namesRedirectURI: Bool, _ parameters: Parameters
    ) throws(OAuthError) {
        guard let type = parameters.responseType else { throw OAuthError(.invalidRequest, "response_type is missing") }
        guard type == "code" else { throw OAuthError(.unsupportedResponseType, "response_type must be code") }
        guard client.metadata.grants.contains("authorization_code") else {
            throw OAuthError(.unauthorizedClient, "this client is not registered for authorization codes")
        }
        guard let method = parameters.codeChallengeMethod, method == "S256", let text = parameters.codeChallenge else {
            throw OAuthError(.invalidRequest, "code_challenge with code_challenge_method=S256 is required (RFC 7636)")
        }
        guard let challenge = CodeChallenge(text) else {
            throw OAuthError(.invalidRequest, "code_challenge must be a SHA-256 in base64url")
        }
        self.challenge = challenge
        clientID = client.clientID
        self.redirectURI = redirectURI
        self.namesRedirectURI = namesRedirectURI
        scope = try GrantSubset.scope(parameters.scope, within: client.metadata.scope)
        audience = try GrantSubset.resources(parameters.resources, within: client.metadata.audience)
    }

    /// Restores a request that was checked and then stored.
    public init(
        clientID: String, redirectURI: String, namesRedirectURI: Bool, scope: [String], audience: [String],
        challenge: CodeChallenge
    ) {
        self.clientID = clientID
        self.redirectURI = redirectURI
        self.namesRedirectURI = namesRedirectURI
        self.scope = scope
        self.audience = audience
        self.challenge = challenge
    }
}

/// The part of what may be granted that a request selects.
enum GrantSubset {
    /// - Parameter text: the `scope` parameter; nil or empty for everything that may be granted.
    /// - Throws: `invalid_scope` if it is malformed or contains a scope that may not be granted.
    static func scope(_ text: String?, within granted: [String]) throws(OAuthError) -> [String] {
        guard let text else { return granted }
        guard let requested = try? ScopeSet(text: text) else {
            throw OAuthError(.invalidScope, "the scope is malformed")
        }
        // RFC 6749 §3.3: an empty scope counts as no scope.
        guard !requested.tokens.isEmpty else { return granted }
        guard requested.tokens.allSatisfy(granted.contains) else {
            throw OAuthError(.invalidScope, "the scope goes beyond what may be granted")
        }
        return requested.tokens
    }

    /// - Parameter requested: the `resource` parameters (RFC 8707 §2); empty for everything that may be granted.
    /// - Returns: the registered spelling of the selected resources.
    /// - Throws: `invalid_target` for a resource that may not be granted.
    static func resources(_ requested: [String], within granted: [String]) throws(OAuthError) -> [String] {
        guard requested.allSatisfy({ uri in granted.contains { ResourceURI.areSame($0, uri) } }) else {
            throw OAuthError(.invalidTarget, "a resource is not known here")
        }
        guard !requested.isEmpty else { return granted }
        return granted.filter { granted in requested.contains { ResourceURI.areSame($0, granted) } }
    }
}

/// Proves that a code is redeemed by the program that requested it (RFC 7636). Only the method S256 is supported.
public struct CodeChallenge: Sendable, Equatable {
    /// The SHA-256 of the `code_verifier`.
    let digest: [UInt8]

    /// Parses `code_challenge`: 43 characters of base64url for 32 bytes. Nil for anything else.
    public init?(_ text: String) {
        guard text.utf8.count == 43, let bytes = Base64URL.decode(text), bytes.count == 32 else { return nil }
        digest = bytes
    }

    init(digest: [UInt8]) { self.digest = digest }

    /// Whether a `code_verifier` matches: 43 to 128 unreserved characters (RFC 7636 §4.1) with this digest.
    func isMet(by verifier: String) -> Bool {
        let bytes = Array(verifier.utf8)
        guard (43...128).contains(bytes.count), bytes.allSatisfy(PercentEncoding.isUnreserved) else { return false }
        return ConstantTime.equal(SHA256Digest.of(bytes.octets).octets, digest.octets)
    }

    /// The `code_challenge` parameter.
    public var text: String { Base64URL.encode(digest) }
}

/// Why an OAuth 2.0 request is refused. The reason is for the client's developer and contains no text of the request.
public struct OAuthError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The codes of RFC 6749 §4.1.2.1 and §5.2 and of RFC 8707 §2.
    public enum Code: String, Sendable {
        case invalidRequest = "invalid_request"
        case invalidClient = "invalid_client"
        case invalidGrant = "invalid_grant"
        case invalidScope = "invalid_scope"
        case invalidTarget = "invalid_target"
        case unauthorizedClient = "unauthorized_client"
        case unsupportedGrantType = "unsupported_grant_type"
        case unsupportedResponseType = "unsupported_response_type"
        case unsupportedTokenType = "unsupported_token_type"
        case accessDenied = "access_denied"
        case serverError = "server_error"
        case temporarilyUnavailable = "temporarily_unavailable"
    }

    public let code: Code
    public let reason: String
    /// Whether a code or a refresh token was used a second time, so that its token family is now revoked: either the client
    /// repeated a request, or the token was stolen (RFC 9700 §4.14.2).
    public let isReuse: Bool

    public init(_ code: Code, _ reason: String, isReuse: Bool = false) {
        self.code = code
        self.reason = reason
        self.isReuse = isReuse
    }

    public var description: String { "\(code.rawValue): \(reason)" }

    /// For a presented code or refresh token. The same error in all cases: the client must not learn whether a secret that is
    /// not its own exists.
    public static let unknownOrForeign = OAuthError(
        .invalidGrant, "the code or refresh token is unknown, or was issued to another client")

    /// For a sign-in decision that grants scope which the authorization request did not ask for.
    public static let scopeExceedsRequest = OAuthError(
        .invalidScope, "the granted scope exceeds the requested one")

    /// Any other error than an ``OAuthError`` is a failure of the service: the caller should try again.
    init(_ error: any Error) {
        switch error {
        case let error as OAuthError: self = error
        default: self.init(.temporarilyUnavailable, IssuanceError(error).message)
        }
    }
}
