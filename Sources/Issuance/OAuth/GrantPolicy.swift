/// Lifetimes of what the flows issue, in seconds.
public struct GrantPolicy: Sendable {
    /// An authorization code (RFC 6749 §4.1.2: ten minutes at most).
    public var codeSeconds: Int64 = 60
    /// An unused refresh token.
    public var refreshIdleSeconds: Int64
    /// A grant, however often it is refreshed.
    public var refreshAbsoluteSeconds: Int64
    /// How long after its use a refresh token is accepted once more, if its successor has not been used: the response may
    /// have been lost. 0 for never.
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
