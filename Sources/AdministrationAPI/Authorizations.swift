/// Body of `POST /v1/authorizations/inspection`, by which a login application reads an authorization request.
public struct AuthorizationInspectionRequest: StrictRequest {
    /// The `login_challenge` parameter with which the browser was sent to the login application.
    public private(set) var challenge = ""
    /// The user, if already signed in: the answer then contains their earlier consent.
    public private(set) var subject: String?

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("login_challenge", &challenge)
        try visitor.optional("sub", &subject)
    }
}

/// An authorization request for which a user has not decided yet.
public struct AuthorizationInspection: Resource {
    public var clientID = ""
    public var clientName = ""
    public var scope = SpaceSeparated([])
    public var audience: [String] = []
    public var redirectURI = ""
    /// The deadline for the decision, in seconds since the Unix epoch.
    public var expiresAt: Int64 = 0
    /// The scope to which the subject agreed before for this client.
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

/// Body of `POST /v1/authorizations/acceptance`: a user has signed in and agreed.
public struct AuthorizationAcceptance: StrictRequest {
    public private(set) var challenge = ""
    public private(set) var subject = ""
    /// The part of the requested scope to which the user agreed; all of it if absent.
    public private(set) var scope: SpaceSeparated?
    /// Whether to store the consent for later requests.
    public private(set) var remember = false

    public init() {}

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("login_challenge", &challenge)
        try visitor.required("sub", &subject)
        try visitor.optional("scope", &scope)
        try visitor.defaulted("remember", &remember)
    }
}

/// Body of `POST /v1/authorizations/rejection`: a user did not sign in or did not agree.
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

/// The answer to a decision.
public struct AuthorizationDecided: Codable, Equatable, Sendable {
    /// The address to which the login application must send the browser.
    public let redirectTo: String

    public init(redirectTo: String) {
        self.redirectTo = redirectTo
    }

    enum CodingKeys: String, CodingKey { case redirectTo = "redirect_to" }
}

/// The scope that a user has allowed a client to use on their behalf.
public struct ConsentResource: Codable, Equatable, Sendable {
    public let subject: String
    public let clientID: String
    public let clientName: String
    public let scope: SpaceSeparated
    /// In seconds since the Unix epoch.
    public let givenAt: Int64

    public init(subject: String, clientID: String, clientName: String, scope: SpaceSeparated, givenAt: Int64) {
        self.subject = subject
        self.clientID = clientID
        self.clientName = clientName
        self.scope = scope
        self.givenAt = givenAt
    }

    enum CodingKeys: String, CodingKey {
        case scope
        case subject = "sub"
        case clientID = "client_id"
        case clientName = "client_name"
        case givenAt = "given_at"
    }
}

/// Answer to `GET /v1/consents`.
public struct ConsentList: Codable, Equatable, Sendable {
    public let items: [ConsentResource]

    public init(items: [ConsentResource]) {
        self.items = items
    }
}
