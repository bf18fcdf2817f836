import AdministrationAPI
import HTTPTypes
import Hummingbird
import Issuance
import Logging

/// Turns every error into `application/problem+json` and keeps all answers out of caches.
struct ProblemAnswers: RouterMiddleware {
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
            response = try Self.answer(problem)
        } catch let error as IssuanceError {
            response = try Self.answer(Problem(failure: error) { _ in false })
        } catch let error as HTTPError where error.status == .notFound {
            response = try noRoute(request)
        } catch let error as RequestConnection.CutOff {
            // Nobody is there to be answered.
            throw error
        } catch {
            // The type only: the text of an error from elsewhere may hold what the request held.
            logger.error("control request failed", metadata: ["error": "\(type(of: error))"])
            response = try Self.answer(Problem(.internalError))
        }
        response.headers[.cacheControl] = "no-store"
        response.headers[.xContentTypeOptions] = "nosniff"
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func noRoute(_ request: Request) throws -> Response {
        guard let allowed = methods.methods(at: request.uri.path) else { return try Self.answer(Problem(.notFound)) }
        var response = try Self.answer(Problem(.methodNotAllowed))
        response.headers[.allow] = allowed.joined(separator: ", ")
        return response
    }

    private static func answer(_ problem: Problem) throws -> Response {
        var response = try Response.json(problem, status: HTTPResponse.Status(code: problem.status))
        response.headers[.contentType] = Problem.mediaType
        if problem.type == .unauthenticated {
            response.headers[.wwwAuthenticate] = #"Bearer realm="countersign", ApiKey realm="countersign""#
        }
        if problem.type.isTransient { response.headers[.retryAfter] = "1" }
        return response
    }
}
