public import CredentialModel

/// A whole row: the fields for the verdict, and those that only administration reads.
public struct StoredCredential: Sendable {
    public var record: CredentialRecord
    /// All bytes of the owner, even where ``CredentialRecord/owner`` holds only the first.
    public var owner: [UInt8]
    /// A name for people; up to 255 bytes of UTF-8.
    public var name: String?
    public var predecessor: CredentialID?
    public var successor: CredentialID?
    public var revokedAt: UnixSeconds?
    /// Of an authorization code: the redirect URI, if the request contained one (RFC 6749 §4.1.3).
    public var redirectURI: String?
    /// Of an authorization code: the SHA-256 of the verifier that redeems it (RFC 7636 §4.2).
    public var codeChallenge: [UInt8]?
    /// Of codes and refresh tokens: when their grant ends, however often it is refreshed.
    public var grantEndsAt: UnixSeconds?
    /// The latest expiry that it had before its expiry was set to an earlier time; nil if that never happened.
    ///
    /// A backup may hold the credential with this expiry. Maintained by ``StoreWriter/replace(_:by:event:in:)``.
    var longestEnd: UnixSeconds?

    /// A row for a new record. Issuance has checked that the owner is 0 to 255 bytes without a zero byte.
    public init(record: CredentialRecord, owner: [UInt8], name: String?) {
        self.record = record
        self.record.owner = OwnerText(owner.octets)
        self.owner = owner
        self.name = name
    }
}

extension StoredCredential {
    /// From this time on it is expired in every backup. Until then the list of revocations must be able to name it.
    var latestEnd: UnixSeconds { max(record.expiresAt, longestEnd ?? .always) }

    /// Whether some backup may hold it with a later expiry than it has now.
    var isShortened: Bool { record.expiresAt < latestEnd }

    /// The times of its entries in the expiry index. The sweep deletes the row at the last; if that is never, it stays.
    var indexedEnds: [UnixSeconds] {
        (isShortened ? [record.expiresAt, latestEnd] : [record.expiresAt]).filter { $0 < .never }
    }

    /// The longest lifetime, in seconds, of an access token without index entries.
    static let unindexedSecondsMax: Int64 = 3_600

    /// Whether it has entries in the indexes by owner and by expiry.
    ///
    /// Access tokens of up to an hour, of which there may be thousands a second, have none. Their ids begin with the second
    /// of issuance, so the table is nearly in order of expiry; a listing by owner scans the tokens of the last hour.
    /// Computed from the row alone, and so the same at issuance and at removal. A row that was once indexed stays so.
    var isIndexed: Bool {
        guard record.kind == .accessToken, longestEnd == nil else { return true }
        let life = record.expiresAt.rawValue.subtractingReportingOverflow(record.issuedAt.rawValue)
        let late = record.issuedAt.rawValue.subtractingReportingOverflow(record.id.orderedSecond)
        return life.overflow || life.partialValue > Self.unindexedSecondsMax || late.overflow
            || late.partialValue.magnitude > 60
    }
}
