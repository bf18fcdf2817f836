import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// Issues a client's own token (RFC 6749 §4.4); no refresh token, since the client can ask again.
    public func clientCredentials(
        of proof: ClientProof, scope: String?, resources: [String]
    ) async throws(OAuthError) -> TokenAnswer {
        // Whoever can keep no secret has proved nothing.
        guard proof.method != .none else {
            throw OAuthError(.unauthorizedClient, "a public client has no credentials of its own")
        }
        guard let known = store.published.clients.client(id: proof.clientID) else {
            throw OAuthError(.invalidClient, "the client is unknown or revoked")
        }
        let scope = try Asked.scope(scope, within: known.metadata.scope)
        let grants = try Self.grants(scope, try Asked.resources(resources, within: known.metadata.audience))
        let owner = Array(known.clientID.utf8)
        let seconds = min(policy.accessTokenSecondsDefault, policy.accessTokenSecondsMax)
        let (secret, life) = try await flow { store in
            guard let pending = PendingCredential.mint(kind: .accessToken, owner: owner, store: store) else {
                throw DrawAgain()
            }
            return try await write(creates: true) { writer, transaction in
                let client = try writer.livingClient(proof, in: transaction)
                let pending = try pending.numbered(by: writer, store: store, in: transaction)
                var row = pending.credential
                row.record.client = client.number
                row.record.issuedAt = writer.now
                row.record.expiresAt = writer.now.adding(seconds)
                try writer.set(grants, of: &row.record, in: transaction)
                try writer.insertPending(row, in: transaction)
                return (pending.secret, row.record.expiresAt.seconds(since: writer.now))
            }
        }
        return TokenAnswer(
            accessToken: secret, expiresInSeconds: life ?? seconds, refreshToken: nil, scope: scope)
    }
}
