import AdministrationAPI
import Hummingbird

/// What clients and resource servers can find out by themselves. From the settings alone: what a request says of its host is
/// not believed.
struct MetadataEndpoint: Sendable {
    let server: OAuthServer

    /// RFC 8414.
    func authorizationServer(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        let settings = server.settings
        let secretMethods = ["client_secret_basic", "client_secret_post"]
        var members = JSONLine()
        members.add("issuer", settings.issuer)
        members.add("token_endpoint", server.address(OAuthPath.token))
        members.add("token_endpoint_auth_methods_supported", secretMethods + ["none"])
        members.add("revocation_endpoint", server.address(OAuthPath.revoke))
        members.add("revocation_endpoint_auth_methods_supported", secretMethods + ["none"])
        let grants = ["client_credentials", "refresh_token"]
        if settings.login == nil {
            members.add("grant_types_supported", grants)
            members.add("response_types_supported", [])
        } else {
            members.add("grant_types_supported", ["authorization_code"] + grants)
            members.add("authorization_endpoint", server.address(OAuthPath.authorize))
            members.add("response_types_supported", ["code"])
            members.add("response_modes_supported", ["query"])
            members.add("code_challenge_methods_supported", ["S256"])
            members.add("authorization_response_iss_parameter_supported", true)
        }
        if let url = settings.introspectionURL {
            members.add("introspection_endpoint", url)
            members.add("introspection_endpoint_auth_methods_supported", secretMethods)
        }
        return .oauth(members)
    }

    /// RFC 9728: of the resource whose path follows the well-known one, or of the only one that there is.
    func protectedResource(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        let path = String(request.uri.path.dropFirst(OAuthPath.protectedResource.utf8.count))
        let resources = Set(server.store.published.clients.clients(after: nil, limit: 10_000).flatMap(\.audience))
        let named = resources.filter { $0.hasPrefix("https://") || $0.hasPrefix("http://") }
        let found = named.filter { Self.path(of: $0) == (path == "/" ? "" : path) }
        guard let resource = found.count == 1 ? found.first : nil else {
            return .error("not_found", status: .notFound)
        }
        var members = JSONLine()
        members.add("resource", resource)
        members.add("authorization_servers", [server.settings.issuer])
        members.add("bearer_methods_supported", ["header"])
        return .oauth(members)
    }

    private static func path(of uri: String) -> String {
        let parts = uri.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count == 4 && !parts[3].isEmpty ? "/" + parts[3] : ""
    }
}
