public import CredentialModel

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

    /// A row for a new record. The owner is 0 to 255 bytes without a zero byte, as issuance has checked.
    public init(record: CredentialRecord, owner: [UInt8], name: String?) {
        self.record = record
        self.record.owner = OwnerText(owner.octets)
        self.owner = owner
        self.name = name
    }
}
