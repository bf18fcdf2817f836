import CredentialStore
import Hummingbird
import Issuance

/// `GET /oauth2/authorize` (RFC 6749 §4.1.1): holds a request against its client and sends the browser to sign in.
struct AuthorizeEndpoint: Sendable {
    let server: OAuthServer

    /// It may be a signed document, and comes back as it was.
    private static let stateBytesMax = 8_192
    /// Bytes of the verdict that comes back: with the other fields of a browser it has to fit into a head of 16 KiB.
    private static let verdictBytesMax = 14_336
    private static let stateTooLong =
        "The application sent more state than can be carried: at most \(stateBytesMax) bytes."
    private static let once = [
        "response_type", "scope", "state", "code_challenge", "code_challenge_method", "response_mode",
    ]

    func authorize(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        guard let parameters = FormParameters(request.uri.query ?? "") else {
            return Page.refusal("The address is not percent-encoded UTF-8.")
        }
        // Of these two it must be sure where an answer may go; until then nobody is sent anywhere (RFC 6749 §4.1.2.1).
        let clientIDs = parameters.all("client_id")
        let redirectURIs = parameters.all("redirect_uri")
        guard clientIDs.count == 1, redirectURIs.count <= 1,
            let client = server.store.published.clients.client(id: clientIDs[0]), client.revokedAt == nil
        else { return Page.refusal("The application that sent you here is not registered.") }
        guard let redirectURI = AuthorizationRequest.redirectURI(redirectURIs.first, of: client) else {
            return Page.refusal("The application wants the answer at an address that it is not registered with.")
        }
        let states = parameters.all("state")
        // An answer without its state is one that the application cannot take (RFC 6749 §4.1.2.1), so that it gets none.
        guard states.allSatisfy({ $0.utf8.count <= Self.stateBytesMax }) else { return Page.refusal(Self.stateTooLong) }
        do throws(OAuthError) {
            let state = try parameters.one("state")
            let asked = try self.request(client, redirectURI, isNamed: !redirectURIs.isEmpty, parameters)
            return try signIn(asked, state, request)
        } catch {
            return .seeOther(server.refused(error, redirectURI, states.count == 1 ? states[0] : nil))
        }
    }

    private func request(
        _ client: ClientDefinition, _ redirectURI: String, isNamed: Bool, _ parameters: FormParameters
    ) throws(OAuthError) -> AuthorizationRequest {
        try parameters.requireOnce(Self.once)
        guard try parameters.one("response_mode") ?? "query" == "query" else {
            throw OAuthError(.invalidRequest, "response_mode can be query only")
        }
        var asked = AuthorizationRequest.Parameters()
        asked.responseType = try parameters.one("response_type")
        asked.scope = try parameters.one("scope")
        asked.resources = parameters.all("resource")
        asked.codeChallenge = try parameters.one("code_challenge")
        asked.codeChallengeMethod = try parameters.one("code_challenge_method")
        return try AuthorizationRequest(
            client: client, redirectURI: redirectURI, namesRedirectURI: isNamed, asked)
    }

    private func signIn(
        _ asked: AuthorizationRequest, _ state: String?, _ request: Request
    ) throws(OAuthError) -> Response {
        let cookie = server.browsers.cookie(of: request) ?? server.browsers.draw()
        let challenge = Challenge(
            asked, state: state, browser: Browsers.mark(cookie), now: server.store.clock.now())
        guard let text = try? server.seal.close(challenge, .challenge, beside: state), let login = server.settings.login
        else { throw OAuthError(.serverError, "nobody can sign in here") }
        // The verdict is the challenge, once more the scope, who agreed and when, in base64.
        let verdictBytes = text.utf8.count + (asked.scope.reduce(560) { $0 + $1.utf8.count + 3 }) * 4 / 3
        guard verdictBytes <= Self.verdictBytesMax else { return Page.refusal(Self.stateTooLong) }
        let place =
            switch login {
            case .application(let url): url
            case .demonstration: server.address(OAuthPath.demonstration)
            }
        var response = Response.seeOther(WebAddress.adding([("login_challenge", text)], to: place))
        response.headers[.setCookie] = server.browsers.field(cookie)
        return response
    }

    /// `GET /oauth2/authorize/resume`: comes back from the sign-in with a verdict, and goes on to the application.
    func resume(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        // A HEAD of somebody's preview must not use the sign-in up.
        guard request.method == .get else { return Response(status: .methodNotAllowed, headers: [.allow: "GET"]) }
        let texts = FormParameters(request.uri.query ?? "")?.all("verdict") ?? []
        guard texts.count == 1, let verdict = server.verdict(texts[0]), let asked = verdict.challenge.request else {
            return Page.refusal("This address is not one that a sign-in ends with.")
        }
        let challenge = verdict.challenge
        guard !challenge.isOver(at: server.store.clock.now()) else {
            return Page.refusal("The sign-in has taken too long. Begin again at the application.")
        }
        guard let cookie = server.browsers.cookie(of: request), Browsers.isSame(cookie, challenge.browser) else {
            return Page.refusal("This sign-in was begun in another browser. Begin again at the application.")
        }
        do throws(OAuthError) {
            if let refusal = verdict.refusal { throw OAuthError(.accessDenied, refusal) }
            guard let decision = verdict.decision else {
                return Page.refusal("This sign-in was decided by an earlier version. Begin again at the application.")
            }
            let code = try await server.issuer.authorize(asked, by: decision, signIn: challenge.id)
            guard let code else {
                return Page.refusal("This sign-in was used already. Begin again at the application.")
            }
            // RFC 9207: who answers, so that a client of several servers cannot be made to mix them up.
            let parameters: [(name: String, value: String?)] = [
                ("code", code.reveal()), ("state", challenge.state), ("iss", server.settings.issuer),
            ]
            return .seeOther(WebAddress.adding(parameters, to: challenge.redirectURI))
        } catch {
            return .seeOther(server.refused(error, challenge.redirectURI, challenge.state))
        }
    }
}

extension OAuthServer {
    /// Where the browser takes a refusal (RFC 6749 §4.1.2.1).
    func refused(_ error: OAuthError, _ redirectURI: String, _ state: String?) -> String {
        WebAddress.adding(
            [
                ("error", error.code.rawValue), ("error_description", Self.description(error.reason)), ("state", state),
                ("iss", settings.issuer),
            ], to: redirectURI)
    }

    /// RFC 6749 Appendix A.8: visible ASCII without quote and backslash. A reason may be an operator's own words.
    static func description(_ reason: String) -> String {
        String(
            String.UnicodeScalarView(
                reason.unicodeScalars.map { scalar -> Unicode.Scalar in
                    switch scalar {
                    case "\"", "\\": "'"
                    case "\u{20}"..."\u{7E}": scalar
                    default: "?"
                    }
                }))
    }
}
