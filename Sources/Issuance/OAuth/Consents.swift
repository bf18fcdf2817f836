public import CredentialModel
import CredentialStore
import LMDB

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
        let owner = try RequestText.owner(subject, field: "subject")
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        try await mutate(creates: true) { writer, transaction in
            let before = try writer.consent(of: owner, to: client.number, in: transaction)?.scope ?? []
            let all = before + scope.filter { !before.contains($0) }
            let consent = Consent(subject: owner, client: client.number, scope: all, givenAt: writer.now)
            try writer.setConsent(consent, in: transaction)
        }
    }

    /// A subject's consents.
    public func consents(of subject: String) async throws(IssuanceError) -> [ConsentSummary] {
        let owner = try RequestText.owner(subject, field: "subject")
        let consents = try await offThread { store in try store.consents(of: owner) }
        return consents.compactMap { consent in
            store.published.clients.client(number: consent.client).map { client in
                ConsentSummary(
                    subject: subject, clientID: client.clientID, clientName: client.name, scope: consent.scope,
                    givenAt: consent.givenAt)
            }
        }
    }

    /// Withdraws a consent and revokes everything valid that the client holds for this subject.
    ///
    /// The consent first, then the grants: one refreshed in between belongs to its family, which is revoked as a whole.
    /// - Returns: whether there was a consent or a grant.
    public func revokeConsent(subject: String, clientID: String) async throws(IssuanceError) -> Bool {
        let owner = try RequestText.owner(subject, field: "subject")
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        let actor = actor
        var found = try await mutate(creates: false) { writer, transaction in
            guard try writer.removeConsent(of: owner, to: client.number, in: transaction) else { return false }
            let deed = AuditDeed(.consentRevoked, clientID: clientID, owner: subject)
            try writer.audit(deed, by: actor, in: transaction)
            return true
        }
        var after: CredentialID?
        repeat {
            let from = after
            let page = try await offThread { store in
                try store.credentials(owner: owner, after: from, limit: Self.revocationsPerRequestMax) { row in
                    row.record.client == client.number && row.record.kind != .clientSecret
                        && !store.published.isRevoked(row)
                }
            }
            let ids = page.rows.map(\.record.id)
            if !ids.isEmpty {
                found = true
                _ = try await revoke(ids, chain: false)
            }
            after = page.next
        } while after != nil
        return found
    }
}
