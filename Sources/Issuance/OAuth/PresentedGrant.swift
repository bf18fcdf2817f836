import CredentialDigest
import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension StoreWriter {
    /// The row of a presented native credential whose secret matches, valid or not; nil for all others.
    ///
    /// Read in the transaction that will use it up: if two requests present the same one, the second sees the change.
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

    /// The client that was authenticated, if what it proved itself with is valid at this moment.
    ///
    /// The only way for a flow to get the client of a request. A secret that was revoked, rotated away or expired while the
    /// request waited gives nothing: what it gave now would outlive it.
    /// - Throws: `invalid_client`, in the words of a request that never proved itself.
    func livingClient(
        _ proof: ClientProof, in transaction: borrowing WriteTransaction
    ) throws -> ClientDefinition {
        let refusal = OAuthError(.invalidClient, "the client or its secret is unknown")
        guard let client = try client(proof.number, in: transaction), client.revokedAt == nil else { throw refusal }
        switch proof.method {
        case .none:
            guard client.metadata.isPublic else { throw refusal }
        case .secret(let id):
            guard let secret = try credential(id, in: transaction), secret.record.kind == .clientSecret,
                secret.record.client == client.number, try isAlive(secret, in: transaction)
            else { throw refusal }
        }
        return client
    }

    /// A client that a browser's request names. Nobody has proved to be it, so it may only be given a code, which is worth
    /// nothing without the client's own request.
    func namedClient(
        _ clientID: String, store: CredentialStore, in transaction: borrowing WriteTransaction
    ) throws -> ClientDefinition {
        guard let known = store.published.clients.client(id: clientID),
            let client = try client(known.number, in: transaction), client.revokedAt == nil
        else { throw OAuthError(.invalidClient, "the client is unknown or revoked") }
        return client
    }

    /// Marks a code or a refresh token as used. It is kept until its grant ends, so that a second use is noticed.
    /// - Parameter end: when the grant ends; nil for the end set when it began.
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

    /// Revokes everything issued to a family so far.
    func endFamily(of row: StoredCredential, by actor: AuditActor, in transaction: borrowing WriteTransaction) throws {
        guard row.record.family != 0, try !watermarkRevokes(row, in: transaction) else { return }
        _ = try raiseWatermark(of: .family(row.record.family), issuedBefore: nil, in: transaction)
        try audit(AuditedAction(.familyRevoked, credentials: [row.record.id]), by: actor, in: transaction)
    }
}
