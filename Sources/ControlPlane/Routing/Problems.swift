import AdministrationAPI
import HTTPTypes
import Hummingbird
import Issuance
import Logging

/// Turns every error into `application/problem+json`, and keeps all responses out of caches.
struct ProblemMiddleware: RouterMiddleware {
    typealias Context = ControlPlaneContext

    let methods: AllowedMethods
    let logger: Logger

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            response = try await next(request, context)
        } catch let problem as Problem {
            response = try Self.response(context, problem)
        } catch let error as IssuanceError {
            response = try Self.response(context, Problem(failure: error) { _ in false })
        } catch let error as HTTPError where error.status == .notFound {
            response = try noRoute(request, context)
        } catch let error as RequestConnection.IncompleteBody {
            // The client has disconnected, or gets its response from the connection.
            throw error
        } catch {
            logger.logUnexpected(error, "control request failed", route: context.endpointPath)
            response = try Self.response(context, Problem(.internalError))
        }
        response.headers[.cacheControl] = "no-store"
        response.headers[.xContentTypeOptions] = "nosniff"
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func noRoute(_ request: Request, _ context: Context) throws -> Response {
        guard let allowed = methods.methods(at: request.uri.path) else {
            return try Self.response(context, Problem(.notFound))
        }
        var response = try Self.response(context, Problem(.methodNotAllowed))
        response.headers[.allow] = allowed.joined(separator: ", ")
        return response
    }

    private static func response(_ context: Context, _ problem: Problem) throws -> Response {
        let problem = problem.ofRequest(context.trail.known.requestID)
        var response = try Response.json(problem, status: HTTPResponse.Status(code: problem.status))
        response.headers[.contentType] = Problem.mediaType
        if problem.type == .unauthenticated {
            response.headers[.wwwAuthenticate] = #"Bearer realm="countersign", ApiKey realm="countersign""#
        }
        if problem.type.isTransient { response.headers[.retryAfter] = "1" }
        return response
    }
}

extension Problem {
    /// The only place where failures of the issuer become HTTP statuses.
    /// - Parameter hasMember: whether the request can have a member of this name. The issuer also names values that no
    ///   request of this kind can set, for example the expiry of a client; then no member is named.
    init(failure error: IssuanceError, naming hasMember: (String) -> Bool) {
        switch error {
        case .invalid(let field, let reason):
            self.init(.invalidValue, reason, naming: hasMember(field) ? field : nil)
        case .unknownCredential: self.init(.unknownCredential)
        case .unknownClient: self.init(.unknownClient)
        case .unknownOwner(let nearest):
            let names = nearest.map { "'\($0)'" }.joined(separator: " or ")
            self.init(
                .unknownOwner,
                detail: "Nothing was ever issued to this owner."
                    + (nearest.isEmpty ? "" : " Did you mean \(names)?"))
        case .gone: self.init(.gone, detail: error.message)
        case .conflict: self.init(.conflict, detail: error.message)
        case .forbidden(let reason, let field):
            self.init(.forbidden, reason, naming: field.flatMap { hasMember($0) ? $0 : nil })
        // Not reached: only `Exchange.idempotent` makes repeatable requests, and it handles this.
        case .repeated: self.init(.internalError)
        case .requestKeyReused:
            self.init(.idempotencyKeyReused, detail: "Use a new Idempotency-Key for each new request.")
        case .storeFull: self.init(.storeFull, detail: error.message)
        case .busy: self.init(.busy, detail: error.message)
        case .unavailable: self.init(.unavailable, detail: error.message)
        }
    }

    private init(_ type: ProblemType, _ reason: String, naming member: String?) {
        self.init(type, detail: member.map { "'\($0)': \(reason)" } ?? reason, member: member)
    }
}
