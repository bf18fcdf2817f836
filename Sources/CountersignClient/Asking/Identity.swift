/// Whose credential it is and what it grants (RFC 7662 §2.2).
public struct Identity: Equatable, Sendable {
    public enum Kind: Sendable {
        /// Presented as `Authorization: ApiKey` or `?api_key=`.
        case apiKey
        /// Presented as `Authorization: Bearer` (RFC 6750).
        case accessToken
    }

    public let kind: Kind
    /// The public id (`jti`): fit for logs, and what the credential is revoked by.
    public let id: String
    /// The owner of a key, the subject of a token (`sub`).
    public let subject: String
    /// The client that a token was issued to (`client_id`).
    public let clientID: String?
    public let scopes: [String]
    /// Empty: meant for all.
    public let audiences: [String]
    /// Seconds since the Unix epoch.
    public let issuedAt: Int64
    /// Seconds since the Unix epoch; it is not accepted before.
    public let notBefore: Int64?
    /// Seconds since the Unix epoch; from then on it is not accepted. Nil: it has no end.
    public let expiresAt: Int64?
    public let issuer: String?
    /// The grant that a token came of; what ends a grant ends all of its family.
    public let family: String?

    public init(
        kind: Kind, id: String, subject: String, clientID: String? = nil, scopes: [String] = [],
        audiences: [String] = [], issuedAt: Int64, notBefore: Int64? = nil, expiresAt: Int64? = nil,
        issuer: String? = nil, family: String? = nil
    ) {
        self.kind = kind
        self.id = id
        self.subject = subject
        self.clientID = clientID
        self.scopes = scopes
        self.audiences = audiences
        self.issuedAt = issuedAt
        self.notBefore = notBefore
        self.expiresAt = expiresAt
        self.issuer = issuer
        self.family = family
    }

    /// Whether all of these scopes are granted (RFC 6749 §3.3: compared byte for byte).
    public func grants(_ needed: [String]) -> Bool {
        needed.allSatisfy { word in scopes.contains { $0.utf8.elementsEqual(word.utf8) } }
    }
}
