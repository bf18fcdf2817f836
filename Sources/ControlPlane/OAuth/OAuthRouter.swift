import HTTPTypes
import Hummingbird
import Issuance
import Logging
import NIOCore

/// The public endpoints of the authorization server.
func oauthRouter(_ server: OAuthServer, logger: Logger) -> Router<ControlPlaneContext> {
    let router = Router(context: ControlPlaneContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: RequestMetrics())
    router.add(middleware: RequestLog(logger: logger, successLevel: .debug))
    router.add(middleware: OAuthMethods(hasLogin: server.settings.login))
    let cors = CrossOrigin(allowed: Set(server.settings.corsOrigins))
    let authorize = AuthorizeEndpoint(server: server)
    let token = TokenEndpoint(server: server, reuse: ReuseReport(logger: logger))
    let revocation = RevocationEndpoint(server: server)
    let metadata = MetadataEndpoint(server: server)
    let realm = server.settings.issuer

    /// What programs post: a form in, JSON out, whatever goes wrong.
    func program(
        _ path: String, _ handle: @escaping @Sendable (FormParameters, Request) async throws(OAuthError) -> Response
    ) {
        router.post(RouterPath(path)) { request, context in
            var response: Response
            do throws(OAuthError) {
                let parameters = try await OAuthForm.read(request, from: context.peer) { () throws(OAuthError) in
                    try server.authentication.admitHead(of: request)
                }
                response = try await handle(parameters, request)
            } catch {
                response = error.response(realm: realm)
            }
            cors.mark(&response, for: request)
            return response
        }
        router.on(RouterPath(path), method: .options) { request, _ in cors.preflight(request, methods: "POST") }
    }
    program(OAuthPath.token) { parameters, request throws(OAuthError) in
        try await token.answer(parameters, request)
    }
    program(OAuthPath.revoke) { parameters, request throws(OAuthError) in
        try await revocation.answer(parameters, request)
    }

    func described(
        _ path: String, _ handle: @escaping @Sendable (Request, ControlPlaneContext) async throws -> Response
    ) {
        router.get(RouterPath(path)) { request, context in
            var response = try await handle(request, context)
            cors.mark(&response, for: request)
            return response
        }
        router.on(RouterPath(path), method: .options) { request, _ in cors.preflight(request, methods: "GET") }
    }
    described(OAuthPath.metadata, metadata.authorizationServer)
    described(OAuthPath.metadata + "/**", metadata.authorizationServer)
    described(OAuthPath.protectedResource, metadata.protectedResource)
    described(OAuthPath.protectedResource + "/**", metadata.protectedResource)

    let leaks = LeakEndpoint(server: server)
    router.post(RouterPath(OAuthPath.leaks)) { request, context in await leaks.answer(request, from: context.peer) }

    if let login = server.settings.login {
        router.get(RouterPath(OAuthPath.authorize), use: authorize.authorize)
        router.get(RouterPath(OAuthPath.resume), use: authorize.resume)
        if login == .demonstration {
            let demonstration = DemonstrationLogin(server: server)
            router.get(RouterPath(OAuthPath.demonstration), use: demonstration.show)
            router.post(RouterPath(OAuthPath.demonstration)) { request, context in
                do throws(OAuthError) {
                    let parameters = try await OAuthForm.read(request, from: context.peer)
                    return await demonstration.decide(parameters, request)
                } catch {
                    return Page.refusal(error.reason)
                }
            }
        }
    }
    return router
}

/// Reads the form of a request (RFC 6749 Appendix B).
enum OAuthForm {
    private static let bytesMax = 64 * 1_024

    /// - Parameter admitHead: judges by the head of a request whose body has yet to be asked for.
    static func read(
        _ request: Request, from peer: Peer, admitHead: () throws(OAuthError) -> Void = {}
    ) async throws(OAuthError) -> FormParameters {
        // None is read as the form: some clients leave it out, and there is nothing else that could be meant.
        let type = request.headers[.contentType].map {
            $0.lowercased().prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }
        }
        guard type ?? "application/x-www-form-urlencoded" == "application/x-www-form-urlencoded" else {
            throw OAuthError(.invalidRequest, "send the parameters as application/x-www-form-urlencoded")
        }
        guard request.uri.query == nil else {
            // RFC 6749 §2.3.1: what is secret must not stand in an address.
            throw OAuthError(.invalidRequest, "parameters belong into the body and not into the address")
        }
        if request.headers[.expect] != nil { try admitHead() }
        let text: String?
        do {
            let buffer = try await request.readBody(upTo: bytesMax, from: peer)
            text = String(validating: buffer.readableBytesView, as: UTF8.self)
        } catch {
            throw OAuthError(.invalidRequest, "the body has more than \(bytesMax) bytes, or was cut off")
        }
        guard let text, let parameters = FormParameters(text) else {
            throw OAuthError(.invalidRequest, "the body is not percent-encoded UTF-8")
        }
        return parameters
    }
}

/// Lets pages of registered origins call what programs call (Fetch §3.2). Credentials of the browser are never asked for.
struct CrossOrigin: Sendable {
    let allowed: Set<String>

    func mark(_ response: inout Response, for request: Request) {
        guard !allowed.isEmpty else { return }
        response.headers[.vary] = "Origin"
        guard let origin = request.headers[.origin], allowed.contains(origin) else { return }
        response.headers[.accessControlAllowOrigin] = origin
    }

    func preflight(_ request: Request, methods: String) -> Response {
        var response = Response(status: .noContent)
        mark(&response, for: request)
        guard response.headers[.accessControlAllowOrigin] != nil else { return response }
        response.headers[.accessControlAllowMethods] = methods
        response.headers[.accessControlAllowHeaders] = "Authorization, Content-Type"
        response.headers[.accessControlMaxAge] = "3600"
        return response
    }
}

/// Says 404 and 405 in the words of the other answers, and keeps trouble from being mistaken for anything else.
struct OAuthMethods: RouterMiddleware {
    typealias Context = ControlPlaneContext

    private let allowed: [String: String]

    /// - Parameter hasLogin: nil where nobody can sign in.
    init(hasLogin login: OAuthSettings.Login?) {
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

    /// What a path takes, for `Allow` (RFC 9110 §15.5.6); nil when there is no such path.
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
        } catch let error as RequestConnection.CutOff {
            // Nobody is there to be answered.
            throw error
        } catch {
            return OAuthError(.serverError, "the server failed").response(realm: "")
        }
    }
}
