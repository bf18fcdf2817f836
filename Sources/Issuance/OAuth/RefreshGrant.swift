public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension Issuer {
    /// A request to use a refresh token (RFC 6749 §6).
    public struct Refreshing: Sendable {
        public var client: ClientProof
        public var token: SecretText
        /// The narrower scope of the new access token; nil for all that was granted.
        public var scope: String?
        public var resources: [String]

        public init(client: ClientProof, token: SecretText, scope: String?, resources: [String]) {
            self.client = client
            self.token = token
            self.scope = scope
            self.resources = resources
        }
    }

    /// Issues new tokens and ends the refresh token. If it was used before, it was probably stolen: its whole family is
    /// revoked, access tokens too (RFC 9700 §4.14.2).
    public func refresh(_ refreshing: Refreshing) async throws(OAuthError) -> TokenAnswer {
        let outcome = try await flow { store in
            guard let pending = PendingTokens(store: store) else { throw DrawAgain() }
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
    /// Checks everything before the first write. Nil: the token was used before, and its family is now revoked.
    fileprivate func refresh(
        _ refreshing: Issuer.Refreshing, _ pending: PendingTokens, issuer: Issuer,
        in transaction: borrowing WriteTransaction
    ) throws -> TokenAnswer? {
        let store = issuer.store
        let client = try livingClient(refreshing.client, in: transaction)
        guard let old = try row(ofPresented: refreshing.token, [.refreshToken], store: store, in: transaction),
            old.record.client == client.number
        else { throw OAuthError(.invalidGrant, "the refresh token is unknown, or another client's") }
        guard try !watermarkRevokes(old, in: transaction), now < old.record.expiresAt else {
            throw OAuthError(.invalidGrant, "the refresh token is revoked or expired")
        }
        var lost: StoredCredential?
        if old.record.flags.contains(.revoked) {
            lost = try unusedSuccessor(of: old, leeway: issuer.grantPolicy.reuseLeewaySeconds, in: transaction)
            guard lost != nil else {
                try endFamily(of: old, by: .client(client.clientID), in: transaction)
                return nil
            }
        }
        let share = TokenShare(
            scope: try Asked.scope(refreshing.scope, within: issuer.words(.scopes, old.record.scopes)),
            audience: try Asked.resources(
                refreshing.resources, within: issuer.words(.audiences, old.record.audiences)),
            refreshes: true)
        let answer = try giveTokens(of: old, pending, share, issuer: issuer, in: transaction)
        if let lost { try spend(lost, successor: nil, in: transaction) }
        try spend(old, successor: pending.refresh.credential.record.id, in: transaction)
        return answer
    }

    /// The unused successor of a refresh token that was used just now: the response may have been lost.
    private func unusedSuccessor(
        of old: StoredCredential, leeway: Int64, in transaction: borrowing WriteTransaction
    ) throws -> StoredCredential? {
        guard leeway > 0, let usedAt = old.revokedAt, now <= usedAt.adding(leeway), let id = old.successor,
            let successor = try credential(id, in: transaction), !successor.record.flags.contains(.revoked)
        else { return nil }
        return successor
    }

    /// Inserts the access token and, if the client may have one, the next refresh token of a grant.
    func giveTokens(
        of parent: StoredCredential, _ pending: PendingTokens, _ share: TokenShare, issuer: Issuer,
        in transaction: borrowing WriteTransaction
    ) throws -> TokenAnswer {
        let grantEndsAt = parent.grantEndsAt ?? parent.record.expiresAt
        let seconds = min(issuer.policy.accessTokenSecondsDefault, issuer.policy.accessTokenSecondsMax)
        let token = try pending.access.numbered(by: self, store: issuer.store, in: transaction)
        var access = token.row(owner: parent.owner) { record in
            record.client = parent.record.client
            record.family = parent.record.family
            record.issuedAt = now
            record.expiresAt = now.adding(seconds)
        }
        let grants = try Grants(
            scope: share.scope, audience: share.audience, until: access.record.expiresAt, by: .flow)
        try set(grants, of: &access.record, in: transaction)
        try insertPending(access, in: transaction)
        if share.refreshes {
            var refresh = pending.refresh.row(owner: parent.owner) { record in
                record.client = parent.record.client
                record.family = parent.record.family
                record.issuedAt = now
                record.expiresAt = min(now.adding(issuer.grantPolicy.refreshIdleSeconds), grantEndsAt)
                // All that was granted, even if the access token is narrower.
                record.setGrants(
                    client: parent.record.client, scopes: parent.record.scopes, audiences: parent.record.audiences,
                    networks: 0)
            }
            refresh.grantEndsAt = grantEndsAt
            refresh.predecessor = parent.record.kind == .refreshToken ? parent.record.id : nil
            try insertPending(refresh, in: transaction)
        }
        return TokenAnswer(
            accessToken: token.secret, expiresInSeconds: access.record.expiresAt.seconds(since: now) ?? seconds,
            refreshToken: share.refreshes ? pending.refresh.secret : nil, scope: share.scope)
    }
}

/// What the tokens of one response get of their grant.
struct TokenShare {
    /// Of the access token, which may be narrower than the grant.
    let scope: [String]
    let audience: [String]
    /// Whether there is another refresh token.
    let refreshes: Bool
}
