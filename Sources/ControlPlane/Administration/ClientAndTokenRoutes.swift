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
        return try await exchange.idempotent { issuer in
            try Self.created(try await issuer.createClient(request))
        } replay: { ids in
            guard let id = ids.first else { throw Problem(.internalError) }
            return try Self.created(try await client(id.description, exchange))
        }
    }

    func show(_ exchange: Exchange) async throws -> Response {
        try .json(ClientResource(try await client(try exchange.parameter("client_id"), exchange)))
    }

    func rotateSecret(_ exchange: Exchange) async throws -> Response {
        let overlapSeconds = try exchange.decode(RotationRequest.self).checkedOverlap()
        let clientID = try await client(try exchange.parameter("client_id"), exchange).clientID
        return try await exchange.idempotent { issuer in
            try Self.created(try await issuer.rotateClientSecret(clientID, overlapSeconds: overlapSeconds))
        } replay: { _ in
            try Self.created(try await client(clientID, exchange))
        }
    }

    func revoke(_ exchange: Exchange) async throws -> Response {
        let report = try await exchange.issuer.revokeClient(try exchange.parameter("client_id"))
        return try .json(try await BulkRevocationResult(report, exchange))
    }

    func revokeCredentials(_ exchange: Exchange) async throws -> Response {
        let request = try exchange.decode(BulkRevocationRequest.self)
        let issuedBefore = try UnixSeconds.from(request.issuedBefore, member: "issued_before")
        let clientID = try exchange.parameter("client_id")
        let report = try await exchange.issuer.revokeClientCredentials(clientID, issuedBefore: issuedBefore)
        return try .json(try await BulkRevocationResult(report, exchange))
    }

    private func client(_ clientID: String, _ exchange: Exchange) async throws -> ClientSummary {
        guard let summary = try await exchange.issuer.client(clientID) else { throw Problem(.unknownClient) }
        return summary
    }

    private static func created(_ issued: IssuedClient) throws -> Response {
        try created(
            ClientIssued(client: ClientResource(issued.summary), clientSecret: issued.secret.map { Secret($0) }))
    }

    /// The response to a repeated request, without the secret.
    private static func created(_ client: ClientSummary) throws -> Response {
        try created(ClientIssued(client: ClientResource(client), clientSecret: nil))
    }

    private static func created(_ issued: ClientIssued) throws -> Response {
        try .json(issued, status: .created, location: "/v1/clients/\(issued.client.clientID)")
    }
}

/// `/v1/tokens`: tokens of OAuth clients.
struct TokenRoutes: Sendable {
    /// The kinds that count as tokens here. Client secrets are revoked with their client.
    static let kinds: Set<CredentialKind> = [.accessToken, .refreshToken, .authorizationCode]

    func list(_ exchange: Exchange) async throws -> Response {
        let name = exchange.query["kind"] ?? CredentialKind.accessToken.name
        guard let kind = Self.kinds.first(where: { $0.name == name }) else {
            let names = Self.kinds.map(\.name).sorted().joined(separator: ", ")
            throw Problem(.badQuery, detail: "'kind' must be one of \(names).", member: "kind")
        }
        return try await exchange.credentialList(kind: kind)
    }

    func issue(_ exchange: Exchange) async throws -> Response {
        let request = try exchange.decode(TokenRequest.self)
        return try await exchange.idempotent { issuer in
            let issued = try await issuer.issueToken(request)
            return try Self.created(
                TokenIssued(CredentialResource(issued.summary), accessToken: Secret(issued.secret)))
        } replay: { ids in
            guard let id = ids.first, let summary = try await exchange.issuer.credential(id) else {
                throw Problem(.unknownCredential)
            }
            return try Self.created(TokenIssued(CredentialResource(summary), accessToken: nil))
        }
    }

    private static func created(_ token: TokenIssued) throws -> Response {
        try .json(token, status: .created, location: "/v1/tokens/\(token.id)")
    }

    func show(_ exchange: Exchange) async throws -> Response {
        guard let summary = try await exchange.issuer.credential(try exchange.credentialID()),
            Self.kinds.contains(summary.kind)
        else { throw Problem(.unknownCredential) }
        return try .json(CredentialResource(summary))
    }

    func revoke(_ exchange: Exchange) async throws -> Response {
        let id = try exchange.credentialID().description
        let result = try await CredentialRevocation(issuer: exchange.issuer, kinds: Self.kinds).revoke(
            [id], chain: false)
        guard result.unknown.isEmpty else { throw Problem(.unknownCredential) }
        return try .json(result)
    }

    func revokeMany(_ exchange: Exchange) async throws -> Response {
        let revocation = try exchange.decode(RevocationRequest.self)
        return try .json(
            try await CredentialRevocation(issuer: exchange.issuer, kinds: Self.kinds).revoke(
                revocation.ids, chain: revocation.chain))
    }
}

/// `/v1/owners/{owner}/revocations`: revokes everything that was issued to one owner.
struct OwnerRoutes: Sendable {
    func revoke(_ exchange: Exchange) async throws -> Response {
        let request = try exchange.decode(BulkRevocationRequest.self)
        let issuedBefore = try UnixSeconds.from(request.issuedBefore, member: "issued_before")
        let owner = try exchange.parameter("owner")
        // A mistyped owner must not look like one whose keys are revoked now.
        try await exchange.issuer.requireOwner(owner)
        let revocation = try await exchange.issuer.revokeOwner(owner, issuedBefore: issuedBefore)
        return try .json(try await BulkRevocationResult(revocation, exchange))
    }
}
