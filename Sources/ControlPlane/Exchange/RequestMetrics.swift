import HTTPTypes
import Hummingbird
import Metrics
import Synchronization

/// Counts requests and measures how long their answers take, by route, method and status.
///
/// By the route's template and by known methods only, so that there are as many series as routes and nothing that comes from
/// outside makes one.
final class RequestMetrics: RouterMiddleware {
    typealias Context = ControlPlaneContext

    private struct Series: Hashable {
        let method: String
        let route: String
        let status: Int
    }

    // Looked up by their names they would cost more than the rest of this.
    private let series = Mutex<[Series: (count: Counter, time: Metrics.Timer)]>([:])

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response = try await next(request, context)
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        let metrics = metrics(
            Series(
                method: request.method.usualName, route: context.endpointPath ?? "unknown",
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
    /// Its name if it is a usual one: a method comes from outside too.
    var usualName: String {
        let usual: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
        return usual.contains(self) ? rawValue : "other"
    }
}
