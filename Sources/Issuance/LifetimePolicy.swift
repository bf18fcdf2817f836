import CredentialModel

/// Lifetimes of credentials in seconds: the default, and the most that a request may ask for.
public struct LifetimePolicy: Sendable {
    /// Nil: keys do not expire unless requested.
    public var keySecondsDefault: Int64?
    /// Nil: any lifetime is allowed, including no expiry.
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

    /// The lifetime of a key that is issued at `now`; nil when it does not expire.
    func keySeconds(asked: Int64?, at now: UnixSeconds) throws(IssuanceError) -> Int64? {
        if let asked, asked <= 0 { throw .invalid(field: "expires_in", reason: "must be at least one second") }
        guard let wanted = asked ?? keySecondsDefault else {
            guard keySecondsMax == nil else {
                throw .invalid(
                    field: "expires_in", reason: "is required: keys may live \(keySecondsMax ?? 0) seconds at most")
            }
            return nil
        }
        if let most = keySecondsMax, wanted > most {
            throw .invalid(field: "expires_in", reason: "keys may live \(most) seconds at most")
        }
        try Self.requireEnd(of: asked, at: now)
        return wanted
    }

    /// The lifetime of an access token that is issued at `now`.
    func accessTokenSeconds(asked: Int64?, at now: UnixSeconds) throws(IssuanceError) -> Int64 {
        let wanted = asked ?? min(accessTokenSecondsDefault, accessTokenSecondsMax)
        guard wanted > 0, wanted <= accessTokenSecondsMax else {
            throw .invalid(
                field: "expires_in", reason: "access tokens live 1 to \(accessTokenSecondsMax) seconds")
        }
        try Self.requireEnd(of: asked, at: now)
        return wanted
    }

    /// Refuses a requested lifetime whose end cannot be set: cutting it would give less than was asked for without saying
    /// so. What the settings give unasked is cut.
    private static func requireEnd(of asked: Int64?, at now: UnixSeconds) throws(IssuanceError) {
        guard let asked, now.adding(exactly: asked) == nil else { return }
        throw .invalid(field: "expires_in", reason: "must end no later than the year 9999")
    }
}
