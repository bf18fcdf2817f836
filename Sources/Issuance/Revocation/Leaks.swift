import CredentialDigest
public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// Ends a credential at the word of whoever has it: a key or a token that a stranger can present is nobody's secret any
    /// more. A refresh token takes its whole grant along. What is unknown or dead is left as it is.
    /// - Returns: whether something living was ended. Not for the one who asked.
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
    /// Ends a living credential that its holder has reported; false when it is dead already.
    fileprivate func endLeaked(
        _ row: StoredCredential, in transaction: borrowing WriteTransaction
    ) throws -> Bool {
        guard try !isRevoked(row, in: transaction) else { return false }
        // Having it is all that the one who reports it has proved.
        let actor = AuditActor.credential(row.record.id)
        var ended = row
        ended.record.flags.insert(.revoked)
        ended.revokedAt = now
        try replace(row, by: ended, event: .revoked, in: transaction)
        if [.refreshToken, .authorizationCode].contains(row.record.kind) {
            try endFamily(of: row, by: actor, in: transaction)
        }
        try audit(AuditDeed(.credentialsRevoked, credentials: [row.record.id]), by: actor, in: transaction)
        return true
    }

    /// The rows of any credential that is presented whole: none when it is not of this store, and more than one where a key
    /// was imported in the clear and as a hash.
    ///
    /// Client secrets are left out: a service would stop for everybody at a stranger's word.
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
