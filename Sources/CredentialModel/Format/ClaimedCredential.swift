/// A text with a native credential's length and fixed characters, whose digits and checksum are not checked yet.
///
/// *Accepting* a credential does not need that check: a matching tag proves that kind, id and secret are as issued, and the
/// checksum can be compared with the issued one. Only a credential that is not accepted must be fully parsed, as a
/// ``NativeCredential``, to find the reason.
public struct ClaimedCredential: Sendable {
    public let id: WrittenID
    /// The padded block that ``CredentialDigest`` compresses.
    public let block: TagBlock
    /// The six checksum digits at the end, in memory order.
    public let checksum: UInt64

    /// Nil unless length, vendor, version and separators are right. Never traps.
    @inlinable @inline(__always)
    public init?(_ bytes: RawSpan, vendor: Vendor) {
        // Inlined, so that the block is built where it is hashed: processors stall when a value just written in small pieces
        // is read in large ones.
        guard bytes.byteCount == CredentialFormat.byteCount else { return nil }
        // Vendor, version `1` and the first separator `_`; then the second separator.
        let fixed = UInt64(vendor.rawValue) | 0x5F_3100_0000
        guard bytes.word64(at: 0) & 0xFF_FF00_FFFF == fixed, bytes.byte(at: 16) == 0x5F else { return nil }
        id = WrittenID(credential: bytes)
        block = TagBlock(credential: bytes)
        checksum = bytes.word64(at: 58) >> 16
    }
}

/// An id as it is written: 11 digits in memory order. Each id has exactly one spelling, so this can replace the number.
public struct WrittenID: Sendable {
    /// The first eight digits.
    public let first: UInt64
    /// The last three.
    public let last: UInt64

    /// The id's digits in a credential of 66 bytes.
    @inlinable @inline(__always)
    init(credential bytes: RawSpan) {
        first = bytes.word64(at: 5)
        last = bytes.word64(at: 8) >> 40
    }

    public init(_ id: CredentialID) {
        var first: UInt64 = 0
        var last: UInt64 = 0
        let digits = id.digits
        for index in 0..<8 { first |= UInt64(digits[index]) << UInt64(8 &* index) }
        for index in 8..<11 { last |= UInt64(digits[index]) << UInt64(8 &* (index &- 8)) }
        self.first = first
        self.last = last
    }
}
