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
            guard let row = try writer.leaked(presented, store: store, in: transaction),
                try !writer.isRevoked(row, in: transaction)
            else { return false }
            // Having it is all that the one who reports it has proved.
            let actor = AuditActor.credential(row.record.id)
            var ended = row
            ended.record.flags.insert(.revoked)
            ended.revokedAt = writer.now
            try writer.replace(row, by: ended, event: .revoked, in: transaction)
            if [.refreshToken, .authorizationCode].contains(row.record.kind) {
                try writer.endFamily(of: row, by: actor, in: transaction)
            }
            let deed = AuditDeed(.credentialsRevoked, credentials: [row.record.id])
            try writer.audit(deed, by: actor, in: transaction)
            return true
        }
    }
}

extension StoreWriter {
    /// The row of any credential that is presented whole; nil when it is none of this store's.
    ///
    /// Client secrets are left out: a service would stop for everybody at a stranger's word.
    fileprivate func leaked(
        _ presented: SecretText, store: CredentialStore, in transaction: borrowing WriteTransaction
    ) throws -> StoredCredential? {
        let kinds: Set<CredentialKind> = [.apiKey, .accessToken, .refreshToken, .authorizationCode]
        if let row = try row(ofPresented: presented, kinds, store: store, in: transaction) { return row }
        let bytes = presented.revealBytes()
        guard CredentialFormat.isImportable(bytes.octets),
            let id = try alias(ForeignAlias.key(ofRaw: bytes.octets, lookup: store.lookup), in: transaction),
            let row = try credential(id, in: transaction), let pepper = store.peppers.place(of: row.record.pepper),
            ConstantTime.equal(
                store.peppers.tag(ofImported: bytes.octets, kind: .apiKey, id: id, at: pepper), row.record.tag)
        else { return nil }
        return row
    }
}
