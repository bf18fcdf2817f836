/// A key or token as it stands in the store, without its secret. Times are seconds since the Unix epoch.
public struct CredentialResource: Codable, Equatable, Sendable {
    /// Whether the credential can be used now.
    public enum State: String, Codable, Sendable {
        case active, expired, revoked
        case notYetValid = "not_yet_valid"
    }

    /// The public part of the credential, 11 base62 digits.
    public let id: String
    /// `api_key`, `access_token`, `refresh_token`, `authorization_code` or `client_secret`.
    public let kind: String
    public let state: State
    public let owner: String
    public let name: String?
    public let clientID: String?
    public let scope: SpaceSeparated
    public let audience: [String]
    public let networks: [String]
    public let issuedAt: Int64
    public let notBefore: Int64?
    public let expiresAt: Int64?
    public let revokedAt: Int64?
    /// The credential that this one replaces.
    public let predecessor: String?
    /// The credential that replaces this one.
    public let successor: String?
    /// When a rotated credential stops working.
    public let sunset: Int64?
    /// When it was last accepted, exact to half a minute; nil: never, as far as is known.
    public let lastUsedAt: Int64?
    /// An active key that comes near its end.
    public let expiresSoon: Bool
    /// True when the key was made elsewhere and imported.
    public let isImported: Bool

    public init(
        id: String, kind: String, state: State, owner: String, name: String?, clientID: String?,
        scope: SpaceSeparated, audience: [String], networks: [String], issuedAt: Int64, notBefore: Int64?,
        expiresAt: Int64?, revokedAt: Int64?, predecessor: String?, successor: String?, sunset: Int64?,
        lastUsedAt: Int64?, expiresSoon: Bool, isImported: Bool
    ) {
        self.id = id
        self.kind = kind
        self.state = state
        self.owner = owner
        self.name = name
        self.clientID = clientID
        self.scope = scope
        self.audience = audience
        self.networks = networks
        self.issuedAt = issuedAt
        self.notBefore = notBefore
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.predecessor = predecessor
        self.successor = successor
        self.sunset = sunset
        self.lastUsedAt = lastUsedAt
        self.expiresSoon = expiresSoon
        self.isImported = isImported
    }

    enum CodingKeys: String, CodingKey {
        case id, kind, state, owner, name, scope, predecessor, successor, sunset
        case clientID = "client_id"
        case audience = "aud"
        case networks = "network"
        case issuedAt = "iat"
        case notBefore = "nbf"
        case expiresAt = "exp"
        case revokedAt = "revoked_at"
        case lastUsedAt = "last_used_at"
        case expiresSoon = "expires_soon"
        case isImported = "imported"
    }

    /// Writes empty members as `null`: a script finds the same members in every line.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(kind, forKey: .kind)
        try container.encode(state, forKey: .state)
        try container.encode(owner, forKey: .owner)
        try container.encode(name, forKey: .name)
        try container.encode(clientID, forKey: .clientID)
        try container.encode(scope, forKey: .scope)
        try container.encode(audience, forKey: .audience)
        try container.encode(networks, forKey: .networks)
        try container.encode(issuedAt, forKey: .issuedAt)
        try container.encode(notBefore, forKey: .notBefore)
        try container.encode(expiresAt, forKey: .expiresAt)
        try container.encode(revokedAt, forKey: .revokedAt)
        try container.encode(predecessor, forKey: .predecessor)
        try container.encode(successor, forKey: .successor)
        try container.encode(sunset, forKey: .sunset)
        try container.encode(lastUsedAt, forKey: .lastUsedAt)
        try container.encode(expiresSoon, forKey: .expiresSoon)
        try container.encode(isImported, forKey: .isImported)
    }
}
