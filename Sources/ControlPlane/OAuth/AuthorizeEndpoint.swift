import CredentialStore
import Hummingbird
import Issuance
import NetworkAddress

/// `GET /oauth2/authorize` (RFC 6749 §4.1.1): checks a request against its client and sends the browser to the sign-in.
struct AuthorizeEndpoint: Sendable {
    let server: OAuthServer

    /// `state` may be a signed document, and is returned unmodified.
    private static let stateBytesMax = 8_192
    /// Bytes of the verdict that the browser returns with. Together with the fields of the browser it must fit into a
    /// head of 16 KiB.
    private static let verdictBytesMax = 14_336
    private static let stateTooLong =
        "The application sent too much state: at most \(stateBytesMax) bytes are possible."
    private static let once = [
        "response_type", "scope", "state", "code_challenge", "code_challenge_method", "response_mode",
    ]

    func authorize(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        guard let parameters = FormParameters(request.uri.query ?? "") else {
            return SignInPage.refusal("The address is not percent-encoded UTF-8.")
        }
        // These two decide where a response may go. Until they are valid, the browser is not redirected (RFC 6749
        // §4.1.2.1).
        let clientIDs = parameters.all("client_id")
        let redirectURIs = parameters.all("redirect_uri")
        guard clientIDs.count == 1, redirectURIs.count <= 1,
            let client = server.store.published.clients.client(id: clientIDs[0]), client.revokedAt == nil
        else { return SignInPage.refusal("The application that sent you here is not registered.") }
        guard let redirectURI = AuthorizationRequest.redirectURI(redirectURIs.first, of: client) else {
            return SignInPage.refusal(
                "The application asked for a redirect to an address that is not registered for it.")
        }
        let states = parameters.all("state")
        // An application cannot accept a response without its state (RFC 6749 §4.1.2.1), so it gets none.
        guard states.allSatisfy({ $0.utf8.count <= Self.stateBytesMax }) else {
            return SignInPage.refusal(Self.stateTooLong)
        }
        do throws(OAuthError) {
            let state = try parameters.one("state")
            let authorization = try self.request(client, redirectURI, isNamed: !redirectURIs.isEmpty, parameters)
            return try signIn(authorization, state, request)
        } catch {
            return .seeOther(server.errorRedirect(error, redirectURI, states.count == 1 ? states[0] : nil))
        }
    }

    private func request(
        _ client: ClientDefinition, _ redirectURI: String, isNamed: Bool, _ parameters: FormParameters
    ) throws(OAuthError) -> AuthorizationRequest {
        try parameters.requireOnce(Self.once)
        guard try parameters.one("response_mode") ?? "query" == "query" else {
            throw OAuthError(.invalidRequest, "the only response_mode is query")
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
        _ authorization: AuthorizationRequest, _ state: String?, _ request: Request
    ) throws(OAuthError) -> Response {
        let cookie = server.cookie.value(in: request) ?? BrowserCookie.generate()
        let challenge = LoginChallenge(
            authorization, state: state, browser: BrowserCookie.hash(cookie), now: server.store.clock.now())
        guard let text = try? server.signer.sign(challenge, for: .challenge, with: state),
            let login = server.settings.login
        else { throw OAuthError(.serverError, "there is no sign-in here") }
        // The verdict adds the scope once more, who agreed and when, in base64.
        let verdictBytes = text.utf8.count + (authorization.scope.reduce(560) { $0 + $1.utf8.count + 3 }) * 4 / 3
        guard verdictBytes <= Self.verdictBytesMax else { return SignInPage.refusal(Self.stateTooLong) }
        let address =
            switch login {
            case .application(let url): url
            case .demonstration: server.address(OAuthPath.demonstration)
            }
        var response = Response.seeOther(RedirectAddress.adding([("login_challenge", text)], to: address))
        response.headers[.setCookie] = server.cookie.setCookieField(cookie)
        return response
    }

    /// `GET /oauth2/authorize/resume`: the browser returns from the sign-in with a verdict and is sent to the
    /// application.
    func resume(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        // A HEAD, for example of a link preview, must not use up the sign-in.
        guard request.method == .get else { return Response(status: .methodNotAllowed, headers: [.allow: "GET"]) }
        let texts = FormParameters(request.uri.query ?? "")?.all("verdict") ?? []
        guard texts.count == 1, let verdict = server.verdict(texts[0]), let authorization = verdict.challenge.request
        else {
            return SignInPage.refusal("This address does not come from a sign-in.")
        }
        let challenge = verdict.challenge
        guard !challenge.isExpired(at: server.store.clock.now()) else {
            return SignInPage.refusal("The sign-in took too long. Start again at the application.")
        }
        guard let cookie = server.cookie.value(in: request), BrowserCookie.matches(cookie, challenge.browser) else {
            return SignInPage.refusal("This sign-in was started in another browser. Start again at the application.")
        }
        do throws(OAuthError) {
            if let refusal = verdict.refusal { throw OAuthError(.accessDenied, refusal) }
            guard let decision = verdict.decision else {
                return SignInPage.refusal(
                    "This sign-in was decided by an earlier version. Start again at the application.")
            }
            let code = try await server.issuer.authorize(authorization, by: decision, signIn: challenge.id)
            guard let code else {
                return SignInPage.refusal("This sign-in was already used. Start again at the application.")
            }
            // RFC 9207: the issuer, so that a client of several servers cannot be made to confuse them.
            let parameters: [(name: String, value: String?)] = [
                ("code", code.reveal()), ("state", challenge.state), ("iss", server.settings.issuer),
            ]
            return .seeOther(RedirectAddress.adding(parameters, to: challenge.redirectURI))
        } catch {
            return .seeOther(server.errorRedirect(error, challenge.redirectURI, challenge.state))
        }
    }
}

extension OAuthServer {
    /// The redirect with an error (RFC 6749 §4.1.2.1).
    fileprivate func errorRedirect(_ error: OAuthError, _ redirectURI: String, _ state: String?) -> String {
        RedirectAddress.adding(
            [
                ("error", error.code.rawValue), ("error_description", Self.description(error.reason)), ("state", state),
                ("iss", settings.issuer),
            ], to: redirectURI)
    }

    /// `error_description` (RFC 6749 Appendix A.8): printable ASCII without quote and backslash. The reason may be free
    /// text of an operator.
    private static func description(_ reason: String) -> String {
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

/// The addresses to which a browser is redirected.
private enum RedirectAddress {
    /// Adds the parameters that have a value. The URI may already have a query.
    static func adding(_ parameters: [(name: String, value: String?)], to base: String) -> String {
        var text = base
        for (name, value) in parameters {
            guard let value else { continue }
            let hasQuery = text.contains("?")
            if !hasQuery { text += "?" } else if !text.hasSuffix("?"), !text.hasSuffix("&") { text += "&" }
            text += name + "=" + PercentEncoding.encode(value)
        }
        return text
    }
}
