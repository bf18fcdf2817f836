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
    /// When the last of its predecessors, back to the first, has expired. Kept here because the sweep removes their rows.
    /// Nil without predecessors, and in rows of earlier versions.
    public var predecessorsEndAt: UnixSeconds?
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
    /// The end of the day on which it was revoked; nil if it was not, or if its ``latestEnd`` is near. No backup from a later
    /// time holds it as valid, so the row can be removed when no older backup is restored any more. See ``noteEnd(at:)``.
    var endedBy: UnixSeconds?

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
    public var isShortened: Bool { record.expiresAt < latestEnd }

    /// The expiries in the expiry index. The sweep removes the row after the last of them, or some time after ``endedBy``.
    var indexedEnds: [UnixSeconds] {
        (isShortened ? [record.expiresAt, latestEnd] : [record.expiresAt]).filter { $0 < .never }
    }

    /// The keys of its entries in the expiry index.
    var expiryKeys: [[UInt8]] {
        var keys = indexedEnds.map { TableKey.expiry($0, record.id) }
        if let endedBy { keys.append(TableKey.ended(endedBy, record.id)) }
        return keys
    }

    /// Whether the row is kept for good. It may then lack its entries in the expiry index.
    var mustBeRemembered: Bool {
        // Aliases refer to imports: without the row the key would be neither known nor importable. A row that was revoked
        // because it was damaged may have been an import's.
        !record.flags.isDisjoint(with: [.imported, .unreadable])
    }

    /// The row of what would otherwise have expired by then is removed by its expiry, and needs no further index entry.
    private static let farSeconds: Int64 = 400 * 86_400

    /// Notes that it is revoked, if it is a key or a client secret that a backup may hold without an expiry or with a far one.
    ///
    /// Nothing changes if that is noted already. Other kinds always have an expiry, a near one, and are too many for another
    /// index entry each. The time is a day, in bytes of the header that all rows have, so a revocation in a full map does not
    /// lengthen the row. It is rounded up: whatever was revoked after a backup has a later time than the backup.
    mutating func noteEnd(at time: UnixSeconds) {
        guard endedBy == nil, record.flags.contains(.revoked), [.apiKey, .clientSecret].contains(record.kind),
            !mustBeRemembered, latestEnd > time.adding(Self.farSeconds)
        else { return }
        endedBy = UnixSeconds((min(max(time.rawValue, 0) / 86_400, Int64(UInt16.max) - 1) + 1) * 86_400)
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
