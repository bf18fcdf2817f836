/// What is known of a credential: everything that a verdict needs, in a fixed size, without a reference.
///
/// Clients, scope sets, audience sets and network sets are *interned*: numbers that the store gave out once and never
/// gives again; 0 means none.
public struct CredentialRecord: Sendable {
    public var id: CredentialID
    public var kind: CredentialKind
    public var flags: CredentialFlags
    /// The number of the pepper that ``tag`` was made with.
    public var pepper: UInt16
    public var tag: Tag
    public var issuedAt: UnixSeconds
    /// First second at which it is no longer valid; ``UnixSeconds/never`` when it does not expire.
    public var expiresAt: UnixSeconds
    /// First second at which it is valid.
    public var notBefore: UnixSeconds
    /// The journal number of its issue: watermarks kill what was issued under a lower number than theirs.
    public var journalNumber: UInt64
    /// The number that an authorization's codes, refresh and access tokens share; 0 outside of any family.
    public var family: UInt64
    public var client: UInt32
    public var scopes: UInt32
    public var audiences: UInt32
    public var networks: UInt32
    public var owner: OwnerText

    /// A record with no limits and no grants, to be filled in.
    public init(id: CredentialID, kind: CredentialKind, tag: Tag, pepper: UInt16) {
        self.id = id
        self.kind = kind
        self.tag = tag
        self.pepper = pepper
        flags = []
        issuedAt = .always
        expiresAt = .never
        notBefore = .always
        journalNumber = 0
        family = 0
        client = 0
        scopes = 0
        audiences = 0
        networks = 0
        owner = OwnerText()
    }

    /// A place to read a record into.
    public static var blank: CredentialRecord {
        CredentialRecord(id: CredentialID(rawValue: 0), kind: .apiKey, tag: Tag(0, 0, 0, 0), pepper: 0)
    }
}

/// Yes-or-no properties of a record.
public struct CredentialFlags: OptionSet, Sendable {
    public let rawValue: UInt16

    @inlinable
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// Revoked: never accepted again.
    @inlinable public static var revoked: CredentialFlags { CredentialFlags(rawValue: 1) }
    /// Came from another system in another shape; found through the aliases.
    @inlinable public static var imported: CredentialFlags { CredentialFlags(rawValue: 2) }
    /// Has a successor and ends at its expiry, which callers learn as `X-Auth-Sunset`.
    @inlinable public static var superseded: CredentialFlags { CredentialFlags(rawValue: 4) }
    /// Holds a critical claim that this version does not know; never accepted by it.
    @inlinable public static var unintelligible: CredentialFlags { CredentialFlags(rawValue: 8) }
}
