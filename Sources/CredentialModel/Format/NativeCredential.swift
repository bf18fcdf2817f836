/// A presented credential whose vendor, version, alphabet and checksum are valid. Later code does not check them again.
///
/// It has the id and the block to be hashed, never the text: `kind ‖ id ‖ secret` is 55 bytes, which with SHA-256's
/// padding fill exactly one 64-byte block.
public struct NativeCredential: Sendable {
    public let id: CredentialID
    public let kind: CredentialKind
    /// The padded block that ``CredentialDigest`` compresses.
    public let block: TagBlock

    /// Nil unless `bytes` is exactly one credential of `vendor`. Runs in constant space and never traps.
    public init?(_ bytes: RawSpan, vendor: Vendor) {
        guard let claimed = ClaimedCredential(bytes, vendor: vendor), let (id, kind) = claimed.confirm(bytes) else {
            return nil
        }
        self.id = id
        self.kind = kind
        block = claimed.block
    }
}

extension ClaimedCredential {
    /// Completes the checks on the same bytes: nil unless they are exactly one credential.
    public func confirm(_ bytes: RawSpan) -> (id: CredentialID, kind: CredentialKind)? {
        guard bytes.byteCount == CredentialFormat.byteCount,
            let id = Base62.decode11(bytes, at: CredentialFormat.idOffset),
            let checksum = Base62.decode6(endOf: bytes, at: CredentialFormat.checksumOffset &- 2),
            checksum == UInt64(Checksum.crc32(bytes)), Self.secretIsBase62(bytes),
            let kind = CredentialKind(rawValue: bytes.byte(at: CredentialFormat.kindOffset))
        else { return nil }
        return (CredentialID(rawValue: id), kind)
    }

    /// The secret's 43 bytes as six words, of which the last overlaps the fifth.
    @inline(__always)
    private static func secretIsBase62(_ bytes: RawSpan) -> Bool {
        let start = CredentialFormat.secretOffset
        var digits = Base62.digitBits(bytes.word64(at: CredentialFormat.checksumOffset &- 8))
        for index in 0..<5 { digits &= Base62.digitBits(bytes.word64(at: start &+ 8 &* index)) }
        return digits & Base62.highBits == Base62.highBits
    }
}

/// One SHA-256 block: `kind ‖ id ‖ secret`, then the padding of an HMAC's inner hash over 55 bytes.
public struct TagBlock: Sendable {
    /// The 64 bytes in memory order, in the 16-byte pieces in which they are hashed.
    public let quarters: InlineArray<4, SIMD2<UInt64>>

    /// The block of an HMAC pad (RFC 2104 §2): a key of up to 64 bytes, padded with zeros, each byte XORed with `pad`.
    public init(padded key: [UInt8], _ pad: UInt8) {
        func word(_ index: Int) -> UInt64 {
            var word: UInt64 = 0
            for (offset, byte) in key.dropFirst(index * 8).prefix(8).enumerated() {
                word |= UInt64(byte) << (8 * offset)
            }
            return word ^ UInt64(pad) &* 0x0101_0101_0101_0101
        }
        quarters = InlineArray { SIMD2(word(2 * $0), word(2 * $0 + 1)) }
    }

    /// Extracts the hashed bytes from a credential's text: byte 2, bytes 5..15 and bytes 17..59.
    @inlinable @inline(__always)
    init(credential bytes: RawSpan) {
        // Byte 0 is the kind, bytes 1..11 the id, bytes 12..54 the secret; these three ranges cross word boundaries.
        // Bytes 48..54 are the last seven of the secret; then follow 0x80 and the length in bits, (64 + 55) * 8.
        let idLow = bytes.word64(at: 5)
        let idHigh = UInt64(bytes.word32(at: 12)) >> 8
        let first = UInt64(bytes.byte(at: 2)) | idLow << 8
        let second = idLow >> 56 | (idHigh & 0xFF_FFFF) << 8 | UInt64(bytes.word32(at: 17)) << 32
        let last = bytes.word64(at: 52) >> 8 | 0x80 << 56
        quarters = [
            SIMD2(first, second), SIMD2(bytes.word64(at: 21), bytes.word64(at: 29)),
            SIMD2(bytes.word64(at: 37), bytes.word64(at: 45)), SIMD2(last, UInt64(0x03B8).byteSwapped),
        ]
    }
}

/// A text with a native credential's length and fixed characters, whose digits and checksum are not checked yet.
///
/// *Accepting* a credential does not need that check: a matching tag proves that kind, id and secret are as issued, and
/// the checksum can be compared with the issued one. Only a credential that is not accepted must be fully parsed, as a
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
        // Inlined, so that the block is built where it is hashed: processors stall when a value just written in small
        // pieces is read in large ones.
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
