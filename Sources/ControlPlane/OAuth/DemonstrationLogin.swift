import CredentialDigest
import CredentialModel
import HTTPTypes
import Hummingbird
import Issuance

/// A sign-in page on which anybody can sign in as anybody, for trying the whole flow in a browser without an
/// application. It decides with the same functions as an operator's application.
struct DemonstrationLogin: Sendable {
    let server: OAuthServer

    func show(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        let texts = FormParameters(request.uri.query ?? "")?.all("login_challenge") ?? []
        guard texts.count == 1 else { return SignInPage.refusal("A sign-in starts at an application.") }
        do throws(OAuthError) {
            let challenge = try server.challenge(texts[0])
            guard let cookie = server.cookie.value(in: request), BrowserCookie.matches(cookie, challenge.browser) else {
                throw OAuthError(.invalidRequest, "this sign-in was started in another browser")
            }
            return page(challenge, texts[0], cookie)
        } catch {
            return SignInPage.refusal(error.reason)
        }
    }

    /// The placeholders of sign-in.html.
    enum Placeholder: String, CaseIterable {
        case style, application, challenge, form, scopes
    }

    /// The placeholders of scope.html: a checkbox for each requested scope.
    enum ScopePlaceholder: String, CaseIterable {
        case scope
    }

    static let template = HTMLTemplate<Placeholder>(EmbeddedFile.signInHTML.text)
    static let scopeTemplate = HTMLTemplate<ScopePlaceholder>(EmbeddedFile.signInScopeHTML.text)

    private func page(_ challenge: LoginChallenge, _ text: String, _ cookie: String) -> Response {
        let name = server.store.published.clients.client(id: challenge.clientID)?.metadata.name ?? challenge.clientID
        let html = Self.template.rendered { placeholder in
            switch placeholder {
            case .style: SignInPage.style
            case .application: HTML(escaping: name)
            case .challenge: HTML(escaping: text)
            case .form: HTML(escaping: formToken(text, cookie))
            case .scopes: Self.checkboxes(challenge.scope)
            }
        }
        return SignInPage.response(
            html, formTargets: ["'self'", Self.origin(of: challenge.redirectURI)].compactMap { $0 })
    }

    private static func checkboxes(_ scopes: [String]) -> HTML {
        if scopes.isEmpty { return HTML(escaping: "nothing in particular") }
        return HTML(
            joining: scopes.map { scope in
                scopeTemplate.rendered { placeholder in
                    switch placeholder {
                    case .scope: HTML(escaping: scope)
                    }
                }
            })
    }

    /// The anti-CSRF token of the form: proves that it was sent from the page that this browser was shown.
    private func formToken(_ challenge: String, _ cookie: String) -> String {
        Base64URL.encode(server.signer.authenticationCode(of: Array((cookie + " " + challenge).utf8), for: .form))
    }

    func decide(_ parameters: FormParameters, _ request: Request) async -> Response {
        do {
            let text = try parameters.required("login_challenge")
            guard let cookie = server.cookie.value(in: request),
                let given = try parameters.one("form").map({ Array($0.utf8) }),
                ConstantTime.equal(given.octets, Array(formToken(text, cookie).utf8).octets)
            else { return SignInPage.refusal("The form was not sent from the page that this browser was shown.") }
            guard try parameters.one("decision") == "allow" else {
                return .seeOther(try server.reject(text, reason: "the person did not agree"))
            }
            guard let subject = try parameters.one("subject") else { return SignInPage.refusal("Say who you are.") }
            return .seeOther(
                try await server.accept(
                    text, subject: subject, scope: parameters.all("grant"), remember: true, by: server.issuer))
        } catch let error as OAuthError {
            return SignInPage.refusal(error.reason)
        } catch IssuanceError.invalid(field: "sub", let reason) {
            // With the label of the form.
            return SignInPage.refusal("'Who you are' \(reason).")
        } catch let error as IssuanceError {
            return SignInPage.refusal(error.message)
        } catch {
            return SignInPage.refusal("The server failed.")
        }
    }

    /// Scheme, host and port, where the form's redirects end; the scheme alone for a private-use scheme (RFC 8252
    /// §7.1).
    private static func origin(of uri: String) -> String? {
        guard let colon = uri.firstIndex(of: ":") else { return nil }
        let scheme = uri[..<colon]
        guard scheme == "http" || scheme == "https" else { return scheme + ":" }
        let rest = uri[colon...].dropFirst(3)
        return scheme + "://" + rest.prefix { $0 != "/" && $0 != "?" }
    }
}
