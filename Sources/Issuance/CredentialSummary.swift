public import CredentialModel
import CredentialStore
import RecordCache

/// A credential as shown to administration: everything but its secret.
public struct CredentialSummary: Sendable {
    public enum State: String, Sendable {
        case active
        case expired
        case notYetValid = "not_yet_valid"
        case revoked
    }

    public var id: CredentialID
    public var kind: CredentialKind
    public var owner: String
    public var name: String?
    /// The client through which it was issued or to which it belongs.
    public var clientID: String?
    public var scope: [String]
    public var audience: [String]
    public var networks: [String]
    public var issuedAt: UnixSeconds
    /// Nil if it does not expire.
    public var expiresAt: UnixSeconds?
    public var notBefore: UnixSeconds?
    public var revokedAt: UnixSeconds?
    public var predecessor: CredentialID?
    public var successor: CredentialID?
    /// When a rotated credential stops working.
    public var sunset: UnixSeconds?
    /// When it was last accepted, accurate to ``UseNotes/intervalSeconds``; nil if never, as far as is known.
    public var lastUsedAt: UnixSeconds?
    /// Whether it is valid but expires soon according to the policy.
    public var expiresSoon: Bool
    public var imported: Bool
    public var state: State
}

/// A new credential with its text, which is stored nowhere.
public struct IssuedCredential: Sendable {
    public var summary: CredentialSummary
    public var secret: SecretText
}

extension CredentialSummary {
    init(
        _ credential: StoredCredential, published: Published, now: UnixSeconds, policy: LifetimePolicy,
        lastUsedAt: UnixSeconds?
    ) {
        let record = credential.record
        func words(_ kind: InternedTable.Kind, _ number: UInt32) -> [String] {
            published.interned.withText(kind, number) { text in
                String(decoding: text.copied(), as: UTF8.self).split(separator: " ").map(String.init)
            }
        }
        id = record.id
        kind = record.kind
        owner = String(decoding: credential.owner, as: UTF8.self)
        name = credential.name
        clientID = words(.client, record.client).first
        scope = words(.scopes, record.scopes)
        audience = words(.audiences, record.audiences)
        networks = published.interned.withText(.networks, record.networks) { bytes in
            NetworkSet(interned: bytes).networks.map(\.text)
        }
        issuedAt = record.issuedAt
        expiresAt = record.expiresAt < .never ? record.expiresAt : nil
        notBefore = record.notBefore > .always ? record.notBefore : nil
        revokedAt = credential.revokedAt
        predecessor = credential.predecessor
        successor = credential.successor
        sunset = record.flags.contains(.superseded) ? expiresAt : nil
        imported = record.flags.contains(.imported)
        self.lastUsedAt = lastUsedAt
        state =
            if published.isRevoked(credential) {
                .revoked
            } else if now >= record.expiresAt {
                .expired
            } else if now < record.notBefore {
                .notYetValid
            } else {
                .active
            }
        expiresSoon =
            state == .active && record.kind == .apiKey && sunset == nil
            && record.expiresAt < now.adding(policy.keyWarningSeconds)
    }
}
