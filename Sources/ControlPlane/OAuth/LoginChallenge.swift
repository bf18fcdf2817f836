import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import HTTPTypes
import Hummingbird
import Issuance

// A sign-in is three texts in the browser, and no state in the server until it is finished: the challenge (the
// authorization request, on its way to the sign-in), the verdict (the decision, on its way back), and a cookie that
// binds both to one browser.

/// An authorization request during the sign-in. The names of its members are part of signed texts: keep them.
struct LoginChallenge: Codable, Sendable {
    /// Random; new for every request.
    let id: String
    let clientID: String
    let redirectURI: String
    let namesRedirectURI: Bool
    let scope: [String]
    let audience: [String]
    let codeChallenge: String
    /// Signed next to the JSON: it may be long, and JSON escapes may need six bytes for one.
    var state: String?
    /// The hash of the cookie of the browser that started it.
    let browser: String
    let endsAt: Int64

    private enum CodingKeys: String, CodingKey {
        case id, clientID, redirectURI, namesRedirectURI, scope, audience, codeChallenge, browser, endsAt
    }

    /// Longest sign-in, in seconds.
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

    /// Nil if another version wrote it in another format.
    var request: AuthorizationRequest? {
        CodeChallenge(codeChallenge).map {
            AuthorizationRequest(
                clientID: clientID, redirectURI: redirectURI, namesRedirectURI: namesRedirectURI, scope: scope,
                audience: audience, challenge: $0)
        }
    }

    func isExpired(at now: UnixSeconds) -> Bool { now.rawValue >= endsAt }
}

/// The decision on a login challenge. The names of its members are part of signed texts: keep them.
struct SignInVerdict: Codable, Sendable {
    var challenge: LoginChallenge
    /// Who agreed to what; nil if it was refused, and in a verdict of an earlier version.
    var decision: SignInDecision?
    /// Why it was refused, for the client.
    var refusal: String?
}

extension OAuthServer {
    /// - Throws: ``OAuthError`` if it is not signed by this server, or has expired.
    func challenge(_ text: String) throws(OAuthError) -> LoginChallenge {
        guard let signed = signer.verify(LoginChallenge.self, text, for: .challenge) else {
            throw OAuthError(.invalidRequest, "the challenge was not issued by this server")
        }
        var challenge = signed.value
        challenge.state = signed.text
        guard !challenge.isExpired(at: store.clock.now()) else {
            throw OAuthError(.invalidRequest, "the sign-in took too long: start again at the application")
        }
        return challenge
    }

    /// The address that the browser returns to with a decision.
    private func resumption(_ verdict: SignInVerdict) throws -> String {
        address(OAuthPath.resume) + "?verdict="
            + (try signer.sign(verdict, for: .verdict, with: verdict.challenge.state))
    }

    /// The decision that the browser returns with; nil if it is not signed by this server.
    func verdict(_ text: String) -> SignInVerdict? {
        guard let signed = signer.verify(SignInVerdict.self, text, for: .verdict) else { return nil }
        var verdict = signed.value
        verdict.challenge.state = signed.text
        return verdict
    }

    /// Accepts a login challenge for a subject.
    /// - Parameter issuer: acts in the name of the application that decides.
    /// - Returns: the address to send the browser to.
    /// - Throws: ``OAuthError`` and ``IssuanceError``.
    func accept(
        _ text: String, subject: String, scope: [String], remember: Bool, by issuer: Issuer
    ) async throws -> String {
        let challenge = try challenge(text)
        guard scope.allSatisfy(challenge.scope.contains) else {
            throw OAuthError.scopeExceedsRequest
        }
        try issuer.requirePerson(subject)
        let decision = try await issuer.decideSignIn(
            for: challenge.clientID, subject: subject, scope: scope, remember: remember)
        return try resumption(SignInVerdict(challenge: challenge, decision: decision))
    }

    /// Rejects a login challenge.
    /// - Returns: the address to send the browser to.
    func reject(_ text: String, reason: String) throws -> String {
        try resumption(SignInVerdict(challenge: try challenge(text), refusal: reason))
    }
}

/// Signs texts that pass through a browser and return unmodified. So the server stores nothing for sign-ins that may
/// never be finished.
///
/// Everybody can read them, but only this server can make them: they carry an HMAC under the store's lookup secret,
/// which pepper rotations do not change. The HMAC covers the purpose, so that a text for one purpose is not accepted
/// for another.
struct TextSigner: Sendable {
    enum Purpose: String {
        case challenge, verdict, form
    }

    let key: TagKey

    /// Longer texts are refused without being decoded.
    private static let textBytesMax = 16_384

    /// - Parameter text: signed with the value, but not encoded as JSON.
    func sign(_ value: some Encodable, for purpose: Purpose, with text: String? = nil) throws -> String {
        var payload = Array(try JSONEncoder().encode(value))
        // JSON has no zero byte, so the first one separates the two.
        if let text { payload += [0] + Array(text.utf8) }
        return Base64URL.encode(payload) + "." + Base64URL.encode(authenticationCode(of: payload, for: purpose))
    }

    /// Nil if the text was not signed here for this purpose.
    func verify<Value: Decodable>(
        _ type: Value.Type, _ text: String, for purpose: Purpose
    ) -> (value: Value, text: String?)? {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let payload = Base64URL.decode(parts[0]), let given = Base64URL.decode(parts[1]),
            ConstantTime.equal(given.octets, authenticationCode(of: payload, for: purpose).octets)
        else { return nil }
        let end = payload.firstIndex(of: 0)
        guard let value = try? JSONDecoder().decode(type, from: Data(payload[..<(end ?? payload.endIndex)])) else {
            return nil
        }
        return (value, end.map { String(decoding: payload[($0 + 1)...], as: UTF8.self) })
    }

    func authenticationCode(of payload: [UInt8], for purpose: Purpose) -> [UInt8] {
        let message = Array("countersign oauth \(purpose.rawValue)".utf8) + [0] + payload
        return key.authenticationCode(of: message.octets).bytes
    }
}

/// The cookie that binds an authorization to the browser that started it: an attacker must not let a victim's browser
/// finish an authorization that was started with the attacker's sign-in (login CSRF, RFC 9700 §4.7).
struct BrowserCookie: Sendable {
    /// Whether the issuer is https. Then the cookie is sent over https only, and to this host only (RFC 6265bis
    /// §4.1.3.2).
    let isSecure: Bool

    private var name: String { isSecure ? "__Host-countersign" : "countersign" }

    /// The value in a request; nil unless there is exactly one and it is well-formed.
    func value(in request: Request) -> String? {
        let prefix = name + "="
        var values: [String] = []
        for field in request.headers[values: .cookie] {
            for pair in field.split(separator: ";") {
                let pair = pair.drop { $0 == " " }
                if pair.hasPrefix(prefix) { values.append(String(pair.dropFirst(prefix.count))) }
            }
        }
        guard values.count == 1, Base64URL.decode(values[0])?.count == 32 else { return nil }
        return values[0]
    }

    /// A new random value.
    static func generate() -> String {
        var generator = SystemRandomNumberGenerator()
        return Base64URL.encode((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// The value of the Set-Cookie field.
    func setCookieField(_ cookie: String) -> String {
        "\(name)=\(cookie); Path=/; HttpOnly; SameSite=Lax; Max-Age=3600" + (isSecure ? "; Secure" : "")
    }

    /// The challenge, which others can read, has this hash instead of the value.
    static func hash(_ cookie: String) -> String {
        Base64URL.encode(SHA256Digest.of(Array(cookie.utf8).octets))
    }

    static func matches(_ cookie: String, _ hash: String) -> Bool {
        ConstantTime.equal(Array(self.hash(cookie).utf8).octets, Array(hash.utf8).octets)
    }
}
