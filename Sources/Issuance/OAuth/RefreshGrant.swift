public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension Issuer {
    /// A request to use a refresh token (RFC 6749 §6).
    public struct Refreshing: Sendable {
        public var client: ClientProof
        public var token: SecretText
        /// The scope of the new access token; nil for everything that was granted.
        public var scope: String?
        public var resources: [String]

        public init(client: ClientProof, token: SecretText, scope: String?, resources: [String]) {
            self.client = client
            self.token = token
            self.scope = scope
            self.resources = resources
        }
    }

    /// Issues new tokens and ends the refresh token. If the token was used before, it was probably stolen: its whole family is
    /// revoked, including access tokens (RFC 9700 §4.14.2).
    /// - Throws: `invalid_grant` for a token that is unknown, expired, revoked or used before; `invalid_scope` and
    ///   `invalid_target` for more than was granted; `invalid_client` for a client that was revoked.
    public func refresh(_ refreshing: Refreshing) async throws(OAuthError) -> TokenAnswer {
        let outcome = try await flow { store in
            guard let pending = PendingTokens(store: store) else { throw MintAgain() }
            return try await write(creates: true) { [self] writer, transaction in
                try writer.refresh(refreshing, pending, issuer: self, in: transaction)
            }
        }
        guard let outcome else {
            throw OAuthError(
                .invalidGrant, "the refresh token was used before: its whole family is revoked", isReuse: true)
        }
        return outcome
    }
}

extension StoreWriter {
    /// All checks come before the first write.
    /// - Returns: nil if the token was used before; its family is then revoked.
    fileprivate func refresh(
        _ refreshing: Issuer.Refreshing, _ pending: PendingTokens, issuer: Issuer,
        in transaction: borrowing WriteTransaction
    ) throws -> TokenAnswer? {
        let store = issuer.store
        let client = try client(provenBy: refreshing.client, in: transaction)
        guard let old = try row(ofPresented: refreshing.token, [.refreshToken], store: store, in: transaction),
            old.record.client == client.number
        else { throw OAuthError.unknownOrForeign }
        guard try !watermarkRevokes(old, in: transaction), now < old.record.expiresAt else {
            throw OAuthError(.invalidGrant, "the refresh token is revoked or expired")
        }
        // The successor of a token that is used again within the leeway. The client never received it.
        var undelivered: StoredCredential?
        if old.record.flags.contains(.revoked) {
            undelivered = try unusedSuccessor(of: old, leeway: issuer.grantPolicy.reuseLeewaySeconds, in: transaction)
            guard undelivered != nil else {
                try endFamily(of: old, by: .client(client.clientID), in: transaction)
                return nil
            }
        }
        let contents = TokenContents(
            scope: try GrantSubset.scope(refreshing.scope, within: words(.scopes, old.record.scopes)),
            audience: try GrantSubset.resources(
                refreshing.resources, within: words(.audiences, old.record.audiences)),
            hasRefreshToken: true)
        let answer = try issueTokens(for: old, pending, contents, issuer: issuer, in: transaction)
        if let undelivered { try spend(undelivered, successor: nil, in: transaction) }
        try spend(old, successor: pending.refresh.credential.record.id, in: transaction)
        return answer
    }

    /// The successor of a refresh token, if the token was used within the leeway and the successor was not used yet: the client
    /// may have lost the response.
    private func unusedSuccessor(
        of old: StoredCredential, leeway: Int64, in transaction: borrowing WriteTransaction
    ) throws -> StoredCredential? {
        guard leeway > 0, let usedAt = old.revokedAt, now <= usedAt.adding(leeway), let id = old.successor,
            let successor = try credential(id, in: transaction), !successor.record.flags.contains(.revoked)
        else { return nil }
        return successor
    }
}
