public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension Issuer {
    /// Issues the code that answers an authorization request (RFC 6749 §4.1.2), for what the person has agreed to.
    ///
    /// - Parameters:
    ///   - decision: who agreed to what, within the request.
    ///   - signIn: identifies the sign-in that decided. The transaction that stores the code also uses it up, so that no
    ///     crash can allow a second code.
    /// - Returns: nil when the sign-in has already produced a code.
    /// - Throws: ``OAuthError``; `access_denied` when what the decision relied on was revoked since, or the store was
    ///   restored.
    public func authorize(
        _ request: AuthorizationRequest, by decision: SignInDecision, signIn: String
    ) async throws(OAuthError) -> SecretText? {
        let (subject, scope) = (decision.subject, decision.scope)
        let owner: [UInt8]
        do throws(IssuanceError) {
            owner = try RequestText.owner(subject, field: "sub")
        } catch {
            throw OAuthError(.serverError, error.message)
        }
        try requirePerson(subject)
        guard scope.allSatisfy(request.scope.contains) else {
            throw OAuthError(.invalidScope, "more is granted than was asked for")
        }
        let grants = try Self.grants(scope, request.audience)
        // Kept for much longer than a sign-in may take: see RepeatableRequest.keepSeconds.
        let once = RepeatableRequest(
            caller: "sign-in", name: signIn, content: Array(signIn.utf8), lookup: store.lookup)
        return try await flow { store in
            guard let pending = PendingCredential.mint(kind: .authorizationCode, owner: owner, store: store) else {
                throw DrawAgain()
            }
            let isNew = try await write(creates: true) { [grantPolicy] writer, transaction in
                do {
                    try writer.requireNew(once, in: transaction)
                } catch is RepeatedRequest {
                    return false
                }
                let client = try writer.namedClient(request.clientID, store: store, in: transaction)
                try writer.requireStanding(decision, of: owner, for: client.number, store: store, in: transaction)
                var row = pending.credential
                row.record.client = client.number
                row.record.family = writer.nextJournalNumber
                row.record.issuedAt = writer.now
                row.record.expiresAt = writer.now.adding(grantPolicy.codeSeconds)
                row.redirectURI = request.namesRedirectURI ? request.redirectURI : nil
                row.codeChallenge = request.challenge.digest
                row.grantEndsAt = writer.now.adding(grantPolicy.refreshAbsoluteSeconds)
                try writer.set(grants, of: &row.record, in: transaction)
                try writer.insertPending(row, in: transaction)
                try writer.remember(once, made: [row.record.id], in: transaction)
                return true
            }
            return isNew ? pending.secret : nil
        }
    }

    /// - Throws: `invalid_request` for a subject that is the id of a client. A token in its name could be taken for the
    ///   client itself, with its rights (RFC 9700 §4.15).
    public func requirePerson(_ subject: String) throws(OAuthError) {
        guard store.published.clients.client(id: subject) == nil else {
            throw OAuthError(.invalidRequest, "the subject is the id of a client: nobody signs in as one")
        }
    }

    /// A request to redeem a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
    public struct CodeRedemption: Sendable {
        public var client: ClientProof
        public var code: SecretText
        public var redirectURI: String?
        public var verifier: String?
        public var resources: [String]

        public init(client: ClientProof, code: SecretText, redirectURI: String?, verifier: String?, resources: [String])
        {
            self.client = client
            self.code = code
            self.redirectURI = redirectURI
            self.verifier = verifier
            self.resources = resources
        }
    }

    /// Issues the tokens for a code. Only the first redemption gets them; a second one revokes them.
    public func redeem(_ redemption: CodeRedemption) async throws(OAuthError) -> TokenAnswer {
        let outcome = try await flow { store in
            guard let pending = PendingTokens(store: store) else { throw DrawAgain() }
            return try await write(creates: true) { [self] writer, transaction in
                try writer.redeem(redemption, pending, issuer: self, in: transaction)
            }
        }
        guard let outcome else {
            throw OAuthError(
                .invalidGrant, "the code was used before: everything that it gave is revoked", isReuse: true)
        }
        return outcome
    }
}

extension StoreWriter {
    /// Checks everything before the first write. Nil: the code was used before, and its family is now revoked.
    fileprivate func redeem(
        _ redemption: Issuer.CodeRedemption, _ pending: PendingTokens, issuer: Issuer,
        in transaction: borrowing WriteTransaction
    ) throws -> TokenAnswer? {
        let store = issuer.store
        let client = try livingClient(redemption.client, in: transaction)
        guard let code = try row(ofPresented: redemption.code, [.authorizationCode], store: store, in: transaction),
            code.record.client == client.number
        else { throw OAuthError(.invalidGrant, "the code is unknown, or another client's") }
        let dead = OAuthError(.invalidGrant, "the code is revoked or expired")
        // First, so that a family is revoked, and its reuse reported, only once.
        guard try !watermarkRevokes(code, in: transaction) else { throw dead }
        guard !code.record.flags.contains(.revoked) else {
            try endFamily(of: code, by: .client(client.clientID), in: transaction)
            return nil
        }
        guard now < code.record.expiresAt else { throw dead }
        let expected = code.redirectURI ?? (redemption.redirectURI == nil ? nil : client.metadata.redirectURIs.first)
        guard redemption.redirectURI == expected else {
            throw OAuthError(.invalidGrant, "redirect_uri is not that of the authorization request")
        }
        guard let digest = code.codeChallenge, let verifier = redemption.verifier,
            CodeChallenge(digest: digest).isMet(by: verifier)
        else { throw OAuthError(.invalidGrant, "code_verifier is missing or wrong") }
        let share = TokenShare(
            scope: issuer.words(.scopes, code.record.scopes),
            audience: try Asked.resources(
                redemption.resources, within: issuer.words(.audiences, code.record.audiences)),
            refreshes: client.metadata.grants.contains("refresh_token"))
        let answer = try giveTokens(of: code, pending, share, issuer: issuer, in: transaction)
        // Without refresh tokens the grant ends with its access token; after that a second use would have nothing to revoke.
        try spend(
            code, successor: nil, endsAt: share.refreshes ? nil : now.adding(answer.expiresInSeconds), in: transaction)
        return answer
    }
}
