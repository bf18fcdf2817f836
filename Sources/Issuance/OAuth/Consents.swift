public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// What a subject has allowed a client to do on their behalf.
public struct ConsentSummary: Sendable {
    public var subject: String
    public var clientID: String
    public var clientName: String
    public var scope: [String]
    public var givenAt: UnixSeconds
}

extension Issuer {
    /// Adds these scopes to those to which a subject has already agreed for a client.
    public func rememberConsent(subject: String, clientID: String, scope: [String]) async throws(IssuanceError) {
        _ = try await decideSignIn(for: clientID, subject: subject, scope: scope, remember: true)
    }

    /// A subject's consents.
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

    /// Withdraws a consent and revokes everything valid that the client holds for this subject, and every sign-in that has
    /// been decided and has not produced its code.
    ///
    /// The consent first, then the grants: one refreshed in between belongs to its family, which is revoked as a whole.
    /// - Returns: whether there was a consent or a grant.
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
                        && Self.mayLeadToLiving(row, store.published)
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
    /// Whether a row is valid, or has been spent on something that may be: a refresh token that is exchanged while this runs
    /// leads to another one of its family, whose id may lie on a page that was read already.
    private static func mayLeadToLiving(_ row: StoredCredential, _ published: Published) -> Bool {
        switch row.record.kind {
        case .refreshToken, .authorizationCode: !published.watermarks.revokes(row.record)
        default: !published.isRevoked(row)
        }
    }
}

extension StoreWriter {
    /// Adds these scopes to those to which a subject has already agreed for a client.
    func addConsent(
        of subject: [UInt8], to client: UInt32, scope: [String], in transaction: borrowing WriteTransaction
    ) throws {
        let before = try consent(of: subject, to: client, in: transaction)?.scope ?? []
        let all = before + scope.filter { !before.contains($0) }
        let consent = Consent(subject: subject, client: client, scope: all, givenAt: now)
        try setConsent(consent, in: transaction)
    }
}
