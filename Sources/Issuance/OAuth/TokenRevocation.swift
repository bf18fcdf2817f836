public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// Revokes a token at its client's request (RFC 7009 §2). A token that is unknown, malformed, already revoked or another
    /// client's is not changed, and the response does not say which.
    ///
    /// A refresh token or a code revokes everything that its grant has issued.
    public func revoke(_ token: SecretText, by proof: ClientProof) async throws(OAuthError) {
        try await flow { store in
            try await write(creates: false) { writer, transaction in
                let client = try writer.livingClient(proof, in: transaction)
                let kinds: Set<CredentialKind> = [.accessToken, .refreshToken, .authorizationCode]
                guard let row = try writer.row(ofPresented: token, kinds, store: store, in: transaction),
                    row.record.client == client.number
                else { return }
                let actor = AuditActor.client(client.clientID)
                guard row.record.kind == .accessToken else {
                    return try writer.endFamily(of: row, by: actor, in: transaction)
                }
                guard try !writer.isRevoked(row, in: transaction) else { return }
                var ended = row
                ended.record.flags.insert(.revoked)
                ended.revokedAt = writer.now
                try writer.replace(row, by: ended, event: .revoked, in: transaction)
                let action = AuditedAction(.credentialsRevoked, credentials: [row.record.id])
                try writer.audit(action, by: actor, in: transaction)
            }
        }
    }
}
