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
