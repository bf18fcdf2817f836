public import CredentialModel

extension CredentialRecord {
    /// The longest life, in seconds, that an access token needs no index for.
    static let unindexedSecondsMax: Int64 = 3_600

    /// Whether it has entries in the indexes by owner and by expiry.
    ///
    /// Access tokens of up to an hour, of which there may be thousands a second, have none: their ids begin with the second of
    /// their issuance, so the table is in the order in which they end, nearly; whoever lists an owner's looks through the
    /// tokens of the last hour. Told from what the row says, and so the same at its issuance and at its end.
    var isIndexed: Bool {
        guard kind == .accessToken else { return true }
        let life = expiresAt.rawValue.subtractingReportingOverflow(issuedAt.rawValue)
        let late = issuedAt.rawValue.subtractingReportingOverflow(id.orderedSecond)
        return life.overflow || life.partialValue > Self.unindexedSecondsMax || late.overflow
            || late.partialValue.magnitude > 60
    }
}

/// A whole row: what the verdict needs, and what only administration reads.
public struct StoredCredential: Sendable {
    public var record: CredentialRecord
    /// All bytes of the owner, also where ``CredentialRecord/owner`` holds only the first.
    public var owner: [UInt8]
    /// What people call it; up to 255 bytes of UTF-8.
    public var name: String?
    public var predecessor: CredentialID?
    public var successor: CredentialID?
    public var revokedAt: UnixSeconds?
    /// Of an authorization code: where it was sent, if the request named that itself (RFC 6749 §4.1.3).
    public var redirectURI: String?
    /// Of an authorization code: the SHA-256 of the verifier that redeems it (RFC 7636 §4.2).
    public var codeChallenge: [UInt8]?
    /// Of a code and of refresh tokens: when the grant ends that they belong to, however often it is refreshed.
    public var grantEndsAt: UnixSeconds?

    /// A row for a new record. The owner is 0 to 255 bytes without a zero byte, as issuance has checked.
    public init(record: CredentialRecord, owner: [UInt8], name: String?) {
        self.record = record
        self.record.owner = OwnerText(owner.octets)
        self.owner = owner
        self.name = name
    }
}
