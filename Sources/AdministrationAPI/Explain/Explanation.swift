/// Body of `POST /v1/explain`: a credential as it was presented, and what it was needed for.
public struct ExplainRequest: StrictRequest {
    public private(set) var credential = Secret("")
    /// The scope that was needed.
    public private(set) var scope: SpaceSeparated?
    /// The client that asks; audiences are judged by it.
    public private(set) var clientID: String?
    /// The address that it came from. Without one, a credential that is limited to networks is inactive.
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

/// Why a credential is accepted or not.
public struct ExplanationResource: Resource {
    public private(set) var isActive = false
    /// `valid`, `unknown`, `expired`, `not_yet_valid`, `revoked`, `insufficient_scope`, `wrong_audience`,
    /// `wrong_network` or `malformed`; `wrong_audience` where the client that asks would be told `unknown`.
    public private(set) var reason = ""
    /// What the store knows of it, null when it knows nothing. Of a kind that is not for callers it is there, and the
    /// reason is `unknown`, as it is to every gateway.
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

/// Body of `POST /v1/leaks`: a key or a token that was found where it should not be.
public struct LeakReport: StrictRequest {
    public private(set) var credential = Secret("")

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("credential", &credential)
    }
}
