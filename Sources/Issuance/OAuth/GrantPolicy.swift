/// How long what the flows give lives, in seconds.
public struct GrantPolicy: Sendable {
    /// Of an authorization code (RFC 6749 §4.1.2: ten minutes at most).
    public var codeSeconds: Int64 = 60
    /// Of a refresh token that is not used.
    public var refreshIdleSeconds: Int64
    /// Of a grant, however often it is refreshed.
    public var refreshAbsoluteSeconds: Int64
    /// How long after its use a refresh token is taken once more, if what it gave has not been used: the answer may have been
    /// lost. 0 takes none.
    public var reuseLeewaySeconds: Int64

    public init(
        refreshIdleSeconds: Int64 = 30 * 86_400, refreshAbsoluteSeconds: Int64 = 90 * 86_400,
        reuseLeewaySeconds: Int64 = 0
    ) {
        self.refreshIdleSeconds = refreshIdleSeconds
        self.refreshAbsoluteSeconds = refreshAbsoluteSeconds
        self.reuseLeewaySeconds = reuseLeewaySeconds
    }
}
