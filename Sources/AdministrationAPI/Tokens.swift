public import CredentialModel

/// Body of `POST /v1/tokens`.
extension TokenRequest: StrictRequest {
    public init() { self.init(clientID: "") }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("client_id", &clientID)
        try visitor.optional("sub", &subject)
        try visitor.words("scope", &scope)
        try visitor.defaulted("aud", &audience)
        try visitor.optional("expires_in", &expiresInSeconds)
    }
}

/// A new access token. `access_token` is null when a repeated request returns a token that was created before.
public struct TokenIssued: Resource {
    public private(set) var id = ""
    public private(set) var accessToken: Secret?
    /// Always `Bearer` (RFC 6750).
    public private(set) var tokenType = "Bearer"
    public private(set) var clientID: String?
    public private(set) var subject = ""
    public private(set) var scope = SpaceSeparated([])
    public private(set) var audience: [String] = []
    public private(set) var issuedAt: Int64 = 0
    public private(set) var expiresAt: Int64?

    public init() {}

    public init(_ resource: CredentialResource, accessToken: Secret?) {
        id = resource.id
        self.accessToken = accessToken
        clientID = resource.clientID
        subject = resource.owner
        scope = resource.scope
        audience = resource.audience
        issuedAt = resource.issuedAt
        expiresAt = resource.expiresAt
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("id", &id)
        try visitor.optional("access_token", &accessToken)
        try visitor.required("token_type", &tokenType)
        try visitor.optional("client_id", &clientID)
        try visitor.required("sub", &subject)
        try visitor.required("scope", &scope)
        try visitor.required("aud", &audience)
        try visitor.required("iat", &issuedAt)
        try visitor.optional("exp", &expiresAt)
    }
}
