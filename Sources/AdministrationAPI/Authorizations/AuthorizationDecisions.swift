/// Body of `POST /v1/authorizations/inspection`: what an application that signs people in wants to know of a request.
public struct AuthorizationInspectionRequest: Codable, Equatable, Sendable {
    /// The `login_challenge` that the browser came with.
    public let challenge: String
    /// Who has signed in, if that is known: then the answer tells what they agreed to before.
    public let subject: String?

    public init(challenge: String, subject: String?) {
        self.challenge = challenge
        self.subject = subject
    }

    enum CodingKeys: String, CodingKey {
        case challenge = "login_challenge"
        case subject = "sub"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        challenge = try members.decode(String.self, forKey: .challenge)
        subject = try members.decodeIfPresent(String.self, forKey: .subject)
    }
}

/// A request that waits for somebody to sign in and agree.
public struct AuthorizationInspection: Codable, Equatable, Sendable {
    public let clientID: String
    public let clientName: String
    public let scope: SpaceSeparated
    public let audience: [String]
    public let redirectURI: String
    /// When the sign-in must be done.
    public let expiresAt: Int64
    /// What the subject agreed to before, for this client.
    public let consentedScope: SpaceSeparated

    public init(
        clientID: String, clientName: String, scope: SpaceSeparated, audience: [String], redirectURI: String,
        expiresAt: Int64, consentedScope: SpaceSeparated
    ) {
        self.clientID = clientID
        self.clientName = clientName
        self.scope = scope
        self.audience = audience
        self.redirectURI = redirectURI
        self.expiresAt = expiresAt
        self.consentedScope = consentedScope
    }

    enum CodingKeys: String, CodingKey {
        case scope
        case clientID = "client_id"
        case clientName = "client_name"
        case audience = "aud"
        case redirectURI = "redirect_uri"
        case expiresAt = "exp"
        case consentedScope = "consented_scope"
    }
}

/// Body of `POST /v1/authorizations/acceptance`: somebody has signed in and agreed.
public struct AuthorizationAcceptance: Codable, Equatable, Sendable {
    public let challenge: String
    public let subject: String
    /// Of what was asked; all of it when absent.
    public let scope: SpaceSeparated?
    /// Whether the consent is remembered.
    public let remember: Bool

    public init(challenge: String, subject: String, scope: SpaceSeparated?, remember: Bool) {
        self.challenge = challenge
        self.subject = subject
        self.scope = scope
        self.remember = remember
    }

    enum CodingKeys: String, CodingKey {
        case scope, remember
        case challenge = "login_challenge"
        case subject = "sub"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        challenge = try members.decode(String.self, forKey: .challenge)
        subject = try members.decode(String.self, forKey: .subject)
        scope = try members.decodeIfPresent(SpaceSeparated.self, forKey: .scope)
        remember = try members.decodeIfPresent(Bool.self, forKey: .remember) ?? false
    }
}

/// Body of `POST /v1/authorizations/rejection`: somebody did not sign in or did not agree.
public struct AuthorizationRejection: Codable, Equatable, Sendable {
    public let challenge: String
    /// For the client's developer.
    public let reason: String?

    public init(challenge: String, reason: String?) {
        self.challenge = challenge
        self.reason = reason
    }

    enum CodingKeys: String, CodingKey {
        case reason
        case challenge = "login_challenge"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.strictMembers(CodingKeys.self)
        challenge = try members.decode(String.self, forKey: .challenge)
        reason = try members.decodeIfPresent(String.self, forKey: .reason)
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
