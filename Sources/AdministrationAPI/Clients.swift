public import CredentialModel

/// Body of `POST /v1/clients`. Clients are shown with the same members, which have the names of RFC 7591 if it defines one.
extension ClientMetadata: StrictRequest {
    public init() { self.init(name: "") }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("name", &name)
        try visitor.optional("description", &description)
        try visitor.defaulted("grant_types", &grants)
        try visitor.defaulted("redirect_uris", &redirectURIs)
        try visitor.words("scope", &scope)
        try visitor.defaulted("aud", &audience)
        try visitor.defaulted("may", &rights)
        try visitor.optional("certificate_san", &certificateSAN)
        try visitor.defaulted("public", &isPublic)
    }
}

/// An OAuth client. Times are seconds since the Unix epoch.
public struct ClientResource: Resource {
    /// One secret of a client, without its text. Times are seconds since the Unix epoch.
    public struct SecretState: Codable, Equatable, Sendable {
        public let id: String
        public let state: CredentialState
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

    public var clientID = ""
    public var metadata = ClientMetadata()
    public var createdAt: Int64 = 0
    public var revokedAt: Int64?
    /// All secrets that may still be valid, and the newest ended ones.
    public var secrets: [SecretState] = []
    /// The number of ended secrets that are left out; nil in answers of earlier versions.
    public var secretsOmitted: Int?

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("client_id", &clientID)
        try metadata.members(&visitor)
        try visitor.required("created_at", &createdAt)
        try visitor.optional("revoked_at", &revokedAt)
        try visitor.required("secrets", &secrets)
        try visitor.optional("secrets_omitted", &secretsOmitted)
    }
}

/// A client with its new secret. The secret is null for a public client, and when a repeated request returns a client that was
/// created before.
public struct ClientIssued: Resource {
    public private(set) var client = ClientResource()
    public private(set) var clientSecret: Secret?

    public init() {}

    public init(client: ClientResource, clientSecret: Secret?) {
        self.client = client
        self.clientSecret = clientSecret
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try client.members(&visitor)
        try visitor.optional("client_secret", &clientSecret)
    }
}
