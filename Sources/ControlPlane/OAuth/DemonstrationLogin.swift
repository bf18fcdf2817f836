import CredentialDigest
import CredentialModel
import HTTPTypes
import Hummingbird
import Issuance

/// A sign-in on which everybody can be anybody, so that the whole flow can be tried in a browser without an application of
/// one's own. It decides through the same doors as an operator's.
struct DemonstrationLogin: Sendable {
    let server: OAuthServer

    func show(_ request: Request, _ context: ControlPlaneContext) async throws -> Response {
        let texts = FormParameters(request.uri.query ?? "")?.all("login_challenge") ?? []
        guard texts.count == 1 else { return Page.refusal("A sign-in begins at an application.") }
        do throws(OAuthError) {
            let challenge = try server.challenge(texts[0])
            guard let cookie = server.browsers.cookie(of: request), Browsers.isSame(cookie, challenge.browser) else {
                throw OAuthError(.invalidRequest, "this sign-in was begun in another browser")
            }
            return page(challenge, texts[0], cookie)
        } catch {
            return Page.refusal(error.reason)
        }
    }

    /// What the page of sign-in.html fills in.
    enum Gap: String, CaseIterable {
        case style, application, challenge, form, scopes
    }

    /// What scope.html fills in: a box to tick for each scope that is asked for.
    enum ScopeGap: String, CaseIterable {
        case scope
    }

    static let template = HTMLTemplate<Gap>(EmbeddedFile.signInHTML.text)
    static let scopeTemplate = HTMLTemplate<ScopeGap>(EmbeddedFile.signInScopeHTML.text)

    private func page(_ challenge: Challenge, _ text: String, _ cookie: String) -> Response {
        let name = server.store.published.clients.client(id: challenge.clientID)?.metadata.name ?? challenge.clientID
        let html = Self.template.filled { gap in
            switch gap {
            case .style: Page.style
            case .application: HTML(escaping: name)
            case .challenge: HTML(escaping: text)
            case .form: HTML(escaping: token(text, cookie))
            case .scopes: Self.boxes(challenge.scope)
            }
        }
        return Page.response(
            html, formTargets: ["'self'", Self.origin(of: challenge.redirectURI)].compactMap { $0 })
    }

    private static func boxes(_ scopes: [String]) -> HTML {
        if scopes.isEmpty { return HTML(escaping: "nothing in particular") }
        return HTML(
            joining: scopes.map { scope in
                scopeTemplate.filled { gap in
                    switch gap {
                    case .scope: HTML(escaping: scope)
                    }
                }
            })
    }

    /// What shows that a form was sent from the page that was shown to this browser.
    private func token(_ challenge: String, _ cookie: String) -> String {
        Base64URL.encode(server.seal.code(Array((cookie + " " + challenge).utf8), .form))
    }

    func decide(_ parameters: FormParameters, _ request: Request) async -> Response {
        do {
            let text = try parameters.required("login_challenge")
            guard let cookie = server.browsers.cookie(of: request),
                let given = try parameters.one("form").map({ Array($0.utf8) }),
                ConstantTime.equal(given.octets, Array(token(text, cookie).utf8).octets)
            else { return Page.refusal("The form was not sent from the page that was shown to this browser.") }
            guard try parameters.one("decision") == "allow" else {
                return .seeOther(try server.reject(text, reason: "the person did not agree"))
            }
            guard let subject = try parameters.one("subject") else { return Page.refusal("Say who you are.") }
            return .seeOther(
                try await server.accept(
                    text, subject: subject, scope: parameters.all("grant"), remember: true, by: server.issuer))
        } catch let error as OAuthError {
            return Page.refusal(error.reason)
        } catch IssuanceError.invalid(field: "sub", let reason) {
            // As the form spells it.
            return Page.refusal("'Who you are' \(reason).")
        } catch let error as IssuanceError {
            return Page.refusal(error.message)
        } catch {
            return Page.refusal("The server failed.")
        }
    }

    /// Scheme, host and port: where the form's redirects end. A scheme of an application's own stands alone.
    private static func origin(of uri: String) -> String? {
        guard let colon = uri.firstIndex(of: ":") else { return nil }
        let scheme = uri[..<colon]
        guard scheme == "http" || scheme == "https" else { return scheme + ":" }
        let rest = uri[colon...].dropFirst(3)
        return scheme + "://" + rest.prefix { $0 != "/" && $0 != "?" }
    }
}
