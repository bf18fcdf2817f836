import AdministrationAPI
import Hummingbird
import Issuance

/// `/v1/authorizations`: the doors of the application that signs people in (the way Ory Hydra does it).
struct AuthorizationRoutes: Sendable {
    /// Nil: this node serves no authorization endpoint.
    let server: OAuthServer?

    func inspect(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(AuthorizationInspectionRequest.self)
        let server = try served()
        let challenge = try Self.challenge(asked.challenge, of: server)
        let client = server.store.published.clients.client(id: challenge.clientID)
        var consented: [String] = []
        if let subject = asked.subject {
            consented =
                try await server.issuer.consents(of: subject)
                .first { $0.clientID == challenge.clientID }?.scope ?? []
        }
        var inspection = AuthorizationInspection()
        inspection.clientID = challenge.clientID
        inspection.clientName = client?.metadata.name ?? ""
        inspection.scope = SpaceSeparated(challenge.scope)
        inspection.audience = challenge.audience
        inspection.redirectURI = challenge.redirectURI
        inspection.expiresAt = challenge.endsAt
        inspection.consentedScope = SpaceSeparated(consented)
        return try .json(inspection)
    }

    func accept(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(AuthorizationAcceptance.self)
        let server = try served()
        let challenge = try Self.challenge(asked.challenge, of: server)
        try Self.naming("sub") { () throws(OAuthError) in try exchange.issuer.requirePerson(asked.subject) }
        do {
            let address = try await server.accept(
                asked.challenge, subject: asked.subject, scope: asked.scope?.words ?? challenge.scope,
                remember: asked.remember, by: exchange.issuer)
            return try .json(AuthorizationDecided(redirectTo: address))
        } catch let error as OAuthError {
            throw Problem(
                .invalidValue, detail: "\(error.reason).", member: error.code == .invalidScope ? "scope" : nil)
        }
    }

    func reject(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(AuthorizationRejection.self)
        let server = try served()
        do {
            let address = try server.reject(asked.challenge, reason: asked.reason ?? "the request was refused")
            return try .json(AuthorizationDecided(redirectTo: address))
        } catch let error as OAuthError {
            throw Problem(.invalidValue, detail: "\(error.reason).", member: "login_challenge")
        }
    }

    private func served() throws(Problem) -> OAuthServer {
        guard let server else {
            throw Problem(
                .conflict, detail: "This node serves no authorization endpoint: name an issuer in its settings.")
        }
        return server
    }

    private static func challenge(_ text: String, of server: OAuthServer) throws(Problem) -> Challenge {
        try naming("login_challenge") { () throws(OAuthError) in try server.challenge(text) }
    }

    private static func naming<Value>(
        _ member: String, _ body: () throws(OAuthError) -> Value
    ) throws(Problem) -> Value {
        do throws(OAuthError) {
            return try body()
        } catch {
            throw Problem(.invalidValue, detail: "\(error.reason).", member: member)
        }
    }
}
