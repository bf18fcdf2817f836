import HTTPTypes
import Hummingbird
import Logging

/// One line for each request: method, route and status. The route is the template and not the path, and neither query
/// nor body is ever written: they may hold credentials and names of people.
struct RequestLog: RouterMiddleware {
    typealias Context = ControlPlaneContext

    let logger: Logger
    /// Of requests that went well: thousands a second where programs fetch tokens.
    var successLevel = Logger.Level.info

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let response = try await next(request, context)
        logger.log(
            level: response.status.code < 400 ? successLevel : .info, "control request",
            metadata: [
                "method": .string(request.method.usualName), "route": .string(context.endpointPath ?? "unknown"),
                "status": .stringConvertible(response.status.code),
            ])
        return response
    }
}
