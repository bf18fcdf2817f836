import CredentialModel
import CredentialStore

/// A request for a new access token.
public struct TokenRequest: Sendable, Equatable {
    public var clientID: String
    /// On whose behalf; nil for the client itself.
    public var subject: String?
    /// Empty for everything for which the client is registered.
    public var scope: [String]
    /// Empty for everything for which the client is registered.
    public var audience: [String]
    public var expiresInSeconds: Int64?

    public init(
        clientID: String, subject: String? = nil, scope: [String] = [], audience: [String] = [],
        expiresInSeconds: Int64? = nil
    ) {
        self.clientID = clientID
        self.subject = subject
        self.scope = scope
        self.audience = audience
        self.expiresInSeconds = expiresInSeconds
    }
}

extension Issuer {
    /// Issues a bearer access token by administration, limited to what its client is registered for.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a revoked client, ``IssuanceError/invalid(field:reason:)`` for a scope
    ///   that it may not request.
    public func issueToken(_ request: TokenRequest) async throws(IssuanceError) -> IssuedCredential {
        let now = store.clock.now()
        let seconds = try policy.accessTokenSeconds(asked: request.expiresInSeconds, at: now)
        guard let client = store.published.clients.client(id: request.clientID) else { throw .unknownClient }
        // Its tokens may be taken for the client itself, with its rights.
        try authority.requireMayGrant(client.rights.map { ScopeSet.rightPrefix + $0 })
        let subject = try RequestText.owner(request.subject ?? client.clientID, field: "sub")
        for scope in request.scope where !client.scope.contains(scope) {
            throw .invalid(field: "scope", reason: "the client is not registered for every scope that is asked for")
        }
        for audience in request.audience
        where !client.audience.isEmpty && !client.audience.contains(where: { ResourceURI.areSame($0, audience) }) {
            throw .invalid(
                field: "aud", reason: "the client is not registered for every audience that is asked for")
        }
        let grants = try Grants(
            scope: request.scope.isEmpty ? client.scope : request.scope,
            audience: request.audience.isEmpty ? client.audience : request.audience, networks: [],
            until: now.adding(seconds), by: authority)
        let deed = AuditDeed(
            .tokenIssued, clientID: client.clientID, owner: String(decoding: subject, as: UTF8.self))
        let issued = try await issue(kind: .accessToken, owner: subject, name: nil, as: deed) {
            writer, transaction, record in
            // Read inside the mutation: a client that was revoked while this waited, or earlier in the same commit, gets no
            // token.
            guard let client = try writer.client(client.number, in: transaction), client.revokedAt == nil else {
                throw IssuanceError.gone(reason: "the client is revoked")
            }
            record.client = client.number
            record.issuedAt = writer.now
            record.expiresAt = writer.now.adding(seconds)
            try writer.set(grants, of: &record, in: transaction)
        }
        guard let token = issued.first else { throw .unavailable(reason: "no token was made") }
        return token
    }
}
