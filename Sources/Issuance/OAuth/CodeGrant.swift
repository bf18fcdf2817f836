public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension Issuer {
    /// Issues the code for an authorization request (RFC 6749 §4.1.2), with the scope to which the user has agreed.
    ///
    /// - Parameters:
    ///   - decision: who agreed to which scope.
    ///   - signIn: identifies the sign-in of the decision. It is marked as used in the transaction that stores the code, so
    ///     that a crash cannot allow a second code.
    /// - Returns: nil if the sign-in has already produced a code.
    /// - Throws: `access_denied` if something that the decision relies on was revoked since, or if the store was restored
    ///   from a backup; `invalid_scope` if the decision exceeds the request.
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
            throw .scopeExceedsRequest
        }
        let grants = try Self.grants(scope, request.audience)
        // Kept for much longer than a sign-in may take: see RepeatableRequest.keepSeconds.
        let once = RepeatableRequest(
            caller: "sign-in", name: signIn, content: Array(signIn.utf8), lookup: store.lookup)
        return try await flow { store in
            guard let pending = PendingCredential.mint(kind: .authorizationCode, owner: owner, store: store) else {
                throw MintAgain()
            }
            let isNew = try await write(creates: true) { [grantPolicy] writer, transaction in
                do {
                    try writer.requireNew(once, in: transaction)
                } catch is RepeatedRequest {
                    return false
                }
                let client = try writer.client(named: request.clientID, store: store, in: transaction)
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

    /// Checks that a subject is not the id of a client. A resource server could take a token with such a subject for the client
    /// itself, with the client's rights (RFC 9700 §4.15).
    /// - Throws: `invalid_request`.
    public func requirePerson(_ subject: String) throws(OAuthError) {
        guard store.published.clients.client(id: subject) == nil else {
            throw OAuthError(.invalidRequest, "the subject is the id of a client, not of a user")
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

    /// Issues the tokens for a code. Only the first redemption gets tokens; a second one revokes them.
    /// - Throws: `invalid_grant` for a code that is unknown, expired, revoked or used before, and for a wrong redirect URI or
    ///   verifier; `invalid_client` for a client that was revoked.
    public func redeem(_ redemption: CodeRedemption) async throws(OAuthError) -> TokenAnswer {
        let outcome = try await flow { store in
            guard let pending = PendingTokens(store: store) else { throw MintAgain() }
            return try await write(creates: true) { [self] writer, transaction in
                try writer.redeem(redemption, pending, issuer: self, in: transaction)
            }
        }
        guard let outcome else {
            throw OAuthError(
                .invalidGrant, "the code was used before: all tokens issued for it are revoked", isReuse: true)
        }
        return outcome
    }
}

extension StoreWriter {
    /// All checks come before the first write.
    /// - Returns: nil if the code was used before; its family is then revoked.
    fileprivate func redeem(
        _ redemption: Issuer.CodeRedemption, _ pending: PendingTokens, issuer: Issuer,
        in transaction: borrowing WriteTransaction
    ) throws -> TokenAnswer? {
        let store = issuer.store
        let client = try client(provenBy: redemption.client, in: transaction)
        guard let code = try row(ofPresented: redemption.code, [.authorizationCode], store: store, in: transaction),
            code.record.client == client.number
        else { throw OAuthError.unknownOrForeign }
        let ended = OAuthError(.invalidGrant, "the code is revoked or expired")
        // Checked first, so that a family is revoked, and its reuse reported, only once.
        guard try !watermarkRevokes(code, in: transaction) else { throw ended }
        guard !code.record.flags.contains(.revoked) else {
            try endFamily(of: code, by: .client(client.clientID), in: transaction)
            return nil
        }
        guard now < code.record.expiresAt else { throw ended }
        let expected = code.redirectURI ?? (redemption.redirectURI == nil ? nil : client.metadata.redirectURIs.first)
        guard redemption.redirectURI == expected else {
            throw OAuthError(.invalidGrant, "redirect_uri differs from the authorization request")
        }
        guard let digest = code.codeChallenge, let verifier = redemption.verifier,
            CodeChallenge(digest: digest).isMet(by: verifier)
        else { throw OAuthError(.invalidGrant, "code_verifier is missing or wrong") }
        let contents = TokenContents(
            scope: words(.scopes, code.record.scopes),
            audience: try GrantSubset.resources(
                redemption.resources, within: words(.audiences, code.record.audiences)),
            hasRefreshToken: client.metadata.grants.contains("refresh_token"))
        let answer = try issueTokens(for: code, pending, contents, issuer: issuer, in: transaction)
        // Without a refresh token the grant ends with its access token. A later reuse would have nothing to revoke.
        try spend(
            code, successor: nil, endsAt: contents.hasRefreshToken ? nil : now.adding(answer.expiresInSeconds),
            in: transaction)
        return answer
    }
}
