/// An OAuth client (RFC 7591 names where it has one). Times are seconds since the Unix epoch.
public struct ClientResource: Codable, Equatable, Sendable {
    /// One secret of a client, without its text.
    public struct SecretState: Codable, Equatable, Sendable {
        public let id: String
        public let state: CredentialResource.State
        public let issuedAt: Int64
        public let expiresAt: Int64?
        /// When a rotated secret stops working.
        public let sunset: Int64?

        public init(_ resource: CredentialResource) {
            id = resource.id
            state = resource.state
            issuedAt = resource.issuedAt
            expiresAt = resource.expiresAt
            sunset = resource.sunset
        }

        enum CodingKeys: String, CodingKey {
            case id, state, sunset
            case issuedAt = "iat"
            case expiresAt = "exp"
        }
    }

    public let clientID: String
    public let name: String
    public let grants: [String]
    public let redirectURIs: [String]
    public let scope: SpaceSeparated
    public let audience: [String]
    public let rights: [String]
    public let certificateSAN: String?
    public let isPublic: Bool
    public let createdAt: Int64
    public let revokedAt: Int64?
    /// All that may still work, and the newest of the ended ones.
    public let secrets: [SecretState]
    /// How many ended secrets are left out; nil in answers of earlier versions.
    public let secretsOmitted: Int?

    public init(
        clientID: String, name: String, grants: [String], redirectURIs: [String], scope: SpaceSeparated,
        audience: [String], rights: [String], certificateSAN: String?, isPublic: Bool, createdAt: Int64,
        revokedAt: Int64?, secrets: [SecretState], secretsOmitted: Int
    ) {
        self.clientID = clientID
        self.name = name
        self.grants = grants
        self.redirectURIs = redirectURIs
        self.scope = scope
        self.audience = audience
        self.rights = rights
        self.certificateSAN = certificateSAN
        self.isPublic = isPublic
        self.createdAt = createdAt
        self.revokedAt = revokedAt
        self.secrets = secrets
        self.secretsOmitted = secretsOmitted
    }

    enum CodingKeys: String, CodingKey {
        case name, scope, secrets
        case clientID = "client_id"
        case grants = "grant_types"
        case redirectURIs = "redirect_uris"
        case audience = "aud"
        case rights = "may"
        case certificateSAN = "certificate_san"
        case isPublic = "public"
        case createdAt = "created_at"
        case revokedAt = "revoked_at"
        case secretsOmitted = "secrets_omitted"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(clientID, forKey: .clientID)
        try container.encode(name, forKey: .name)
        try container.encode(grants, forKey: .grants)
        try container.encode(redirectURIs, forKey: .redirectURIs)
        try container.encode(scope, forKey: .scope)
        try container.encode(audience, forKey: .audience)
        try container.encode(rights, forKey: .rights)
        try container.encode(certificateSAN, forKey: .certificateSAN)
        try container.encode(isPublic, forKey: .isPublic)
        try container.encode(createdAt, forKey: .createdAt)
        try container.encode(revokedAt, forKey: .revokedAt)
        try container.encode(secrets, forKey: .secrets)
        try container.encode(secretsOmitted, forKey: .secretsOmitted)
    }
}

/// A client with the secret just made for it: null for a public client, and when a repeated request returns a client
/// made before.
public struct ClientIssued: Codable, Equatable, Sendable {
    public let client: ClientResource
    public let clientSecret: Secret?

    public init(client: ClientResource, clientSecret: Secret?) {
        self.client = client
        self.clientSecret = clientSecret
    }

    enum CodingKeys: String, CodingKey { case clientSecret = "client_secret" }

    public init(from decoder: any Decoder) throws {
        client = try ClientResource(from: decoder)
        clientSecret = try decoder.container(keyedBy: CodingKeys.self)
            .decodeIfPresent(Secret.self, forKey: .clientSecret)
    }

    public func encode(to encoder: any Encoder) throws {
        try client.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(clientSecret, forKey: .clientSecret)
    }
}
