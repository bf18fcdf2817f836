public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// The scope that a subject has allowed a client to use on their behalf.
public struct ConsentSummary: Sendable {
    public var subject: String
    public var clientID: String
    public var clientName: String
    public var scope: [String]
    public var givenAt: UnixSeconds
}

extension Issuer {
    /// Adds scopes to a subject's consent for a client.
    /// - Throws: ``IssuanceError/unknownClient``, ``IssuanceError/gone(reason:)`` for a revoked client.
    public func rememberConsent(subject: String, clientID: String, scope: [String]) async throws(IssuanceError) {
        _ = try await decideSignIn(for: clientID, subject: subject, scope: scope, remember: true)
    }

    /// The consents of a subject.
    public func consents(of subject: String) async throws(IssuanceError) -> [ConsentSummary] {
        let owner = try RequestText.owner(subject, field: "sub")
        let consents = try await offThread(.lookUp) { store in try store.consents(of: owner) }
        return consents.compactMap { consent in
            store.published.clients.client(number: consent.client).map { client in
                ConsentSummary(
                    subject: subject, clientID: client.clientID, clientName: client.metadata.name, scope: consent.scope,
                    givenAt: consent.givenAt)
            }
        }
    }

    /// Withdraws a consent. Revokes every valid code and token that the client has for this subject, and every sign-in decision
    /// for which no code was issued yet.
    ///
    /// The consent is removed before the grants are revoked. A grant that is refreshed in between is still found, since the
    /// new tokens belong to the same family, which is revoked as a whole.
    /// - Returns: whether there was a consent or a valid grant.
    /// - Throws: ``IssuanceError/unknownClient``.
    public func revokeConsent(subject: String, clientID: String) async throws(IssuanceError) -> Bool {
        let owner = try RequestText.owner(subject, field: "sub")
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        let actor = actor
        var found = try await mutate(creates: false) { writer, transaction in
            guard try writer.removeConsent(of: owner, to: client.number, in: transaction) else { return false }
            let action = AuditedAction(.consentRevoked, clientID: clientID, owner: subject)
            try writer.audit(action, by: actor, in: transaction)
            return true
        }
        var after: CredentialID?
        repeat {
            let from = after
            let page = try await offThread(.lookUp) { store in
                try store.credentials(owner: owner, after: from, limit: Self.revocationsPerRequestMax) { row in
                    row.record.client == client.number && row.record.kind != .clientSecret
                        && Self.mayHaveValidTokens(row, store.published)
                }
            }
            let ids = page.rows.map(\.record.id)
            if page.rows.contains(where: { !store.published.isRevoked($0) }) { found = true }
            if !ids.isEmpty { _ = try await revoke(ids, chain: false) }
            after = page.next
        } while after != nil
        return found
    }
}

extension Issuer {
    /// Whether a row is valid, or is a used code or refresh token whose family may have valid tokens. A token that is issued
    /// during the search may have an id on a page that was already read; it is found through its used predecessor.
    private static func mayHaveValidTokens(_ row: StoredCredential, _ published: Published) -> Bool {
        switch row.record.kind {
        case .refreshToken, .authorizationCode: !published.watermarks.revokes(row.record)
        default: !published.isRevoked(row)
        }
    }
}

extension StoreWriter {
    /// Adds scopes to a subject's consent for a client.
    func addConsent(
        of subject: [UInt8], to client: UInt32, scope: [String], in transaction: borrowing WriteTransaction
    ) throws {
        let before = try consent(of: subject, to: client, in: transaction)?.scope ?? []
        let all = before + scope.filter { !before.contains($0) }
        let consent = Consent(subject: subject, client: client, scope: all, givenAt: now)
        try setConsent(consent, in: transaction)
    }
}
