import CredentialDigest
public import CredentialModel
import CredentialStore
import LMDB

// Revocation by whoever presents the credential itself: its client (RFC 7009), or anybody who found it.

extension Issuer {
    /// Revokes a token at its client's request (RFC 7009 §2). A token that is unknown, malformed, already revoked or issued to
    /// another client is not changed, and the response does not tell these cases apart.
    ///
    /// For a refresh token or a code, everything that was issued for its grant is revoked.
    /// - Throws: `invalid_client` for a client that was revoked.
    public func revoke(_ token: SecretText, by proof: ClientProof) async throws(OAuthError) {
        try await flow { store in
            try await write(creates: false) { writer, transaction in
                let client = try writer.client(provenBy: proof, in: transaction)
                let kinds: Set<CredentialKind> = [.accessToken, .refreshToken, .authorizationCode]
                guard let row = try writer.row(ofPresented: token, kinds, store: store, in: transaction),
                    row.record.client == client.number
                else { return }
                let actor = AuditActor.client(client.clientID)
                guard row.record.kind == .accessToken else {
                    return try writer.endFamily(of: row, by: actor, in: transaction)
                }
                guard try !writer.isRevoked(row, in: transaction) else { return }
                try writer.markRevoked(row, in: transaction)
                let action = AuditedAction(.credentialsRevoked, credentials: [row.record.id])
                try writer.audit(action, by: actor, in: transaction)
            }
        }
    }

    /// Revokes a credential at the request of anybody who presents it, since a key or token that others know is not secret any
    /// more. For a refresh token or a code, the whole grant is revoked. An unknown or already revoked credential is not
    /// changed.
    /// - Returns: whether a credential was revoked. The caller must not learn it.
    public func revokeLeaked(_ presented: SecretText) async throws(IssuanceError) -> Bool {
        let store = store
        return try await mutate(creates: false) { writer, transaction in
            var hasRevoked = false
            for row in try writer.leaked(presented, store: store, in: transaction) {
                hasRevoked = try writer.revokeLeaked(row, in: transaction) || hasRevoked
            }
            return hasRevoked
        }
    }
}

extension StoreWriter {
    /// - Returns: false if the credential is already revoked.
    fileprivate func revokeLeaked(
        _ row: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws -> Bool {
        guard try !isRevoked(row, in: transaction) else { return false }
        // Nothing is known of the caller except that it has the credential.
        let actor = AuditActor.credential(row.record.id)
        try markRevoked(row, in: transaction)
        if [.refreshToken, .authorizationCode].contains(row.record.kind) {
            try endFamily(of: row, by: actor, in: transaction)
        }
        try audit(AuditedAction(.credentialsRevoked, credentials: [row.record.id]), by: actor, in: transaction)
        return true
    }

    /// The rows of a presented credential: none if it is not in this store, several if a key was imported both in plain text
    /// and as a hash.
    ///
    /// Client secrets are not revoked in this way: anybody who found one could stop a whole service.
    fileprivate func leaked(
        _ presented: SecretText, store: CredentialStore, in transaction: borrowing WriteTransaction
    ) throws -> [StoredCredential] {
        let kinds: Set<CredentialKind> = [.apiKey, .accessToken, .refreshToken, .authorizationCode]
        if let row = try row(ofPresented: presented, kinds, store: store, in: transaction) { return [row] }
        let bytes = presented.revealBytes()
        guard CredentialFormat.isImportable(bytes.octets) else { return [] }
        var rows: [StoredCredential] = []
        for scheme in store.foreignSchemes.all where try uses(scheme, in: transaction) {
            let form = ForeignSchemes.form(of: bytes.octets, by: scheme)
            guard let id = try alias(store.foreignSchemes.alias(of: form.octets, by: scheme), in: transaction),
                let row = try credential(id, in: transaction), let pepper = store.peppers.place(of: row.record.pepper),
                ConstantTime.equal(
                    store.peppers.tag(ofImported: form.octets, kind: .apiKey, id: id, at: pepper), row.record.tag)
            else { continue }
            rows.append(row)
        }
        return rows
    }
}
