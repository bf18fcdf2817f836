import CredentialModel
import CredentialStore
import Issuance

/// An authorization request on its way through the sign-in.
struct Challenge: Codable, Sendable {
    /// Drawn for this request.
    let id: String
    let clientID: String
    let redirectURI: String
    let namesRedirectURI: Bool
    let scope: [String]
    let audience: [String]
    let codeChallenge: String
    /// Carried beside the rest, as it is: it may be long, and is written in JSON with up to six bytes for one.
    var state: String?
    /// Of the browser that began it.
    let browser: String
    let endsAt: Int64

    private enum CodingKeys: String, CodingKey {
        case id, clientID, redirectURI, namesRedirectURI, scope, audience, codeChallenge, browser, endsAt
    }

    /// How long a sign-in may take, in seconds.
    static let secondsMax: Int64 = 600

    init(_ request: AuthorizationRequest, state: String?, browser: String, now: UnixSeconds) {
        id = CredentialID.random().description
        clientID = request.clientID
        redirectURI = request.redirectURI
        namesRedirectURI = request.namesRedirectURI
        scope = request.scope
        audience = request.audience
        codeChallenge = request.challenge.text
        self.state = state
        self.browser = browser
        endsAt = now.adding(Self.secondsMax).rawValue
    }

    /// Nil when it was made by a version that wrote it otherwise.
    var request: AuthorizationRequest? {
        CodeChallenge(codeChallenge).map {
            AuthorizationRequest(
                clientID: clientID, redirectURI: redirectURI, namesRedirectURI: namesRedirectURI, scope: scope,
                audience: audience, challenge: $0)
        }
    }

    func isOver(at now: UnixSeconds) -> Bool { now.rawValue >= endsAt }
}

/// What was decided on a challenge.
struct SignInVerdict: Codable, Sendable {
    var challenge: Challenge
    /// Who agreed to what; nil when it was refused, and in a verdict of an earlier version.
    var decision: SignInDecision?
    /// Why it was refused, for the client.
    var refusal: String?
}

extension OAuthServer {
    /// - Throws: ``OAuthError`` for what is none, and for one that is over.
    func challenge(_ text: String) throws(OAuthError) -> Challenge {
        guard let sealed = seal.open(Challenge.self, text, .challenge) else {
            throw OAuthError(.invalidRequest, "the challenge is not one of this server's")
        }
        var challenge = sealed.value
        challenge.state = sealed.text
        guard !challenge.isOver(at: store.clock.now()) else {
            throw OAuthError(.invalidRequest, "the sign-in has taken too long: begin again at the application")
        }
        return challenge
    }

    /// Where the browser is sent with a decision.
    func resumption(_ verdict: SignInVerdict) throws -> String {
        address(OAuthPath.resume) + "?verdict="
            + (try seal.close(verdict, .verdict, beside: verdict.challenge.state))
    }

    /// What comes back from there; nil for what is none.
    func verdict(_ text: String) -> SignInVerdict? {
        guard let sealed = seal.open(SignInVerdict.self, text, .verdict) else { return nil }
        var verdict = sealed.value
        verdict.challenge.state = sealed.text
        return verdict
    }

    /// Decides in the name of a subject.
    /// - Returns: where the browser is to be sent.
    /// - Parameter issuer: in the name of whoever decides.
    func accept(
        _ text: String, subject: String, scope: [String], remember: Bool, by issuer: Issuer
    ) async throws -> String {
        let challenge = try challenge(text)
        guard scope.allSatisfy(challenge.scope.contains) else {
            throw OAuthError(.invalidScope, "more is granted than was asked for")
        }
        try issuer.requirePerson(subject)
        let decision = try await issuer.decideSignIn(
            for: challenge.clientID, subject: subject, scope: scope, remember: remember)
        return try resumption(SignInVerdict(challenge: challenge, decision: decision))
    }

    func reject(_ text: String, reason: String) throws -> String {
        try resumption(SignInVerdict(challenge: try challenge(text), refusal: reason))
    }
}
