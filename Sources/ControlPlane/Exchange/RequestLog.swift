import HTTPTypes
import Hummingbird
import Logging
import Metrics

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
        let start = ContinuousClock.now
        let response = try await next(request, context)
        measure(request, context, response, ContinuousClock.now - start)
        logger.log(
            level: response.status.code < 400 ? successLevel : .info, "control request",
            metadata: [
                "method": .string(Self.name(of: request.method)), "route": .string(context.endpointPath ?? "unknown"),
                "status": .stringConvertible(response.status.code),
            ])
        return response
    }

    /// The same for metrics: the template and known methods only, so that there are as many series as routes.
    private func measure(
        _ request: Request, _ context: Context, _ response: Response, _ duration: Duration
    ) {
        let route = context.endpointPath ?? "unknown"
        let (seconds, attoseconds) = duration.components
        Counter(
            label: "countersign_control_requests",
            dimensions: [
                ("method", Self.name(of: request.method)), ("route", route),
                ("status", String(response.status.code)),
            ]
        ).increment()
        Metrics.Timer(label: "countersign_control_request", dimensions: [("route", route)])
            .recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }

    /// A method comes from outside too: only the usual ones are written.
    private static func name(of method: HTTPRequest.Method) -> String {
        let usual: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
        return usual.contains(method) ? method.rawValue : "other"
    }
}
