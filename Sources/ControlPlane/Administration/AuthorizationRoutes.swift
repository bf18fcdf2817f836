import AdministrationAPI
import Hummingbird
import Issuance

/// `/v1/authorizations`: the API for the application that signs people in (as in Ory Hydra).
struct AuthorizationRoutes: Sendable {
    /// Nil: this node serves no authorization endpoint.
    let server: OAuthServer?

    func inspect(_ exchange: Exchange) async throws -> Response {
        let body = try exchange.decode(AuthorizationInspectionRequest.self)
        let server = try served()
        let challenge = try Self.challenge(body.challenge, of: server)
        let client = server.store.published.clients.client(id: challenge.clientID)
        var consented: [String] = []
        if let subject = body.subject {
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
        let body = try exchange.decode(AuthorizationAcceptance.self)
        let server = try served()
        let challenge = try Self.challenge(body.challenge, of: server)
        try Self.naming("sub") { () throws(OAuthError) in try exchange.issuer.requirePerson(body.subject) }
        do {
            let address = try await server.accept(
                body.challenge, subject: body.subject, scope: body.scope?.words ?? challenge.scope,
                remember: body.remember, by: exchange.issuer)
            return try .json(AuthorizationDecided(redirectTo: address))
        } catch let error as OAuthError {
            throw Problem(
                .invalidValue, detail: "\(error.reason).", member: error.code == .invalidScope ? "scope" : nil)
        }
    }

    func reject(_ exchange: Exchange) async throws -> Response {
        let body = try exchange.decode(AuthorizationRejection.self)
        let server = try served()
        do {
            let address = try server.reject(body.challenge, reason: body.reason ?? "the request was refused")
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

    private static func challenge(_ text: String, of server: OAuthServer) throws(Problem) -> LoginChallenge {
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

/// `/v1/consents`: what people have agreed to.
struct ConsentRoutes: Sendable {
    func list(_ exchange: Exchange) async throws -> Response {
        guard let subject = exchange.query["sub"] else {
            throw Problem(.badQuery, detail: "'sub' is required.", member: "sub")
        }
        let consents = try await exchange.issuer.consents(of: subject)
        return try .json(
            ConsentList(
                items: consents.map {
                    ConsentResource(
                        subject: $0.subject, clientID: $0.clientID, clientName: $0.clientName,
                        scope: SpaceSeparated($0.scope), givenAt: $0.givenAt.rawValue)
                }))
    }

    func revoke(_ exchange: Exchange) async throws -> Response {
        guard let subject = exchange.query["sub"], let clientID = exchange.query["client_id"] else {
            throw Problem(.badQuery, detail: "'sub' and 'client_id' are required.")
        }
        guard try await exchange.issuer.revokeConsent(subject: subject, clientID: clientID) else {
            throw Problem(
                .unknownCredential, detail: "There is no consent and no active grant for this subject and client.")
        }
        return Response(status: .noContent)
    }
}
