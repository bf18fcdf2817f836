import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// `/v1/clients`: OAuth clients and their secrets.
struct ClientRoutes: Sendable {
    func list(_ exchange: Exchange) async throws -> Response {
        let page = try await exchange.issuer.clients(
            search: exchange.query["search"], after: exchange.query["after"], limit: try exchange.query.pageLimit())
        return try .json(PageResource(items: page.items.map { ClientResource($0) }, next: page.next))
    }

    func create(_ exchange: Exchange) async throws -> Response {
        let request = try exchange.decode(ClientRequest.self)
        return try await exchange.once { issuer in
            try Self.answer(try await issuer.createClient(request))
        } again: { ids in
            guard let id = ids.first else { throw Problem(.internalError) }
            return try Self.answer(try await client(id.description, exchange))
        }
    }

    func show(_ exchange: Exchange) async throws -> Response {
        try .json(ClientResource(try await client(try exchange.parameter("client_id"), exchange)))
    }

    func rotateSecret(_ exchange: Exchange) async throws -> Response {
        let overlapSeconds = try exchange.decode(RotationRequest.self).checkedOverlap()
        let clientID = try await client(try exchange.parameter("client_id"), exchange).clientID
        return try await exchange.once { issuer in
            try Self.answer(try await issuer.rotateClientSecret(clientID, overlapSeconds: overlapSeconds))
        } again: { _ in
            try Self.answer(try await client(clientID, exchange))
        }
    }

    func revoke(_ exchange: Exchange) async throws -> Response {
        let report = try await exchange.issuer.revokeClient(try exchange.parameter("client_id"))
        return try .json(try await BulkRevocationResult(report, exchange))
    }

    func revokeCredentials(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(BulkRevocationRequest.self)
        let issuedBefore = try UnixSeconds.from(asked.issuedBefore, member: "issued_before")
        let clientID = try exchange.parameter("client_id")
        let report = try await exchange.issuer.revokeClientCredentials(clientID, issuedBefore: issuedBefore)
        return try .json(try await BulkRevocationResult(report, exchange))
    }

    private func client(_ clientID: String, _ exchange: Exchange) async throws -> ClientSummary {
        guard let summary = try await exchange.issuer.client(clientID) else { throw Problem(.unknownClient) }
        return summary
    }

    private static func answer(_ issued: IssuedClient) throws -> Response {
        try answer(ClientIssued(client: ClientResource(issued.summary), clientSecret: issued.secret.map { Secret($0) }))
    }

    /// To a repeated request.
    private static func answer(_ client: ClientSummary) throws -> Response {
        try answer(ClientIssued(client: ClientResource(client), clientSecret: nil))
    }

    private static func answer(_ issued: ClientIssued) throws -> Response {
        try .json(issued, status: .created, location: "/v1/clients/\(issued.client.clientID)")
    }
}
