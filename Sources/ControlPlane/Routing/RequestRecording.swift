import HTTPTypes
import Hummingbird
import Logging
import Metrics
import Synchronization

// The log and the metrics of requests. Both use the route's template and known methods only: paths, queries and bodies
// may contain credentials and names of people, and what callers send must not create new time series.

/// Logs one line for each request: method, route and status.
struct RequestLog: RouterMiddleware {
    typealias Context = ControlPlaneContext

    let logger: Logger
    /// The level of successful requests: there are thousands a second where programs fetch tokens.
    var successLevel = Logger.Level.info

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let response = try await next(request, context)
        logger.log(
            level: response.status.code < 400 ? successLevel : .info, "control request",
            metadata: [
                "method": .string(request.method.knownName), "route": .string(context.endpointPath ?? "unknown"),
                "status": .stringConvertible(response.status.code),
            ])
        return response
    }
}

/// Counts requests and measures the time to their responses, by route, method and status.
final class RequestMetrics: RouterMiddleware {
    typealias Context = ControlPlaneContext

    private struct Series: Hashable {
        let method: String
        let route: String
        let status: Int
    }

    // Cached: looking metrics up by label costs more than the rest of this type.
    private let series = Mutex<[Series: (count: Counter, time: Metrics.Timer)]>([:])

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response = try await next(request, context)
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        let metrics = metrics(
            Series(
                method: request.method.knownName, route: context.endpointPath ?? "unknown",
                status: response.status.code))
        metrics.count.increment()
        metrics.time.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        return response
    }

    private func metrics(_ key: Series) -> (count: Counter, time: Metrics.Timer) {
        series.withLock { series in
            if let known = series[key] { return known }
            let count = Counter(
                label: "countersign_control_requests",
                dimensions: [("method", key.method), ("route", key.route), ("status", String(key.status))])
            let time = Metrics.Timer(label: "countersign_control_request", dimensions: [("route", key.route)])
            series[key] = (count, time)
            return (count, time)
        }
    }
}

extension HTTPRequest.Method {
    /// The name of a common method, and `other` for any other: callers can send any name.
    fileprivate var knownName: String {
        let known: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
        return known.contains(self) ? rawValue : "other"
    }
}

extension Logger {
    /// Logs an error that no endpoint expects. Only its type: the text of an unknown error may contain input.
    /// - Parameter route: the template of the route; nil if the request has none.
    func logUnexpected(_ error: any Error, _ message: Message, route: String?) {
        self.error(
            message, metadata: ["error": .string("\(type(of: error))"), "route": .string(route ?? "unknown")])
    }
}
