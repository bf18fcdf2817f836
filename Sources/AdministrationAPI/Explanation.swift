/// Body of `POST /v1/explain`: a credential as it was presented, and the request for which it was checked.
public struct ExplainRequest: StrictRequest {
    public private(set) var credential = Secret("")
    /// The required scope.
    public private(set) var scope: SpaceSeparated?
    /// The client that introspects the credential; the credential's audiences are compared with those of the client.
    public private(set) var clientID: String?
    /// The address from which it was used. Without one, a credential that is limited to networks is inactive.
    public private(set) var clientIP: String?

    public init() {}

    public init(credential: Secret, scope: SpaceSeparated? = nil, clientID: String? = nil, clientIP: String? = nil) {
        self.credential = credential
        self.scope = scope
        self.clientID = clientID
        self.clientIP = clientIP
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("credential", &credential)
        try visitor.optional("scope", &scope)
        try visitor.optional("client_id", &clientID)
        try visitor.optional("client_ip", &clientIP)
    }
}

/// Whether a credential is accepted, and why.
public struct ExplanationResource: Resource {
    public private(set) var isActive = false
    /// `valid`, `unknown`, `expired`, `not_yet_valid`, `revoked`, `insufficient_scope`, `wrong_audience`,
    /// `wrong_network` or `malformed`. It is `wrong_audience` where an introspecting client gets `unknown`.
    public private(set) var reason = ""
    /// The stored credential; null if there is none. It is also present for a kind that gateways never accept, such as a client
    /// secret, for which the reason is `unknown`.
    public private(set) var credential: CredentialResource?

    public init() {}

    public init(isActive: Bool, reason: String, credential: CredentialResource?) {
        self.isActive = isActive
        self.reason = reason
        self.credential = credential
    }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("active", &isActive)
        try visitor.required("reason", &reason)
        try visitor.optional("credential", &credential)
    }
}
