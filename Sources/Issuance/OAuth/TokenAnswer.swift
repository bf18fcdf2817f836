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
struct NewbornTokens: Sendable {
    let access: Newborn
    let refresh: Newborn

    /// Nil when one could not be generated: try again.
    init?(store: CredentialStore, owner: [UInt8] = []) {
        guard let access = Newborn.mint(kind: .accessToken, store: store, owner: owner, name: nil),
            let refresh = Newborn.mint(kind: .refreshToken, store: store, owner: owner, name: nil)
        else { return nil }
        self.access = access
        self.refresh = refresh
    }
}

extension Newborn {
    /// Its row for a subject.
    func row(owner: [UInt8], _ fill: (inout CredentialRecord) throws -> Void) rethrows -> StoredCredential {
        var record = credential.record
        try fill(&record)
        return StoredCredential(record: record, owner: owner, name: nil)
    }
}
