public import CredentialModel
public import CredentialStore
import LMDB

/// The client that sends a request, and how it was authenticated (RFC 6749 §2.3).
///
/// A request is authenticated before it waits for the writer, and the client's secret may be revoked in the meantime.
/// Therefore the flows do not take a client id. They take this and get the client from it inside their transaction, where the
/// secret is read again (`StoreWriter.client(provenBy:in:)`).
public struct ClientProof: Sendable {
    enum Method: Sendable, Equatable {
        /// A client secret, by its id.
        case secret(CredentialID)
        /// A public client cannot be authenticated (RFC 6749 §2.1).
        case none
    }

    public let clientID: String
    let number: UInt32
    let method: Method

    /// A client that presented its secret.
    /// - Parameter secret: the record of the secret, which was verified.
    /// - Returns: nil if the record is not that of a secret of this client.
    public init?(of client: ClientDefinition, secret: CredentialRecord) {
        guard secret.kind == .clientSecret, secret.client == client.number else { return nil }
        (clientID, number, method) = (client.clientID, client.number, .secret(secret.id))
    }

    /// A public client that only sent its client id. Nil for a confidential client.
    public init?(publicClient client: ClientDefinition) {
        guard client.metadata.isPublic else { return nil }
        (clientID, number, method) = (client.clientID, client.number, .none)
    }
}

extension StoreWriter {
    /// The authenticated client of a request, if the secret that it presented is still valid.
    ///
    /// The only way for a flow to get the client of a request. A secret that was revoked, rotated or expired while the request
    /// waited must not produce a token, which would remain valid.
    /// - Throws: `invalid_client`, with the same text as for a request that could not be authenticated.
    func client(
        provenBy proof: ClientProof, in transaction: borrowing WriteTransaction
    ) throws -> ClientDefinition {
        let refusal = OAuthError(.invalidClient, "the client or its secret is unknown")
        guard let client = try client(proof.number, in: transaction), client.revokedAt == nil else { throw refusal }
        switch proof.method {
        case .none:
            guard client.metadata.isPublic else { throw refusal }
        case .secret(let id):
            guard let secret = try credential(id, in: transaction), secret.record.kind == .clientSecret,
                secret.record.client == client.number, try isAlive(secret, in: transaction)
            else { throw refusal }
        }
        return client
    }

    /// A client that is only named by a browser's request and was not authenticated. It may be given nothing but a code, which
    /// is useless without a request of the client itself.
    func client(
        named clientID: String, store: CredentialStore, in transaction: borrowing WriteTransaction
    ) throws -> ClientDefinition {
        guard let known = store.published.clients.client(id: clientID),
            let client = try client(known.number, in: transaction), client.revokedAt == nil
        else { throw OAuthError(.invalidClient, "the client is unknown or revoked") }
        return client
    }
}

extension Issuer {
    /// Issues an access token for the client itself (RFC 6749 §4.4). There is no refresh token, since the client can repeat the
    /// request at any time.
    /// - Throws: `unauthorized_client` for a public client, `invalid_client` for one that was revoked.
    public func clientCredentials(
        of proof: ClientProof, scope: String?, resources: [String]
    ) async throws(OAuthError) -> TokenAnswer {
        // A public client was not authenticated.
        guard proof.method != .none else {
            throw OAuthError(.unauthorizedClient, "a public client has no credentials of its own")
        }
        guard let known = store.published.clients.client(id: proof.clientID) else {
            throw OAuthError(.invalidClient, "the client is unknown or revoked")
        }
        let scope = try GrantSubset.scope(scope, within: known.metadata.scope)
        let grants = try Self.grants(scope, try GrantSubset.resources(resources, within: known.metadata.audience))
        let owner = Array(known.clientID.utf8)
        let seconds = min(policy.accessTokenSecondsDefault, policy.accessTokenSecondsMax)
        let (secret, remaining) = try await flow { store in
            guard let pending = PendingCredential.mint(kind: .accessToken, owner: owner, store: store) else {
                throw MintAgain()
            }
            return try await write(creates: true) { writer, transaction in
                let client = try writer.client(provenBy: proof, in: transaction)
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
            accessToken: secret, expiresInSeconds: remaining ?? seconds, refreshToken: nil, scope: scope)
    }
}
