/// A newborn key. `key` is null when a repeated request returns the key made before: its secret is not stored.
public struct KeyCreated: Codable, Equatable, Sendable {
    public let id: String
    public let key: Secret?
    public let owner: String
    public let name: String?
    public let scope: SpaceSeparated
    public let audience: [String]
    public let issuedAt: Int64
    public let notBefore: Int64?
    public let expiresAt: Int64?

    public init(_ resource: CredentialResource, key: Secret?) {
        id = resource.id
        self.key = key
        owner = resource.owner
        name = resource.name
        scope = resource.scope
        audience = resource.audience
        issuedAt = resource.issuedAt
        notBefore = resource.notBefore
        expiresAt = resource.expiresAt
    }

    enum CodingKeys: String, CodingKey {
        case id, key, owner, name, scope
        case audience = "aud"
        case issuedAt = "iat"
        case notBefore = "nbf"
        case expiresAt = "exp"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(key, forKey: .key)
        try encodeAlike(into: &container)
    }

    /// What keys of one request have in common.
    func encodeAlike(into container: inout KeyedEncodingContainer<CodingKeys>) throws {
        try container.encode(owner, forKey: .owner)
        try container.encode(name, forKey: .name)
        try container.encode(scope, forKey: .scope)
        try container.encode(audience, forKey: .audience)
        try container.encode(issuedAt, forKey: .issuedAt)
        try container.encode(notBefore, forKey: .notBefore)
        try container.encode(expiresAt, forKey: .expiresAt)
    }
}

/// Answer to `POST /v1/keys`: as many keys as were asked for.
public struct KeysCreated: Codable, Equatable, Sendable {
    public let items: [KeyCreated]

    public init(items: [KeyCreated]) {
        self.items = items
    }
}
