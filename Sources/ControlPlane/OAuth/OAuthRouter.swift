import AdministrationAPI
import HTTPTypes
import Hummingbird
import Issuance
import Logging
import NIOCore

/// The public endpoints of the authorization server.
///
/// - Parameter forwarder: answers in the place of this node what needs the log.
func oauthRouter(
    _ server: OAuthServer, forwarder: ChangeForwarder? = nil, logger: Logger
) -> Router<ControlPlaneContext> {
    let router = Router(context: ControlPlaneContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: RequestMetrics())
    router.add(middleware: RequestLog(logger: logger, successLevel: .debug))
    router.add(middleware: OAuthErrorMiddleware(login: server.settings.login, logger: logger))
    if let fleet = server.issuer.store.fleet, forwarder != nil || fleet.isReadOnly {
        router.add(middleware: OAuthForwarding(forwarder: forwarder, server: server))
    }
    let cors = CORSPolicy(allowedOrigins: Set(server.settings.corsOrigins))
    let authorize = AuthorizeEndpoint(server: server)
    let token = TokenEndpoint(server: server, reuse: ReuseReporter(logger: logger))
    let revocation = RevocationEndpoint(server: server)
    let metadata = MetadataEndpoint(server: server)
    let realm = server.settings.issuer

    /// Adds an endpoint for programs: it takes a form and answers JSON, errors included.
    func addFormEndpoint(
        _ path: String, _ handle: @escaping @Sendable (FormParameters, Request) async throws(OAuthError) -> Response
    ) {
        router.post(RouterPath(path)) { request, context in
            var response: Response
            do throws(OAuthError) {
                let parameters = try await OAuthForm.read(request, from: context.peer) { () throws(OAuthError) in
                    try server.authentication.admitHead(of: request)
                }
                // A client, code or token that another node has made a moment ago is not unknown.
                response = try await server.currently { () throws(OAuthError) in
                    try await handle(parameters, request)
                }
            } catch {
                response = error.response(realm: realm)
            }
            cors.addHeaders(to: &response, for: request)
            return response
        }
        router.on(RouterPath(path), method: .options) { request, _ in cors.preflight(request, methods: "POST") }
    }
    addFormEndpoint(OAuthPath.token) { parameters, request throws(OAuthError) in
        try await token.answer(parameters, request)
    }
    addFormEndpoint(OAuthPath.revoke) { parameters, request throws(OAuthError) in
        // 200 says of an unknown token that it is not valid.
        try await server.becomeCurrent()
        return try await revocation.answer(parameters, request)
    }

    /// Adds an endpoint for a metadata document.
    func addDocument(
        _ path: String, _ handle: @escaping @Sendable (Request, ControlPlaneContext) async throws -> Response
    ) {
        router.get(RouterPath(path)) { request, context in
            var response = try await handle(request, context)
            cors.addHeaders(to: &response, for: request)
            return response
        }
        router.on(RouterPath(path), method: .options) { request, _ in cors.preflight(request, methods: "GET") }
    }
    addDocument(OAuthPath.metadata, metadata.authorizationServer)
    addDocument(OAuthPath.metadata + "/**", metadata.authorizationServer)
    addDocument(OAuthPath.protectedResource, metadata.protectedResource)
    addDocument(OAuthPath.protectedResource + "/**", metadata.protectedResource)

    let leaks = LeakEndpoint(server: server, logger: logger)
    router.post(RouterPath(OAuthPath.leaks)) { request, context in await leaks.answer(request, from: context.peer) }

    if let login = server.settings.login {
        router.get(RouterPath(OAuthPath.authorize)) { request, context in
            try await server.becomeCurrent()
            return try await authorize.authorize(request, context)
        }
        router.get(RouterPath(OAuthPath.resume)) { request, context in
            try await server.becomeCurrent()
            return try await authorize.resume(request, context)
        }
        if login == .demonstration {
            let demonstration = DemonstrationLogin(server: server)
            router.get(RouterPath(OAuthPath.demonstration), use: demonstration.show)
            router.post(RouterPath(OAuthPath.demonstration)) { request, context in
                do throws(OAuthError) {
                    let parameters = try await OAuthForm.read(request, from: context.peer)
                    return await demonstration.decide(parameters, request)
                } catch {
                    return SignInPage.refusal(error.reason)
                }
            }
        }
    }
    return router
}

/// Lets pages of registered origins call the endpoints for programs (Fetch §3.2), without cookies.
private struct CORSPolicy: Sendable {
    let allowedOrigins: Set<String>

    func addHeaders(to response: inout Response, for request: Request) {
        guard !allowedOrigins.isEmpty else { return }
        response.headers[.vary] = "Origin"
        guard let origin = request.headers[.origin], allowedOrigins.contains(origin) else { return }
        response.headers[.accessControlAllowOrigin] = origin
    }

    func preflight(_ request: Request, methods: String) -> Response {
        var response = Response(status: .noContent)
        addHeaders(to: &response, for: request)
        guard response.headers[.accessControlAllowOrigin] != nil else { return response }
        response.headers[.accessControlAllowMethods] = methods
        response.headers[.accessControlAllowHeaders] = "Authorization, Content-Type"
        response.headers[.accessControlMaxAge] = "3600"
        return response
    }
}

/// Answers 404, 405 and unexpected errors in the format of OAuth errors.
struct OAuthErrorMiddleware: RouterMiddleware {
    typealias Context = ControlPlaneContext

    private let allowed: [String: String]
    private let logger: Logger

    /// - Parameter login: nil if there is no sign-in.
    init(login: OAuthSettings.Login?, logger: Logger) {
        self.logger = logger
        var allowed = [
            OAuthPath.token: "POST, OPTIONS", OAuthPath.revoke: "POST, OPTIONS", OAuthPath.leaks: "POST",
            OAuthPath.metadata: "GET, HEAD, OPTIONS", OAuthPath.protectedResource: "GET, HEAD, OPTIONS",
        ]
        if login != nil {
            allowed[OAuthPath.authorize] = "GET, HEAD"
            allowed[OAuthPath.resume] = "GET"
        }
        if login == .demonstration { allowed[OAuthPath.demonstration] = "GET, HEAD, POST" }
        self.allowed = allowed
    }

    /// The methods of a path, for `Allow` (RFC 9110 §15.5.6); nil if there is no such path.
    private func methods(at path: String) -> String? {
        for document in [OAuthPath.metadata, OAuthPath.protectedResource] where path.hasPrefix(document + "/") {
            return allowed[document]
        }
        return allowed[path]
    }

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError where error.status == .notFound {
            guard let methods = methods(at: request.uri.path) else {
                return .error("not_found", status: .notFound)
            }
            var response = Response.error("method_not_allowed", status: .methodNotAllowed)
            response.headers[.allow] = methods
            return response
        } catch let error as RequestConnection.IncompleteBody {
            // The client has disconnected, or gets its response from the connection.
            throw error
        } catch let error as OAuthError {
            return error.response(realm: "")
        } catch {
            logger.logUnexpected(error, "OAuth request failed", route: context.endpointPath)
            return OAuthError(.serverError, "the server failed").response(realm: "")
        }
    }
}

extension OAuthError {
    /// RFC 6749 §5.2. If the store cannot answer, the status is 503 and never that of a refusal.
    var status: HTTPResponse.Status {
        switch code {
        case .invalidClient: .unauthorized
        case .temporarilyUnavailable: .serviceUnavailable
        case .serverError: .internalServerError
        default: .badRequest
        }
    }

    /// The response of an endpoint for programs.
    func response(realm: String) -> Response {
        var response = Response.error(code.rawValue, reason, status: status)
        if code == .invalidClient { response.headers[.wwwAuthenticate] = "Basic realm=\"\(realm)\"" }
        if code == .temporarilyUnavailable { response.headers[.retryAfter] = "1" }
        return response
    }
}

extension Response {
    /// A JSON object that must not be cached (RFC 6749 §5.1).
    static func oauth(_ members: JSONLine, status: HTTPResponse.Status = .ok) -> Response {
        var response = Response(
            status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: members.bytes)))
        response.headers.set("Pragma", to: "no-cache")
        return response
    }

    /// An OAuth error (RFC 6749 §5.2).
    static func error(_ code: String, _ reason: String? = nil, status: HTTPResponse.Status) -> Response {
        var members = JSONLine()
        members.add("error", code)
        if let reason { members.add("error_description", reason) }
        return oauth(members, status: status)
    }

    /// Redirects a browser with GET, whatever its request was (RFC 9700 §4.12), and without a Referer.
    static func seeOther(_ address: String) -> Response {
        var response = Response(status: .seeOther, headers: [.location: address])
        response.headers[.cacheControl] = "no-store"
        response.headers[.contentSecurityPolicy] = "default-src 'none'; frame-ancestors 'none'"
        response.headers.set("Referrer-Policy", to: "no-referrer")
        return response
    }
}
