public import CredentialModel

/// A whole row: the fields for the verdict, and those that only administration reads.
public struct StoredCredential: Sendable {
    public var record: CredentialRecord
    /// All bytes of the owner, even where ``CredentialRecord/owner`` holds only the first.
    public var owner: [UInt8]
    /// A name for people; up to 255 bytes of UTF-8.
    public var name: String?
    /// A description for people; up to 1,024 bytes of UTF-8. So the longest row of a key fits on half a page, and has no
    /// pages of its own that its revocation would have to copy.
    public var description: String?
    public var predecessor: CredentialID?
    public var successor: CredentialID?
    /// When the last of its predecessors, back to the first, has expired. Kept here because the sweep removes their
    /// rows. Nil without predecessors, and in rows of earlier versions.
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
    /// The end of the day on which it was revoked; nil if it was not, or if its ``latestEnd`` is near. No backup from a
    /// later time holds it as valid, so the row can be removed when no older backup is restored any more. See
    /// ``noteEnd(at:)``.
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

    /// The expiries in the expiry index. The sweep removes the row after the last of them, or some time after
    /// ``endedBy``.
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
    var isKeptForGood: Bool {
        // Aliases refer to imports: without the row the key would be neither known nor importable. A row that was
        // revoked because it was damaged may have been an import's.
        !record.flags.isDisjoint(with: [.imported, .unreadable])
    }

    /// The row of what would otherwise have expired by then is removed by its expiry, and needs no further index entry.
    private static let farSeconds: Int64 = 400 * 86_400

    /// Notes that it is revoked, if it is a key or a client secret that a backup may hold without an expiry or with a
    /// far one.
    ///
    /// Nothing changes if that is noted already. Other kinds always have an expiry, a near one, and are too many for
    /// another index entry each. The time is a day, in bytes of the header that all rows have, so a revocation in a
    /// full map does not lengthen the row. It is rounded up: whatever was revoked after a backup has a later time than
    /// the backup.
    mutating func noteEnd(at time: UnixSeconds) {
        guard endedBy == nil, record.flags.contains(.revoked), [.apiKey, .clientSecret].contains(record.kind),
            !isKeptForGood, latestEnd > time.adding(Self.farSeconds)
        else { return }
        endedBy = UnixSeconds((min(max(time.rawValue, 0) / 86_400, Int64(UInt16.max) - 1) + 1) * 86_400)
    }

    /// The longest lifetime, in seconds, of an access token without index entries.
    static let unindexedSecondsMax: Int64 = 3_600

    /// Whether it has entries in the indexes by owner and by expiry.
    ///
    /// Access tokens of up to an hour, of which there may be thousands a second, have none. Their ids begin with the
    /// second of issuance, so the table is nearly in order of expiry; a listing by owner scans the tokens of the last
    /// hour. Computed from the row alone, and so the same at issuance and at removal. A row that was once indexed stays
    /// so.
    var isIndexed: Bool {
        guard record.kind == .accessToken, longestEnd == nil else { return true }
        let life = record.expiresAt.rawValue.subtractingReportingOverflow(record.issuedAt.rawValue)
        let late = record.issuedAt.rawValue.subtractingReportingOverflow(record.id.orderedSecond)
        return life.overflow || life.partialValue > Self.unindexedSecondsMax || late.overflow
            || late.partialValue.magnitude > 60
    }
}

// A row of `credentials` or `tokens`:
//
// ```
//  0 format  1 kind  2 pepper  4 flags  6 day of the end (see `StoredCredential.endedBy`); 0 for none
//  8 issuedAt       16 expiresAt       24 journal number
// 32 client         36 scopes          40 audiences        44 networks
// 48 tag (32 bytes)
// 80 claims: type, length (2 bytes), value; repeated to the end
// ```
//
// A claim whose type has bit 7 set is critical: a version that does not know it must not accept the credential. So an
// older program fails closed on restrictions that were added later.

/// The types of claims.
enum ClaimType {
    static let critical: UInt8 = 0x80
    static let notBefore: UInt8 = 0x81
    static let family: UInt8 = 0x82
    static let owner: UInt8 = 0x83
    static let name: UInt8 = 0x04
    static let predecessor: UInt8 = 0x05
    static let successor: UInt8 = 0x06
    static let revokedAt: UInt8 = 0x07
    static let redirectURI: UInt8 = 0x08
    static let codeChallenge: UInt8 = 0x09
    static let grantEndsAt: UInt8 = 0x0A
    static let longestEnd: UInt8 = 0x0B
    static let predecessorsEndAt: UInt8 = 0x0C
    static let description: UInt8 = 0x0D
}

enum RowLayout {
    static let format: UInt8 = 1
    static let headerBytes = 80
    static let pepper = 2
    static let flags = 4
    static let endedBy = 6
    static let issuedAt = 8
    static let expiresAt = 16
    static let journalNumber = 24
    static let client = 32
    static let scopes = 36
    static let audiences = 40
    static let networks = 44
    static let tag = 48

    /// Whether a row belongs to this owner, compared in place. The owner is the first claim of each row that has one.
    static func ownerIsFirstClaim(of row: RawSpan, _ owner: [UInt8]) -> Bool {
        let start = headerBytes + 3
        return row.byteCount >= start + owner.count && row.byte(at: headerBytes) == ClaimType.owner
            && Int(row.word16(at: headerBytes + 1)) == owner.count
            && row.extracting(start..<start + owner.count).elementsEqual(owner.octets)
    }
}

extension CredentialRecord {
    /// Reads a row; nil when it is damaged. Owners of up to 64 bytes are held whole.
    init?(row: RawSpan, id: CredentialID) {
        self = .blank
        guard fillIn(row: row, id: id) else { return nil }
    }

    /// Reads a row in place, without allocating; false when it is damaged.
    ///
    /// Each word is written once and whole: copying a word that was written in pieces stalls the processor.
    @inline(__always)
    mutating func fillIn(row: RawSpan, id: CredentialID) -> Bool {
        guard row.byteCount >= RowLayout.headerBytes, row.byte(at: 0) == RowLayout.format,
            let kind = CredentialKind(rawValue: row.byte(at: 1))
        else { return false }
        self.id = id
        tag = Tag(row, at: RowLayout.tag)
        issuedAt = UnixSeconds(Int64(bitPattern: row.word64(at: RowLayout.issuedAt)))
        expiresAt = UnixSeconds(Int64(bitPattern: row.word64(at: RowLayout.expiresAt)))
        journalNumber = row.word64(at: RowLayout.journalNumber)
        setGrants(
            client: row.word32(at: RowLayout.client), scopes: row.word32(at: RowLayout.scopes),
            audiences: row.word32(at: RowLayout.audiences), networks: row.word32(at: RowLayout.networks))
        var flags = CredentialFlags(rawValue: row.word16(at: RowLayout.flags))
        var notBefore = UnixSeconds.always
        var family: UInt64 = 0
        var ownerRange = 0..<0
        var claims = ClaimCursor(row)
        while let (type, range) = claims.next(row) {
            switch type {
            case ClaimType.owner:
                guard range.count <= OwnerText.bytesMax else { return false }
                ownerRange = range
            case ClaimType.notBefore where range.count == 8:
                notBefore = UnixSeconds(Int64(bitPattern: row.word64(at: range.lowerBound)))
            case ClaimType.family where range.count == 8:
                family = row.word64(at: range.lowerBound)
            default:
                if type & ClaimType.critical != 0 { flags.insert(.hasUnknownCriticalClaim) }
            }
        }
        self.notBefore = notBefore
        self.family = family
        setTraits(kind: kind, pepper: row.word16(at: RowLayout.pepper), flags: flags, owner: row.extracting(ownerRange))
        return claims.isAtEnd(row)
    }
}

/// Iterates over the claims of a row and stops at the first that does not fit.
private struct ClaimCursor {
    private var offset = RowLayout.headerBytes

    init(_ row: RawSpan) {}

    @inline(__always)
    mutating func next(_ row: RawSpan) -> (type: UInt8, range: Range<Int>)? {
        guard offset &+ 3 <= row.byteCount else { return nil }
        let start = offset &+ 3
        let end = start &+ Int(row.word16(at: offset &+ 1))
        guard end <= row.byteCount else { return nil }
        let type = row.byte(at: offset)
        offset = end
        return (type, start..<end)
    }

    func isAtEnd(_ row: RawSpan) -> Bool { offset == row.byteCount }
}

extension StoredCredential {
    /// Reads a whole row; nil when it is damaged.
    init?(row: RawSpan, id: CredentialID) {
        guard let record = CredentialRecord(row: row, id: id) else { return nil }
        self.record = record
        owner = []
        let day = row.word16(at: RowLayout.endedBy)
        endedBy = day == 0 ? nil : UnixSeconds(Int64(day) * 86_400)
        var claims = ClaimCursor(row)
        while let (type, range) = claims.next(row) {
            let value = row.extracting(range)
            switch type {
            case ClaimType.owner: owner = value.copied()
            case ClaimType.name: name = String(decoding: value.copied(), as: UTF8.self)
            case ClaimType.description: description = String(decoding: value.copied(), as: UTF8.self)
            case ClaimType.predecessor where range.count == 8: predecessor = CredentialID(rawValue: value.word64(at: 0))
            case ClaimType.successor where range.count == 8: successor = CredentialID(rawValue: value.word64(at: 0))
            case ClaimType.revokedAt where range.count == 8:
                revokedAt = UnixSeconds(Int64(bitPattern: value.word64(at: 0)))
            case ClaimType.redirectURI: redirectURI = String(decoding: value.copied(), as: UTF8.self)
            case ClaimType.codeChallenge: codeChallenge = value.copied()
            case ClaimType.grantEndsAt where range.count == 8:
                grantEndsAt = UnixSeconds(Int64(bitPattern: value.word64(at: 0)))
            case ClaimType.longestEnd where range.count == 8:
                longestEnd = UnixSeconds(Int64(bitPattern: value.word64(at: 0)))
            case ClaimType.predecessorsEndAt where range.count == 8:
                predecessorsEndAt = UnixSeconds(Int64(bitPattern: value.word64(at: 0)))
            default: break
            }
        }
    }

    /// The row's bytes. Unknown claims are lost, so callers must not rewrite rows with critical ones.
    var row: [UInt8] {
        var row: [UInt8] = [RowLayout.format, record.kind.rawValue]
        row.reserveCapacity(RowLayout.headerBytes + 32 + owner.count)
        row.append(word16: record.pepper)
        row.append(word16: record.flags.subtracting(.hasUnknownCriticalClaim).rawValue)
        row.append(word16: UInt16(clamping: (endedBy?.rawValue ?? 0) / 86_400))
        row.append(word64: UInt64(bitPattern: record.issuedAt.rawValue))
        row.append(word64: UInt64(bitPattern: record.expiresAt.rawValue))
        row.append(word64: record.journalNumber)
        row.append(word32: record.client)
        row.append(word32: record.scopes)
        row.append(word32: record.audiences)
        row.append(word32: record.networks)
        row.append(contentsOf: record.tag.bytes)
        func claim(_ type: UInt8, _ value: [UInt8]) {
            row.append(type)
            row.append(word16: UInt16(clamping: value.count))
            row.append(contentsOf: value.prefix(Int(UInt16.max)))
        }
        func claim(_ type: UInt8, number: UInt64) {
            var value: [UInt8] = []
            value.append(word64: number)
            claim(type, value)
        }
        if !owner.isEmpty { claim(ClaimType.owner, owner) }
        if record.notBefore > .always {
            claim(ClaimType.notBefore, number: UInt64(bitPattern: record.notBefore.rawValue))
        }
        if record.family != 0 { claim(ClaimType.family, number: record.family) }
        if let name { claim(ClaimType.name, Array(name.utf8)) }
        if let description { claim(ClaimType.description, Array(description.utf8)) }
        if let predecessor { claim(ClaimType.predecessor, number: predecessor.rawValue) }
        if let successor { claim(ClaimType.successor, number: successor.rawValue) }
        if let revokedAt { claim(ClaimType.revokedAt, number: UInt64(bitPattern: revokedAt.rawValue)) }
        if let redirectURI { claim(ClaimType.redirectURI, Array(redirectURI.utf8)) }
        if let codeChallenge { claim(ClaimType.codeChallenge, codeChallenge) }
        if let grantEndsAt { claim(ClaimType.grantEndsAt, number: UInt64(bitPattern: grantEndsAt.rawValue)) }
        if let longestEnd { claim(ClaimType.longestEnd, number: UInt64(bitPattern: longestEnd.rawValue)) }
        if let predecessorsEndAt {
            claim(ClaimType.predecessorsEndAt, number: UInt64(bitPattern: predecessorsEndAt.rawValue))
        }
        return row
    }
}
