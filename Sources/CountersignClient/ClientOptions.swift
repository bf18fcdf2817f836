/// How a ``CountersignClient`` asks.
public struct ClientOptions: Sendable {
    /// Where the service listens.
    public var endpoint: Endpoint
    /// What this program proves itself with. Nil: nothing, which is enough on a Unix socket that the service was told to open
    /// (`listen: unix:PATH?may=introspect`, and `&may=changes` for the cache).
    public var credentials: ClientCredentials?
    /// PEM file of the certificates that the service's must be signed by; nil: those that the system trusts.
    public var certificateAuthorityPath: String?
    /// From a question to the last byte of its answer, waiting for a connection included.
    public var deadline: Duration = .seconds(2)
    /// Connections that are kept open.
    public var connectionsMax = 8
    /// Questions at once; further ones fail as ``VerificationFailure/unavailable(cause:retryAfterSeconds:)`` at once.
    public var questionsMax = 1_000
    /// Nil, the default: every verification asks the service.
    public var cache: CacheOptions?

    public init(endpoint: Endpoint, credentials: ClientCredentials? = nil) {
        self.endpoint = endpoint
        self.credentials = credentials
    }
}

/// An optional cache of answers inside this process.
///
/// It takes a guarantee away. A service that asks each time is told of a revocation by the very next answer after it has
/// returned; one that caches goes on accepting for up to ``lagMax``. What it gives is the time of one exchange with the
/// service. Ask each time unless that has been measured to be too much.
///
/// An answer is kept for exactly the question that was asked: a credential that comes from many addresses is asked about for
/// each of them, when addresses are given (``Requirement/clientIP``). Answers on several at once are not kept.
public struct CacheOptions: Sendable {
    /// The most that a cached answer may be behind the service.
    public static let lagLimit = Duration.seconds(2)

    /// Answers that are kept; when there are more, some are forgotten.
    public var entriesMax: Int
    /// How far behind the service a cached answer may be, ``lagLimit`` at most. The changes are asked for eight times in it.
    public let lagMax: Duration
    /// How long an answer is kept even if nothing changes. It bounds what `last_used_at` of a credential is wrong by.
    public var answerLifeMax: Duration

    /// - Parameter lagMax: 80 ms to ``lagLimit``; brought into that range.
    public init(
        entriesMax: Int = 10_000, lagMax: Duration = CacheOptions.lagLimit, answerLifeMax: Duration = .seconds(30)
    ) {
        self.entriesMax = entriesMax
        self.lagMax = min(max(lagMax, .milliseconds(80)), Self.lagLimit)
        self.answerLifeMax = answerLifeMax
    }
}
