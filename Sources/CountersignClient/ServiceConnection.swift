import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import Synchronization

/// Persistent connections to the service, which may have several nodes. Each response is bounded in bytes, and in time from
/// the first attempt to the last byte.
final class ServiceConnection: Sendable {
    private let http: HTTPClient
    private let targets: [Target]
    /// The one that is used now.
    private let preferred = Atomic(0)

    private struct Target {
        let baseURL: String
        let headers: HTTPHeaders
    }

    struct Response {
        let status: Int
        let body: Data
        let retryAfterSeconds: Int?
        /// Through which change it was decided.
        let changesThrough: String?
    }

    /// - Parameter connectionsMax: maximum number of open connections; further requests wait for one, within their
    ///   deadline.
    init(_ options: ClientOptions, connectionsMax: Int) {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.httpVersion = .http1Only
        // An abandoned connection attempt must not outlive its request by long.
        configuration.timeout.connect = .nanoseconds(options.deadline.nanosecondsClamped)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsMax
        // Shorter than the idle timeout of the service, so that it seldom closes a connection in use.
        configuration.connectionPool.idleTimeout = .seconds(60)
        configuration.connectionPool.retryConnectionEstablishment = false
        if let path = options.certificateAuthorityPath {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(path)
            configuration.tlsConfiguration = tls
        }
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        targets = ([options.endpoint] + options.otherEndpoints).map { endpoint in
            // A Unix socket has no host name, but every HTTP/1.1 request must have one (RFC 9112 §3.2).
            var headers: HTTPHeaders = endpoint.isUnixSocket ? ["Host": "countersign"] : [:]
            if let credentials = options.credentials {
                headers.add(name: "Authorization", value: credentials.authorization)
            }
            return Target(baseURL: endpoint.baseURL, headers: headers)
        }
    }

    deinit {
        // Closes open connections; does nothing after ``close()``.
        http.shutdown { _ in }
    }

    func close() async {
        try? await http.shutdown()
    }

    func get(_ path: String, bytesMax: Int, deadline: Duration) async throws(VerificationFailure) -> Response {
        try await execute(.GET, path, nil, bytesMax, deadline)
    }

    func post(
        _ path: String, json: Data, bytesMax: Int, deadline: Duration
    ) async throws(VerificationFailure) -> Response {
        try await execute(.POST, path, json, bytesMax, deadline)
    }

    /// Asks the preferred node and, if it cannot answer, each other one once: a question has no side effects.
    private func execute(
        _ method: HTTPMethod, _ path: String, _ body: Data?, _ bytesMax: Int, _ limit: Duration
    ) async throws(VerificationFailure) -> Response {
        let end = ContinuousClock.now + limit
        // Others may change it meanwhile: each node is asked once all the same.
        let first = preferred.load(ordering: .relaxed)
        var index = first
        var left = targets.count
        while true {
            // Those that are left get as much time as this one.
            let share = (end - .now) / left
            left -= 1
            let result = await Result { () async throws(VerificationFailure) in
                try await attempt(method, path, targets[index], body, bytesMax, share)
            }
            switch result {
            case .success(let response) where response.status != 503 || left == 0:
                // Unless another request has chosen one since.
                if index != first, response.status != 503 {
                    _ = preferred.compareExchange(expected: first, desired: index, ordering: .relaxed)
                }
                return response
            case .failure(let failure):
                guard case .unavailable = failure, left > 0, end > .now else { throw failure }
            case .success: break
            }
            index = (index + 1) % targets.count
        }
    }

    private func attempt(
        _ method: HTTPMethod, _ path: String, _ target: Target, _ body: Data?, _ bytesMax: Int, _ limit: Duration
    ) async throws(VerificationFailure) -> Response {
        var request = HTTPClientRequest(url: target.baseURL + path)
        request.method = method
        request.headers = target.headers
        if body != nil { request.headers.add(name: "Content-Type", value: "application/json") }
        // A body of known size is written together with the head. The older form of this API writes bodies as streams,
        // and its pool traps if a response closes the connection before the body was written (1.37.0).
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        let deadline = NIODeadline.now() + .nanoseconds(limit.nanosecondsClamped)
        do {
            do {
                return try await send(request, bytesMax, deadline)
            } catch  where Self.isClosedUnderneath(error) {
                // The service closed an idle connection at that moment. Verifying twice has no side effects.
                return try await send(request, bytesMax, deadline)
            }
        } catch {
            throw Self.failure(error)
        }
    }

    private struct DeadlinePassed: Error {}

    /// The deadline of `execute` covers only the head of the response; this one covers its last byte.
    private func send(_ request: HTTPClientRequest, _ bytesMax: Int, _ deadline: NIODeadline) async throws -> Response {
        try Task.checkCancellation()
        let http = http
        let work = Task {
            let response = try await http.execute(request, deadline: deadline)
            let body = try await response.body.collect(upTo: bytesMax)
            // A body that is truncated by a cancellation ends like any other.
            try Task.checkCancellation()
            return Response(
                status: Int(response.status.code), body: Data(body.readableBytesView),
                retryAfterSeconds: response.headers.first(name: "Retry-After").flatMap { Int($0) },
                changesThrough: response.headers.first(name: "Changes-Through"))
        }
        let timeout = http.eventLoopGroup.any().scheduleTask(deadline: deadline) { work.cancel() }
        defer { timeout.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                work.cancel()
            }
        } catch  where !Task.isCancelled && NIODeadline.now() >= deadline {
            throw DeadlinePassed()
        }
    }

    private static func isClosedUnderneath(_ error: any Error) -> Bool {
        if let error = error as? HTTPClientError { return error == .remoteConnectionClosed }
        if let error = error as? IOError { return error.errnoCode == ECONNRESET || error.errnoCode == EPIPE }
        return false
    }

    private static func failure(_ error: any Error) -> VerificationFailure {
        if error is CancellationError || error as? HTTPClientError == .cancelled { return .cancelled }
        if error is NIOTooManyBytesError { return .answerNotUnderstood }
        if error is DeadlinePassed { return .unavailable(cause: "no answer in time", retryAfterSeconds: 1) }
        // Errors of connections contain addresses and reasons, never request data.
        return .unavailable(cause: "\(error)", retryAfterSeconds: 1)
    }
}

extension Result where Failure == VerificationFailure {
    fileprivate init(_ body: () async throws(VerificationFailure) -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}

extension Duration {
    /// Nanoseconds, at most a day.
    var nanosecondsClamped: Int64 {
        let (seconds, attoseconds) = components
        return min(max(seconds, 0), 86_400) * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
