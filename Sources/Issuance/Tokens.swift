public import CredentialModel
import CredentialStore

extension Issuer {
    /// Issues a bearer access token at an administrator's request, within the client's registered scopes and audiences.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a revoked client, ``IssuanceError/invalid(field:reason:)`` for a scope or
    ///   an audience that is not registered.
    public func issueToken(_ request: TokenRequest) async throws(IssuanceError) -> IssuedCredential {
        let now = store.clock.now()
        let seconds = try policy.accessTokenSeconds(requested: request.expiresInSeconds, at: now)
        guard let client = store.published.clients.client(id: request.clientID) else { throw .unknownClient }
        let registered = client.metadata
        // A resource server may take the client's token for the client itself, with the client's rights.
        try authority.requireMayGrant(registered.rights.map { ScopeSet.rightPrefix + $0 })
        let subject = try RequestText.owner(request.subject ?? client.clientID, field: "sub")
        for scope in request.scope where !registered.scope.contains(scope) {
            throw .invalid(field: "scope", reason: "the client is not registered for every requested scope")
        }
        for audience in request.audience
        where !registered.audience.isEmpty
            && !registered.audience.contains(where: { ResourceURI.areSame($0, audience) })
        {
            throw .invalid(
                field: "aud", reason: "the client is not registered for every requested audience")
        }
        let grants = try Grants(
            scope: request.scope.isEmpty ? registered.scope : request.scope,
            audience: request.audience.isEmpty ? registered.audience : request.audience, until: now.adding(seconds),
            by: authority)
        let action = AuditedAction(
            .tokenIssued, clientID: client.clientID, owner: String(decoding: subject, as: UTF8.self))
        let issued = try await issue(.accessToken, owner: subject, as: action) { writer, transaction, row in
            // Read inside the mutation: a client that was revoked while the request waited, or earlier in the same commit,
            // gets no token.
            guard let client = try writer.client(client.number, in: transaction), client.revokedAt == nil else {
                throw IssuanceError.gone(reason: "the client is revoked")
            }
            row.record.client = client.number
            row.record.issuedAt = writer.now
            row.record.expiresAt = writer.now.adding(seconds)
            try writer.set(grants, of: &row.record, in: transaction)
        }
        guard let token = issued.first else { throw .unavailable(reason: "no token was created") }
        return token
    }
}
