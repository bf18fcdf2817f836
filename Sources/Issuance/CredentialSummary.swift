public import CredentialModel
public import CredentialStore
import RecordCache

/// A credential as administration shows it: its row, and what follows from other tables, the time and the settings. What the
/// row has can be read as the summary's own.
@dynamicMemberLookup
public struct CredentialSummary: Sendable {
    public let row: StoredCredential
    /// The client through which it was issued or to which it belongs.
    public let clientID: String?
    public let scope: [String]
    public let audience: [String]
    public let networks: [String]
    /// When it was last accepted, accurate to ``UseReports/intervalSeconds``; nil if never, as far as is known.
    public let lastUsedAt: UnixSeconds?
    public let state: CredentialState
    /// Whether it is valid but expires soon according to the policy.
    public let expiresSoon: Bool

    public subscript<Value>(dynamicMember path: KeyPath<StoredCredential, Value>) -> Value { row[keyPath: path] }

    public var id: CredentialID { row.record.id }
    public var kind: CredentialKind { row.record.kind }
    public var owner: String { String(decoding: row.owner, as: UTF8.self) }
    public var issuedAt: UnixSeconds { row.record.issuedAt }
    /// Nil if it does not expire.
    public var expiresAt: UnixSeconds? { row.record.expiresAt < .never ? row.record.expiresAt : nil }
    public var notBefore: UnixSeconds? { row.record.notBefore > .always ? row.record.notBefore : nil }
    /// When a rotated credential stops working.
    public var sunset: UnixSeconds? { row.record.flags.contains(.superseded) ? expiresAt : nil }
    public var imported: Bool { row.record.flags.contains(.imported) }
}

/// A new credential with its text, which is stored nowhere.
public struct IssuedCredential: Sendable {
    public var summary: CredentialSummary
    public var secret: SecretText
}

extension Issuer {
    func summary(_ row: StoredCredential, lastUsedAt: UnixSeconds? = nil) -> CredentialSummary {
        let (published, record, now) = (store.published, row.record, store.clock.now())
        let state: CredentialState =
            if published.isRevoked(row) {
                .revoked
            } else if now >= record.expiresAt {
                .expired
            } else if now < record.notBefore {
                .notYetValid
            } else {
                .active
            }
        let expiresSoon =
            state == .active && record.kind == .apiKey && !record.flags.contains(.superseded)
            && record.expiresAt < now.adding(policy.keyWarningSeconds)
        return CredentialSummary(
            row: row, clientID: published.words(.client, record.client).first,
            scope: published.words(.scopes, record.scopes), audience: published.words(.audiences, record.audiences),
            networks: published.interned.withText(.networks, record.networks) { bytes in
                NetworkSet(interned: bytes).networks.map(\.text)
            }, lastUsedAt: lastUsedAt, state: state, expiresSoon: expiresSoon)
    }
}
