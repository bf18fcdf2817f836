import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// `/v1/tokens`: tokens of OAuth clients.
struct TokenRoutes: Sendable {
    /// What counts as a token here. Client secrets are revoked through their client.
    static let kinds: Set<CredentialKind> = [.accessToken, .refreshToken, .authorizationCode]

    func list(_ exchange: Exchange) async throws -> Response {
        let name = exchange.query["kind"] ?? CredentialKind.accessToken.name
        guard let kind = Self.kinds.first(where: { $0.name == name }) else {
            let names = Self.kinds.map(\.name).sorted().joined(separator: ", ")
            throw Problem(.badQuery, detail: "'kind' must be one of \(names).", member: "kind")
        }
        return try await CredentialList(issuer: exchange.issuer).answer(exchange, kind: kind)
    }

    func issue(_ exchange: Exchange) async throws -> Response {
        let request = try exchange.decode(TokenRequest.self)
        return try await exchange.once { issuer in
            let issued = try await issuer.issueToken(request)
            return try Self.answer(
                TokenIssued(CredentialResource(issued.summary), accessToken: Secret(issued.secret)))
        } again: { ids in
            guard let id = ids.first, let summary = try await exchange.issuer.credential(id) else {
                throw Problem(.unknownCredential)
            }
            return try Self.answer(TokenIssued(CredentialResource(summary), accessToken: nil))
        }
    }

    private static func answer(_ token: TokenIssued) throws -> Response {
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
        let asked = try exchange.decode(RevocationRequest.self)
        return try .json(
            try await CredentialRevocation(issuer: exchange.issuer, kinds: Self.kinds).revoke(
                asked.ids, chain: asked.chain))
    }
}
