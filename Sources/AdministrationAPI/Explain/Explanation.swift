/// Body of `POST /v1/explain`: a credential as it was presented, and what it was needed for.
public struct ExplainRequest: Codable, Equatable, Sendable {
    public let credential: Secret
    /// The scope that was needed.
    public let scope: SpaceSeparated?
    /// The client that asks; audiences are judged by it.
    public let clientID: String?
    /// The address that it came from. Without one, a credential that is limited to networks is inactive.
    public let clientIP: String?

    public init(credential: Secret, scope: SpaceSeparated? = nil, clientID: String? = nil, clientIP: String? = nil) {
        self.credential = credential
        self.scope = scope
        self.clientID = clientID
        self.clientIP = clientIP
    }

    enum CodingKeys: String, CodingKey {
        case credential, scope
        case clientID = "client_id"
        case clientIP = "client_ip"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        credential = try members.decode(Secret.self, forKey: .credential)
        scope = try members.decodeIfPresent(SpaceSeparated.self, forKey: .scope)
        clientID = try members.decodeIfPresent(String.self, forKey: .clientID)
        clientIP = try members.decodeIfPresent(String.self, forKey: .clientIP)
    }
}

/// Why a credential is accepted or not.
public struct ExplanationResource: Codable, Equatable, Sendable {
    public let isActive: Bool
    /// `valid`, `unknown`, `expired`, `not_yet_valid`, `revoked`, `insufficient_scope`, `wrong_audience`,
    /// `wrong_network` or `malformed`; `wrong_audience` where the client that asks would be told `unknown`.
    public let reason: String
    /// What the store knows of it, null when it knows nothing. Of a kind that is not for callers it is there, and the
    /// reason is `unknown`, as it is to every gateway.
    public let credential: CredentialResource?

    public init(isActive: Bool, reason: String, credential: CredentialResource?) {
        self.isActive = isActive
        self.reason = reason
        self.credential = credential
    }

    enum CodingKeys: String, CodingKey {
        case isActive = "active"
        case reason, credential
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(isActive, forKey: .isActive)
        try container.encode(reason, forKey: .reason)
        try container.encode(credential, forKey: .credential)
    }
}

/// Body of `POST /v1/leaks`: a key or a token that was found where it should not be.
public struct LeakReport: Decodable, Sendable {
    public let credential: Secret

    enum CodingKeys: String, CodingKey { case credential }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        credential = try members.decode(Secret.self, forKey: .credential)
    }
}
