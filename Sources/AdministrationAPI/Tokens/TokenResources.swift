/// Body of `POST /v1/tokens`.
public struct TokenIssueRequest: Codable, Equatable, Sendable {
    public let clientID: String
    public let subject: String?
    public let scope: SpaceSeparated?
    public let audience: [String]?
    /// Life in seconds; the server's default when absent.
    public let expiresIn: Int64?

    public init(
        clientID: String, subject: String? = nil, scope: SpaceSeparated? = nil, audience: [String]? = nil,
        expiresIn: Int64? = nil
    ) {
        self.clientID = clientID
        self.subject = subject
        self.scope = scope
        self.audience = audience
        self.expiresIn = expiresIn
    }

    enum CodingKeys: String, CodingKey {
        case subject = "sub"
        case scope
        case clientID = "client_id"
        case audience = "aud"
        case expiresIn = "expires_in"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        clientID = try members.decode(String.self, forKey: .clientID)
        subject = try members.decodeIfPresent(String.self, forKey: .subject)
        scope = try members.decodeIfPresent(SpaceSeparated.self, forKey: .scope)
        audience = try members.decodeIfPresent([String].self, forKey: .audience)
        expiresIn = try members.decodeWhole(forKey: .expiresIn)
    }
}

/// A newborn access token. `access_token` is null when a repeated request returns the token made before.
public struct TokenIssued: Codable, Equatable, Sendable {
    public let id: String
    public let accessToken: Secret?
    /// Always `Bearer` (RFC 6750).
    public let tokenType: String
    public let clientID: String?
    public let subject: String
    public let scope: SpaceSeparated
    public let audience: [String]
    public let issuedAt: Int64
    public let expiresAt: Int64?

    public init(_ resource: CredentialResource, accessToken: Secret?) {
        id = resource.id
        self.accessToken = accessToken
        tokenType = "Bearer"
        clientID = resource.clientID
        subject = resource.owner
        scope = resource.scope
        audience = resource.audience
        issuedAt = resource.issuedAt
        expiresAt = resource.expiresAt
    }

    enum CodingKeys: String, CodingKey {
        case id, scope
        case accessToken = "access_token"
        case tokenType = "token_type"
        case clientID = "client_id"
        case subject = "sub"
        case audience = "aud"
        case issuedAt = "iat"
        case expiresAt = "exp"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(accessToken, forKey: .accessToken)
        try container.encode(tokenType, forKey: .tokenType)
        try container.encode(clientID, forKey: .clientID)
        try container.encode(subject, forKey: .subject)
        try container.encode(scope, forKey: .scope)
        try container.encode(audience, forKey: .audience)
        try container.encode(issuedAt, forKey: .issuedAt)
        try container.encode(expiresAt, forKey: .expiresAt)
    }
}
