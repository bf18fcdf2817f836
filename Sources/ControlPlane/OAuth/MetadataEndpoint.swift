import Hummingbird

/// What clients and resource servers can find out by themselves. From the settings alone: what a request says of its host is
/// not believed.
struct MetadataEndpoint: Sendable {
    let server: OAuthServer

    /// RFC 8414.
    func authorizationServer(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        var grants = ["client_credentials", "refresh_token"]
        var members: [String: any Sendable] = [
            "issuer": server.settings.issuer,
            "token_endpoint": server.address(OAuthPath.token),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "revocation_endpoint": server.address(OAuthPath.revoke),
            "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "response_types_supported": [String](),
        ]
        if server.settings.login != nil {
            grants.insert("authorization_code", at: 0)
            members["authorization_endpoint"] = server.address(OAuthPath.authorize)
            members["response_types_supported"] = ["code"]
            members["response_modes_supported"] = ["query"]
            members["code_challenge_methods_supported"] = ["S256"]
            members["authorization_response_iss_parameter_supported"] = true
        }
        members["grant_types_supported"] = grants
        if let url = server.settings.introspectionURL {
            members["introspection_endpoint"] = url
            members["introspection_endpoint_auth_methods_supported"] = ["client_secret_basic", "client_secret_post"]
        }
        return .oauthJSON(members)
    }

    /// RFC 9728: of the resource whose path follows the well-known one, or of the only one that there is.
    func protectedResource(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        let path = String(request.uri.path.dropFirst(OAuthPath.protectedResource.utf8.count))
        let resources = Set(server.store.published.clients.clients(after: nil, limit: 10_000).flatMap(\.audience))
        let named = resources.filter { $0.hasPrefix("https://") || $0.hasPrefix("http://") }
        let found = named.filter { Self.path(of: $0) == (path == "/" ? "" : path) }
        guard let resource = found.count == 1 ? found.first : nil else {
            return .oauthJSON(["error": "not_found"], status: .notFound)
        }
        return .oauthJSON([
            "resource": resource, "authorization_servers": [server.settings.issuer],
            "bearer_methods_supported": ["header"],
        ])
    }

    private static func path(of uri: String) -> String {
        let parts = uri.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count == 4 && !parts[3].isEmpty ? "/" + parts[3] : ""
    }
}
