import Foundation
public import Logging
public import ServiceLifecycle
import Synchronization

/// Asks a Countersign service whether credentials may be used.
///
/// ```swift
/// let client = try CountersignClient(ClientOptions(endpoint: Endpoint("unix:/run/countersign/verify.sock")))
/// switch try await client.verify(Credential(text), requiring: Requirement(scopes: ["orders:read"])) {
/// case .active(let identity): …
/// case .inactive(let reason): …
/// }
/// ```
///
/// A verdict is a value and trouble is an error: who gets a ``VerificationFailure`` knows nothing about the credential and must
/// let nobody in. Connections are kept open and closed when the client goes, or when ``run()`` ends.
public final class CountersignClient: Service {
    private let options: ClientOptions
    private let connection: ServiceConnection
    private let questions = Atomic(0)
    private let cache: Shared<AnswerCache>?
    private let follower: Follower?
    private let secret = AnswerKey.Secret()

    /// - Parameter logger: is told when the cache stops and begins to follow changes; never a credential.
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

    /// Follows the changes for the cache until the service group shuts down or the task is cancelled; then the connections are
    /// closed. Without it the cache stays empty, and without a cache it need not be run.
    public func run() async throws {
        if let follower {
            await cancelWhenGracefulShutdown { await follower.run() }
            await follower.connection.close()
        } else {
            try? await gracefulShutdown()
        }
        await connection.close()
    }

    /// How far behind the service a cached answer may be now; nil while there is no cache in use, so that every verification
    /// asks the service.
    public var cacheLag: Duration? { cache?.withLock { $0.lag(at: .now) } }

    /// What is in the cache.
    var cachedAnswers: Int { cache?.withLock { $0.count } ?? 0 }

    /// Whether a credential may be used for something.
    ///
    /// - Throws: ``VerificationFailure`` when nobody can say.
    /// - SeeAlso: RFC 7662 §2.2
    public func verify(
        _ credential: Credential, requiring requirement: Requirement = .none
    ) async throws(VerificationFailure) -> Verdict {
        guard let cache else { return try await ask(credential, requirement) }
        let key = AnswerKey(credential, requirement, secret)
        let ticket: AnswerCache.Ticket?
        switch cache.withLock({ $0.find(key, at: .now, seconds: Self.secondsNow()) }) {
        case .hit(let identity): return .active(identity)
        case .ask(let given): ticket = given
        }
        let verdict = try await ask(credential, requirement)
        // Only what may be used is kept: what is not yet may become so, and strangers must not fill the cache.
        if let ticket, case .active(let identity) = verdict {
            cache.withLock { $0.keep(identity, for: key, ticket, at: .now) }
        }
        return verdict
    }

    /// The same for up to a thousand credentials at once, in one question and always by the service. It costs far less than as
    /// many questions.
    ///
    /// - Returns: a verdict for each, in order.
    /// - Throws: ``VerificationFailure``, also for more than a thousand or a mebibyte.
    public func verify(
        _ credentials: [Credential], requiring requirement: Requirement = .none
    ) async throws(VerificationFailure) -> [Verdict] {
        guard !credentials.isEmpty else { return [] }
        guard credentials.count <= Question.credentialsMax else {
            throw .questionRefused(detail: "more than a thousand credentials")
        }
        let answers: Answers = try await ask(Question(credentials, requirement), bytesMax: 16 << 20)
        guard answers.results.count == credentials.count else { throw .answerNotUnderstood }
        return answers.results.map(\.verdict)
    }

    private func ask(
        _ credential: Credential, _ requirement: Requirement
    ) async throws(VerificationFailure) -> Verdict {
        let answer: Answer = try await ask(Question(credential, requirement), bytesMax: 64 << 10)
        return answer.verdict
    }

    private func ask<Said: Decodable>(
        _ question: Question, bytesMax: Int
    ) async throws(VerificationFailure) -> Said {
        let body = try question.encoded()
        // Relaxed: nothing else depends on the count.
        defer { questions.subtract(1, ordering: .relaxed) }
        guard questions.add(1, ordering: .relaxed).newValue <= options.questionsMax else {
            throw .unavailable(cause: "too many questions at once", retryAfterSeconds: 1)
        }
        let response = try await connection.post(
            "/v1/verify", json: body, bytesMax: bytesMax, deadline: options.deadline)
        switch response.status {
        case 200:
            guard let said = try? JSONDecoder().decode(Said.self, from: response.body) else {
                throw .answerNotUnderstood
            }
            return said
        case 401, 403: throw .callerRefused(status: response.status)
        case 400, 413, 415:
            let problem = try? JSONDecoder().decode(Problem.self, from: response.body)
            throw .questionRefused(detail: problem?.detail ?? "status \(response.status)")
        default:
            throw .unavailable(
                cause: "status \(response.status)", retryAfterSeconds: max(response.retryAfterSeconds ?? 1, 1))
        }
    }

    /// A refusal as the service words it (RFC 9457).
    private struct Problem: Decodable {
        let detail: String?
    }

    private static func secondsNow() -> Int64 { Int64(Date().timeIntervalSince1970) }
}
