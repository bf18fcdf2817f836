public import CredentialStore
import CredentialModel

/// A client's validated authorization request (RFC 6749 §4.1.1).
public struct AuthorizationRequest: Sendable, Equatable {
    public let clientID: String
    /// Where to send the response.
    public let redirectURI: String
    /// Whether the request contained it; if not, it is the client's only one.
    public let namesRedirectURI: Bool
    public let scope: [String]
    public let audience: [String]
    public let challenge: CodeChallenge

    /// The parameters as received.
    public struct Parameters: Sendable {
        public var responseType: String?
        public var scope: String?
        public var resources: [String] = []
        public var codeChallenge: String?
        public var codeChallengeMethod: String?

        public init() {}
    }

    /// The client's redirect URI for a request: exactly a registered one, except for the port of a public client's loopback
    /// address (RFC 8252 §7.3). Nil: the response must not be sent anywhere (RFC 6749 §4.1.2.1).
    public static func redirectURI(_ asked: String?, of client: ClientDefinition) -> String? {
        guard let asked else {
            let registered = client.metadata.redirectURIs
            guard registered.count == 1, let only = registered.first else { return nil }
            return RedirectURI.fault(in: only) == nil ? only : nil
        }
        // Earlier versions registered URIs that are refused today.
        guard RedirectURI.fault(in: asked) == nil else { return nil }
        if client.metadata.redirectURIs.contains(asked) { return asked }
        guard client.metadata.isPublic, let loopback = LoopbackURI(asked) else { return nil }
        return client.metadata.redirectURIs.contains { LoopbackURI($0) == loopback } ? asked : nil
    }

    /// Checks a request whose client and redirect URI are valid.
    /// - Throws: the error to send by redirect.
    public init(
        client: ClientDefinition, redirectURI: String, namesRedirectURI: Bool, _ parameters: Parameters
    ) throws(OAuthError) {
        guard let type = parameters.responseType else { throw OAuthError(.invalidRequest, "response_type is missing") }
        guard type == "code" else { throw OAuthError(.unsupportedResponseType, "response_type can be code only") }
        guard client.metadata.grants.contains("authorization_code") else {
            throw OAuthError(.unauthorizedClient, "this client is not registered for authorization codes")
        }
        guard let method = parameters.codeChallengeMethod, method == "S256", let text = parameters.codeChallenge else {
            throw OAuthError(.invalidRequest, "code_challenge with code_challenge_method=S256 is required (RFC 7636)")
        }
        guard let challenge = CodeChallenge(text) else {
            throw OAuthError(.invalidRequest, "code_challenge is no base64url of a SHA-256")
        }
        self.challenge = challenge
        clientID = client.clientID
        self.redirectURI = redirectURI
        self.namesRedirectURI = namesRedirectURI
        scope = try Asked.scope(parameters.scope, within: client.metadata.scope)
        audience = try Asked.resources(parameters.resources, within: client.metadata.audience)
    }

    /// Restores a request that was checked before and then stored.
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

/// The part of a grant that a request asks for.
enum Asked {
    /// The whole grant if the request names nothing.
    static func scope(_ text: String?, within granted: [String]) throws(OAuthError) -> [String] {
        guard let text else { return granted }
        guard let asked = try? ScopeSet(text: text) else { throw OAuthError(.invalidScope, "the scope is malformed") }
        // An empty scope is no scope (RFC 6749 §3.3).
        guard !asked.tokens.isEmpty else { return granted }
        guard asked.tokens.allSatisfy(granted.contains) else {
            throw OAuthError(.invalidScope, "the scope goes beyond what may be granted")
        }
        return asked.tokens
    }

    /// RFC 8707 §2. Returns the registered spelling, whatever the request used.
    static func resources(_ asked: [String], within granted: [String]) throws(OAuthError) -> [String] {
        guard asked.allSatisfy({ asked in granted.contains { ResourceURI.areSame($0, asked) } }) else {
            throw OAuthError(.invalidTarget, "a resource is not known here")
        }
        return asked.isEmpty
            ? granted : granted.filter { granted in asked.contains { ResourceURI.areSame($0, granted) } }
    }
}

/// A redirect URI on a numeric loopback address, without its port. Not for `localhost`, which a name server may resolve
/// elsewhere (RFC 8252 §8.3): that one is compared whole.
private struct LoopbackURI: Equatable {
    let host: Substring
    let path: Substring

    init?(_ uri: String) {
        for host in ["http://127.0.0.1", "http://[::1]"] where uri.hasPrefix(host) {
            var rest = uri.dropFirst(host.count)
            if rest.first == ":" {
                let port = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
                guard (1...5).contains(port.count), UInt16(port) != nil else { return nil }
                rest = rest.dropFirst(port.count + 1)
            }
            guard rest.isEmpty || rest.first == "/" || rest.first == "?" else { return nil }
            self.host = uri.prefix(host.count)
            path = rest
            return
        }
        return nil
    }
}
