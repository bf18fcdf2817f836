public import CredentialModel
import CredentialStore

/// The response of the token endpoint (RFC 6749 §5.1).
public struct TokenAnswer: Sendable {
    public let accessToken: SecretText
    public let expiresInSeconds: Int64
    public let refreshToken: SecretText?
    public let scope: [String]
}

/// The new credentials of one response, generated before the transaction that inserts them.
struct PendingTokens: Sendable {
    let access: PendingCredential
    let refresh: PendingCredential

    /// Nil when one could not be generated: try again.
    init?(store: CredentialStore, owner: [UInt8] = []) {
        guard let access = PendingCredential.mint(kind: .accessToken, owner: owner, store: store),
            let refresh = PendingCredential.mint(kind: .refreshToken, owner: owner, store: store)
        else { return nil }
        self.access = access
        self.refresh = refresh
    }
}

extension PendingCredential {
    /// Its row for a subject.
    func row(owner: [UInt8], _ fill: (inout CredentialRecord) throws -> Void) rethrows -> StoredCredential {
        var record = credential.record
        try fill(&record)
        return StoredCredential(record: record, owner: owner, name: nil)
    }
}
