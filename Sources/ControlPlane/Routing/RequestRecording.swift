import CredentialModel
import HTTPTypes
import HTTPWire
import Hummingbird
import Logging
import Metrics
import Synchronization

// The log and the metrics of requests. Both use the route's template and known methods only: paths, queries and bodies
// may contain credentials and names of people, and what callers send must not create new time series.

/// What is known of a request for its line in the log. Written where it becomes known, and read when the response is there.
final class RequestTrail: Sendable {
    struct Known {
        /// Of the caller, or made here.
        var requestID = ""
        /// Of the trace that the request belongs to.
        var traceID: String?
        /// Who it was, as in the audit log.
        var caller: String?
    }

    private let state = Mutex(Known())

    var known: Known { state.withLock { $0 } }

    func note(caller: String) { state.withLock { $0.caller = caller } }

    /// Takes the ids of the request's fields. A request without an id gets one, so that its problem can be found in the log.
    fileprivate func begin(_ request: Request) {
        let known = Known(
            requestID: request.wellFormed(.requestID, TraceFields.isRequestID) ?? String.randomRequestID(),
            traceID: request.wellFormed(.traceparent, TraceFields.isTraceparent)?.split(separator: "-").dropFirst()
                .first
                .map(String.init))
        state.withLock { $0 = known }
    }
}

extension Request {
    /// The value of a field that is there once and is well-formed.
    fileprivate func wellFormed(_ name: HTTPField.Name?, _ isWellFormed: (RawSpan) -> Bool) -> String? {
        let values = name.map { headers[values: $0] } ?? []
        guard let value = values.first, values.count == 1 else { return nil }
        let bytes = Array(value.utf8)
        // Whatever looks like a credential does not get into a log.
        return isWellFormed(bytes.octets) && !CredentialFormat.isWithin(bytes.octets) ? value : nil
    }
}

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-Id")
    static let traceparent = HTTPField.Name("Traceparent")
}

extension String {
    fileprivate static func randomRequestID() -> String {
        String(UInt64.random(in: 0...UInt64.max), radix: 16) + String(UInt64.random(in: 0...UInt64.max), radix: 16)
    }
}

/// Logs one line for each request: who, what, with which outcome, and how long it took. Gives back the fields by which the caller
/// finds it again.
struct RequestLog: RouterMiddleware {
    typealias Context = ControlPlaneContext

    private let logger: Logger
    private let successLevel: Logger.Level
    private let imports: ImportLog

    /// - Parameter successLevel: of successful requests: there are thousands a second where programs fetch tokens.
    init(logger: Logger, successLevel: Logger.Level = .info) {
        (self.logger, self.successLevel, imports) = (logger, successLevel, ImportLog(logger: logger))
    }

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        context.trail.begin(request)
        var response = try await next(request, context)
        let known = context.trail.known
        if let name = HTTPField.Name.requestID { response.headers[name] = known.requestID }
        if known.traceID != nil, let name = HTTPField.Name.traceparent {
            response.headers[name] = request.headers[name]
        }
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        var metadata: Logger.Metadata = [
            "method": .string(request.method.knownName), "route": .string(context.endpointPath ?? "unknown"),
            "status": .stringConvertible(response.status.code), "request_id": .string(known.requestID),
            "microseconds": .stringConvertible(seconds * 1_000_000 + attoseconds / 1_000_000_000_000),
        ]
        if let caller = known.caller { metadata["caller"] = .string(caller) }
        if let trace = known.traceID { metadata["trace_id"] = .string(trace) }
        logger.log(level: level(of: response, context), "control request", metadata: metadata)
        return response
    }

    private func level(of response: Response, _ context: Context) -> Logger.Level {
        guard response.status.code < 400 else { return .info }
        guard context.endpointPath == ImportLog.route else { return successLevel }
        imports.note(context.trail.known.caller ?? "unknown")
        return .debug
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
                label: ControlPlaneMetric.requests.rawValue,
                dimensions: [("method", key.method), ("route", key.route), ("status", String(key.status))])
            let time = Metrics.Timer(label: ControlPlaneMetric.requestTime.rawValue, dimensions: [("route", key.route)])
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
