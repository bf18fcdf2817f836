import AdministrationAPI
import Hummingbird
import Issuance

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
            throw Problem(.unknownCredential, detail: "There is no consent and no living grant of these two.")
        }
        return Response(status: .noContent)
    }
}
