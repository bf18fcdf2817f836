/// Body of `POST /v1/authorizations/inspection`: what an application that signs people in wants to know of a request.
public struct AuthorizationInspectionRequest: StrictRequest {
    /// The `login_challenge` that the browser came with.
    public private(set) var challenge = ""
    /// Who has signed in, if that is known: then the answer tells what they agreed to before.
    public private(set) var subject: String?

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("login_challenge", &challenge)
        try visitor.optional("sub", &subject)
    }
}

/// A request that waits for somebody to sign in and agree.
public struct AuthorizationInspection: Resource {
    public var clientID = ""
    public var clientName = ""
    public var scope = SpaceSeparated([])
    public var audience: [String] = []
    public var redirectURI = ""
    /// When the sign-in must be done.
    public var expiresAt: Int64 = 0
    /// What the subject agreed to before, for this client.
    public var consentedScope = SpaceSeparated([])

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("client_id", &clientID)
        try visitor.required("client_name", &clientName)
        try visitor.required("scope", &scope)
        try visitor.required("aud", &audience)
        try visitor.required("redirect_uri", &redirectURI)
        try visitor.required("exp", &expiresAt)
        try visitor.required("consented_scope", &consentedScope)
    }
}

/// Body of `POST /v1/authorizations/acceptance`: somebody has signed in and agreed.
public struct AuthorizationAcceptance: StrictRequest {
    public private(set) var challenge = ""
    public private(set) var subject = ""
    /// Of what was asked; all of it when absent.
    public private(set) var scope: SpaceSeparated?
    /// Whether the consent is remembered.
    public private(set) var remember = false

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("login_challenge", &challenge)
        try visitor.required("sub", &subject)
        try visitor.optional("scope", &scope)
        try visitor.defaulted("remember", &remember)
    }
}

/// Body of `POST /v1/authorizations/rejection`: somebody did not sign in or did not agree.
public struct AuthorizationRejection: StrictRequest {
    public private(set) var challenge = ""
    /// For the client's developer.
    public private(set) var reason: String?

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("login_challenge", &challenge)
        try visitor.optional("reason", &reason)
    }
}

/// Where the browser is to be sent with a decision.
public struct AuthorizationDecided: Codable, Equatable, Sendable {
    public let redirectTo: String

    public init(redirectTo: String) {
        self.redirectTo = redirectTo
    }

    enum CodingKeys: String, CodingKey { case redirectTo = "redirect_to" }
}
