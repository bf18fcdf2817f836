import AdministrationAPI
import Hummingbird

/// The metadata documents for clients and resource servers. Built from the settings only: the Host field of a request
/// is not trusted.
struct MetadataEndpoint: Sendable {
    let server: OAuthServer

    /// RFC 8414: at the well-known path. If the issuer has a path, also with that path appended (§3.1).
    func authorizationServer(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        let settings = server.settings
        let suffix = request.uri.path.dropFirst(OAuthPath.metadata.utf8.count)
        guard suffix.isEmpty || suffix == Self.path(of: settings.issuer) else {
            return .error("not_found", status: .notFound)
        }
        let secretMethods = ["client_secret_basic", "client_secret_post"]
        var members = JSONLine()
        members.add("issuer", settings.issuer)
        members.add("token_endpoint", server.address(OAuthPath.token))
        members.add("token_endpoint_auth_methods_supported", secretMethods + ["none"])
        members.add("revocation_endpoint", server.address(OAuthPath.revoke))
        members.add("revocation_endpoint_auth_methods_supported", secretMethods + ["none"])
        let grants = ["client_credentials", "refresh_token"]
        // RFC 8414 §3.2: empty members are omitted.
        let scopes = server.store.published.clients.advertised.scopes
        if !scopes.isEmpty { members.add("scopes_supported", scopes) }
        if settings.login == nil {
            members.add("grant_types_supported", grants)
            // §2 requires this member and §3.2 forbids it if it is empty; parsers enforce §2.
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

    /// RFC 9728: the document of the resource whose path is appended to the well-known one.
    func protectedResource(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        let path = String(request.uri.path.dropFirst(OAuthPath.protectedResource.utf8.count))
        let found = server.store.published.clients.advertised.resources.filter { resource in
            ["https://", "http://"].contains { resource.uri.lowercased().hasPrefix($0) }
                && Self.path(of: resource.uri) == (path == "/" ? "" : path)
        }
        guard let resource = found.count == 1 ? found.first : nil else {
            return .error("not_found", status: .notFound)
        }
        var members = JSONLine()
        members.add("resource", resource.uri)
        members.add("authorization_servers", [server.settings.issuer])
        if !resource.scopes.isEmpty { members.add("scopes_supported", resource.scopes) }
        members.add("bearer_methods_supported", ["header"])
        return .oauth(members)
    }

    private static func path(of uri: String) -> String {
        let parts = uri.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count == 4 && !parts[3].isEmpty ? "/" + parts[3] : ""
    }
}
