import CredentialDigest
public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension Issuer {
    /// Runs a mutation of a flow; starts again if an id or the pepper cannot be used.
    func flow<Value: Sendable>(_ body: (CredentialStore) async throws -> Value) async throws(OAuthError) -> Value {
        while true {
            do {
                return try await body(store)
            } catch is MintAgain {
                continue
            } catch {
                throw OAuthError(error)
            }
        }
    }

    /// A checked scope and audience without any right over this service.
    static func grants(_ scope: [String], _ audience: [String]) throws(OAuthError) -> Grants {
        do throws(IssuanceError) {
            return try Grants(scope: scope, audience: audience, until: .never, by: .flow)
        } catch {
            throw OAuthError(.invalidScope, error.message)
        }
    }
}

/// The response of the token endpoint (RFC 6749 §5.1).
public struct TokenAnswer: Sendable {
    public let accessToken: SecretText
    public let expiresInSeconds: Int64
    public let refreshToken: SecretText?
    public let scope: [String]
}

/// The new credentials of one response, generated before the transaction that inserts them.
struct PendingTokens: Sendable {
    let access: PendingCredential
    let refresh: PendingCredential

    /// Nil when one could not be generated: try again.
    init?(store: CredentialStore, owner: [UInt8] = []) {
        guard let access = PendingCredential.mint(kind: .accessToken, owner: owner, store: store),
            let refresh = PendingCredential.mint(kind: .refreshToken, owner: owner, store: store)
        else { return nil }
        self.access = access
        self.refresh = refresh
    }
}

extension PendingCredential {
    /// A row for this credential with another owner.
    /// - Parameter fill: sets the remaining members of the record.
    func row(owner: [UInt8], _ fill: (inout CredentialRecord) throws -> Void) rethrows -> StoredCredential {
        var record = credential.record
        try fill(&record)
        return StoredCredential(record: record, owner: owner, name: nil)
    }
}

/// The scope and audience of the new access token, which may be narrower than the grant.
struct TokenContents {
    let scope: [String]
    let audience: [String]
    /// Whether the response also has a refresh token.
    let hasRefreshToken: Bool
}

extension StoreWriter {
    /// Inserts the access token and, if the client may have one, the next refresh token of a grant.
    /// - Parameter parent: the code or the refresh token that was presented.
    func issueTokens(
        for parent: StoredCredential, _ pending: PendingTokens, _ contents: TokenContents, issuer: Issuer,
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
            scope: contents.scope, audience: contents.audience, until: access.record.expiresAt, by: .flow)
        try set(grants, of: &access.record, in: transaction)
        try insertPending(access, in: transaction)
        if contents.hasRefreshToken {
            var refresh = pending.refresh.row(owner: parent.owner) { record in
                record.client = parent.record.client
                record.family = parent.record.family
                record.issuedAt = now
                record.expiresAt = min(now.adding(issuer.grantPolicy.refreshIdleSeconds), grantEndsAt)
                // Everything that was granted, even if the access token has less.
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
            refreshToken: contents.hasRefreshToken ? pending.refresh.secret : nil, scope: contents.scope)
    }
}

extension StoreWriter {
    /// The row of a presented native credential, valid or not; nil if it is not one of these kinds or its secret is wrong.
    ///
    /// Read in the transaction that uses it: if two requests present the same code, the second one sees that it was used.
    func row(
        ofPresented text: SecretText, _ kinds: Set<CredentialKind>, store: CredentialStore,
        in transaction: borrowing WriteTransaction
    ) throws -> StoredCredential? {
        let bytes = text.revealBytes()
        guard let native = NativeCredential(bytes.octets, vendor: store.vendor), kinds.contains(native.kind),
            let row = try credential(native.id, in: transaction), row.record.kind == native.kind,
            let pepper = store.peppers.place(of: row.record.pepper),
            ConstantTime.equal(store.peppers.tag(of: native.block, at: pepper), row.record.tag)
        else { return nil }
        return row
    }

    /// Marks a code or a refresh token as used. The row is kept until its grant ends, so that a second use is detected.
    /// - Parameter end: when the grant ends; nil for the end that was set when it began.
    func spend(
        _ old: StoredCredential, successor: CredentialID?, endsAt end: UnixSeconds? = nil,
        in transaction: borrowing WriteTransaction
    ) throws {
        var spent = old
        spent.record.flags.insert(.revoked)
        spent.record.expiresAt = max(old.record.expiresAt, end ?? old.grantEndsAt ?? .always)
        spent.revokedAt = old.revokedAt ?? now
        spent.successor = successor ?? old.successor
        try replace(old, by: spent, event: .redeemed, in: transaction)
    }

    /// Revokes everything that was issued to the family of a code or token so far.
    func endFamily(of row: StoredCredential, by actor: AuditActor, in transaction: borrowing WriteTransaction) throws {
        guard row.record.family != 0, try !watermarkRevokes(row, in: transaction) else { return }
        _ = try raiseWatermark(of: .family(row.record.family), issuedBefore: nil, in: transaction)
        try audit(AuditedAction(.familyRevoked, credentials: [row.record.id]), by: actor, in: transaction)
    }
}
