import CredentialDigest
public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// Revokes a credential at the request of whoever presents it: a key or token that a stranger can present is no longer
    /// secret. A refresh token revokes its whole grant. An unknown or already revoked credential is not changed.
    /// - Returns: whether a valid credential was revoked. Must not be told to the caller.
    public func revokeLeaked(_ presented: SecretText) async throws(IssuanceError) -> Bool {
        let store = store
        return try await mutate(creates: false) { writer, transaction in
            var ended = false
            for row in try writer.leaked(presented, store: store, in: transaction) {
                ended = try writer.endLeaked(row, in: transaction) || ended
            }
            return ended
        }
    }
}

extension StoreWriter {
    /// Revokes a credential that was reported as leaked; false when it is already revoked.
    fileprivate func endLeaked(
        _ row: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws -> Bool {
        guard try !isRevoked(row, in: transaction) else { return false }
        // The reporter has proved only that they have it.
        let actor = AuditActor.credential(row.record.id)
        var ended = row
        ended.record.flags.insert(.revoked)
        ended.revokedAt = now
        try replace(row, by: ended, event: .revoked, in: transaction)
        if [.refreshToken, .authorizationCode].contains(row.record.kind) {
            try endFamily(of: row, by: actor, in: transaction)
        }
        try audit(AuditedAction(.credentialsRevoked, credentials: [row.record.id]), by: actor, in: transaction)
        return true
    }

    /// The rows of a presented credential of any kind: none when it is not of this store, several when a key was imported
    /// both in the clear and as a hash.
    ///
    /// Client secrets are left out: a stranger could otherwise stop a service for everybody.
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
