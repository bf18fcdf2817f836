import Foundation
public import Logging
public import ServiceLifecycle
import Synchronization

/// Verifies credentials with a Countersign service.
///
/// ```swift
/// let client = try CountersignClient(ClientOptions(endpoint: Endpoint("unix:/run/countersign/verify.sock")))
/// switch try await client.verify(Credential(text), requiring: Requirement(scopes: ["orders:read"])) {
/// case .active(let identity): …
/// case .inactive(let reason): …
/// }
/// ```
///
/// A verdict is a value, and a failure is an error: after a ``VerificationFailure`` nothing is known about the
/// credential, and the request must be refused. Connections are kept open, and closed when the client is released or
/// ``run()`` ends.
public final class CountersignClient: Service {
    private let options: ClientOptions
    private let connection: ServiceConnection
    private let pendingRequests = Atomic(0)
    private let cache: Shared<AnswerCache>?
    private let follower: Follower?
    private let secret = AnswerKey.Secret()

    /// - Parameter logger: logs when the cache starts and stops to follow changes; never a credential.
    public convenience init(_ options: ClientOptions, logger: Logger = Logger(label: "countersign.client")) {
        self.init(options, logger: logger, mutation: .none)
    }

    init(_ options: ClientOptions, logger: Logger, mutation: AnswerCache.Mutation) {
        self.options = options
        connection = ServiceConnection(options, connectionsMax: options.connectionsMax)
        cache = options.cache.map { Shared(AnswerCache($0, mutation: mutation)) }
        if let cache, let cacheOptions = options.cache {
            follower = Follower(
                connection: ServiceConnection(options, connectionsMax: 1), cache: cache, options: cacheOptions,
                logger: logger)
        } else {
            follower = nil
        }
    }

    /// Follows the changes for the cache until the service group shuts down or the task is cancelled, then closes the
    /// connections. The cache stays empty while this does not run; without a cache it need not be called.
    public func run() async throws {
        if let follower {
            await cancelWhenGracefulShutdown { await follower.run() }
            await follower.connection.close()
        } else {
            try? await gracefulShutdown()
        }
        await connection.close()
    }

    /// How far a cached answer may lag behind the service now; nil while no cache is in use, so that every verification
    /// is sent to the service.
    public var cacheLag: Duration? { cache?.withLock { $0.lag(at: .now) } }

    /// The number of cached answers.
    var cachedAnswers: Int { cache?.withLock { $0.count } ?? 0 }

    /// Verifies one credential.
    ///
    /// - Throws: ``VerificationFailure`` if the service cannot answer.
    /// - SeeAlso: RFC 7662 §2.2
    public func verify(
        _ credential: Credential, requiring requirement: Requirement = .none
    ) async throws(VerificationFailure) -> Verdict {
        guard let cache else { return try await fetch(credential, requirement).verdict }
        let key = AnswerKey(credential, requirement, secret)
        if case .hit(let identity) = cache.withLock({ $0.find(key, at: .now, seconds: Self.secondsNow()) }) {
            return .active(identity)
        }
        let (verdict, decided) = try await fetch(credential, requirement)
        // Only active credentials are cached: an inactive one may become active, and unknown ones must not fill the
        // cache.
        if case .active(let identity) = verdict {
            cache.withLock { $0.keep(identity, for: key, decided: decided, at: .now) }
        }
        return verdict
    }

    /// Verifies up to a thousand credentials in one request, which never uses the cache. It costs far less than as many
    /// requests.
    ///
    /// - Returns: a verdict for each, in the same order.
    /// - Throws: ``VerificationFailure``, also for more than a thousand credentials or one mebibyte.
    public func verify(
        _ credentials: [Credential], requiring requirement: Requirement = .none
    ) async throws(VerificationFailure) -> [Verdict] {
        guard !credentials.isEmpty else { return [] }
        guard credentials.count <= VerifyRequest.credentialsMax else {
            throw .questionRefused(detail: "more than a thousand credentials")
        }
        let (response, _): (VerifyResponses, _) = try await send(
            VerifyRequest(credentials, requirement), bytesMax: 16 << 20)
        guard response.results.count == credentials.count else { throw .answerNotUnderstood }
        return response.results.map(\.verdict)
    }

    private func fetch(
        _ credential: Credential, _ requirement: Requirement
    ) async throws(VerificationFailure) -> (verdict: Verdict, decided: ChangePosition?) {
        let (response, decided): (VerifyResponse, _) = try await send(
            VerifyRequest(credential, requirement), bytesMax: 64 << 10)
        return (response.verdict, decided)
    }

    private func send<Body: Decodable>(
        _ request: VerifyRequest, bytesMax: Int
    ) async throws(VerificationFailure) -> (Body, decided: ChangePosition?) {
        let body = try request.encoded()
        // Relaxed: nothing else depends on the count.
        defer { pendingRequests.subtract(1, ordering: .relaxed) }
        guard pendingRequests.add(1, ordering: .relaxed).newValue <= options.questionsMax else {
            throw .unavailable(cause: "too many verifications at once", retryAfterSeconds: 1)
        }
        let response = try await connection.post(
            "/v1/verify", json: body, bytesMax: bytesMax, deadline: options.deadline)
        switch response.status {
        case 200:
            guard let body = try? JSONDecoder().decode(Body.self, from: response.body) else {
                throw .answerNotUnderstood
            }
            return (body, response.changesThrough.flatMap { ChangePosition($0) })
        case 401, 403: throw .callerRefused(status: response.status)
        case 400, 413, 415:
            let problem = try? JSONDecoder().decode(Problem.self, from: response.body)
            throw .questionRefused(detail: problem?.detail ?? "status \(response.status)")
        default:
            throw .unavailable(
                cause: "status \(response.status)", retryAfterSeconds: max(response.retryAfterSeconds ?? 1, 1))
        }
    }

    /// A problem reported by the service (RFC 9457).
    private struct Problem: Decodable {
        let detail: String?
    }

    private static func secondsNow() -> Int64 { Int64(Date().timeIntervalSince1970) }
}
