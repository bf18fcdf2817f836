import CredentialModel

/// Lifetimes of credentials that administration issues, in seconds: the default and the maximum.
public struct LifetimePolicy: Sendable {
    /// Nil: a key does not expire unless the request gives a lifetime.
    public var keySecondsDefault: Int64?
    /// Nil: any lifetime is allowed, and none at all.
    public var keySecondsMax: Int64?
    public var accessTokenSecondsDefault: Int64
    public var accessTokenSecondsMax: Int64
    /// How long before its expiry a key is reported as expiring soon; 0 for never.
    public var keyWarningSeconds: Int64

    public init(
        keySecondsDefault: Int64? = nil, keySecondsMax: Int64? = nil, accessTokenSecondsDefault: Int64 = 3_600,
        accessTokenSecondsMax: Int64 = 86_400, keyWarningSeconds: Int64 = 14 * 86_400
    ) {
        self.keySecondsDefault = keySecondsDefault
        self.keySecondsMax = keySecondsMax
        self.accessTokenSecondsDefault = accessTokenSecondsDefault
        self.accessTokenSecondsMax = accessTokenSecondsMax
        self.keyWarningSeconds = keyWarningSeconds
    }

    /// The lifetime in seconds of a key that is issued at `now`; nil when it does not expire.
    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for a lifetime beyond the maximum or the year 9999.
    func keySeconds(requested: Int64?, at now: UnixSeconds) throws(IssuanceError) -> Int64? {
        if let requested, requested <= 0 { throw .invalid(field: "expires_in", reason: "must be at least one second") }
        guard let seconds = requested ?? keySecondsDefault else {
            guard keySecondsMax == nil else {
                throw .invalid(
                    field: "expires_in", reason: "is required: keys may live \(keySecondsMax ?? 0) seconds at most")
            }
            return nil
        }
        if let keySecondsMax, seconds > keySecondsMax {
            throw .invalid(field: "expires_in", reason: "keys may live \(keySecondsMax) seconds at most")
        }
        try Self.requireEnd(of: requested, at: now)
        return seconds
    }

    /// The lifetime in seconds of an access token that is issued at `now`.
    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for a lifetime beyond the maximum or the year 9999.
    func accessTokenSeconds(requested: Int64?, at now: UnixSeconds) throws(IssuanceError) -> Int64 {
        let seconds = requested ?? min(accessTokenSecondsDefault, accessTokenSecondsMax)
        guard seconds > 0, seconds <= accessTokenSecondsMax else {
            throw .invalid(
                field: "expires_in", reason: "access tokens live 1 to \(accessTokenSecondsMax) seconds")
        }
        try Self.requireEnd(of: requested, at: now)
        return seconds
    }

    /// Refuses a requested lifetime that ends after the last time that can be stored: shortening it silently would give less
    /// than was requested. A default lifetime is shortened instead.
    private static func requireEnd(of requested: Int64?, at now: UnixSeconds) throws(IssuanceError) {
        guard let requested, now.adding(exactly: requested) == nil else { return }
        throw .invalid(field: "expires_in", reason: "must end no later than the year 9999")
    }
}

/// Lifetimes of what the OAuth flows issue, in seconds.
public struct GrantPolicy: Sendable {
    /// An authorization code (RFC 6749 §4.1.2: ten minutes at most).
    public var codeSeconds: Int64 = 60
    /// An unused refresh token.
    public var refreshIdleSeconds: Int64
    /// A grant, from its code to its last refresh.
    public var refreshAbsoluteSeconds: Int64
    /// How long after its use a refresh token is accepted again, provided that its successor has not been used: the client may
    /// have lost the response. 0 for never.
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
