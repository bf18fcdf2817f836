/// A presented credential whose vendor, version, alphabet and checksum are right. Nothing behind it checks again.
///
/// It holds the id and the one block that is hashed, never the text: `kind ‖ id ‖ secret` is 55 bytes, which with
/// SHA-256's padding fill exactly one 64-byte block.
public struct NativeCredential: Sendable {
    public let id: CredentialID
    public let kind: CredentialKind
    /// The padded block that ``CredentialDigest`` compresses.
    public let block: TagBlock

    /// Nil unless `bytes` is exactly one credential of `vendor`. Runs in constant space and never traps.
    public init?(_ bytes: RawSpan, vendor: Vendor) {
        guard bytes.byteCount == CredentialFormat.byteCount,
            bytes.word16(at: 0) == vendor.rawValue,
            bytes.byte(at: CredentialFormat.versionOffset) == CredentialFormat.version,
            bytes.byte(at: CredentialFormat.firstSeparatorOffset) == CredentialFormat.separator,
            bytes.byte(at: CredentialFormat.secondSeparatorOffset) == CredentialFormat.separator,
            let kind = CredentialKind(rawValue: bytes.byte(at: CredentialFormat.kindOffset)),
            let id = Base62.decode(bytes, at: CredentialFormat.idOffset, count: CredentialFormat.idCount),
            let checksum = Base62.decode(
                bytes, at: CredentialFormat.checksumOffset, count: CredentialFormat.checksumCount),
            checksum == UInt64(Checksum.crc32(bytes, count: CredentialFormat.checksumOffset)),
            Self.secretIsBase62(bytes)
        else { return nil }
        self.id = CredentialID(rawValue: id)
        self.kind = kind
        block = TagBlock(credential: bytes)
    }

    /// One pass over the secret's 43 bytes without a branch per byte.
    @inline(__always)
    private static func secretIsBase62(_ bytes: RawSpan) -> Bool {
        var seen: UInt8 = 0
        for offset in 0..<CredentialFormat.secretCount {
            let byte = bytes.byte(at: CredentialFormat.secretOffset &+ offset)
            let isDigit = byte &- 0x30 < 10
            // Bit 5 folds upper case onto lower case; `[` to `` ` `` stay outside since 0x7B...0x7F are.
            let isLetter = (byte | 0x20) &- 0x61 < 26
            seen |= isDigit || isLetter ? 0 : 1
        }
        return seen == 0
    }
}

/// One SHA-256 block: `kind ‖ id ‖ secret`, then the padding of an HMAC's inner hash over 55 bytes.
public struct TagBlock: Sendable {
    /// The 64 bytes as eight native words.
    public let words: InlineArray<8, UInt64>

    /// Gathers the hashed bytes out of a credential's text: byte 2, bytes 5..15 and bytes 17..59.
    @inline(__always)
    init(credential bytes: RawSpan) {
        var words = InlineArray<8, UInt64>(repeating: 0)
        // Byte 0 is the kind, bytes 1..11 the id, bytes 12..54 the secret: three runs that overlap word borders.
        let idLow = bytes.word64(at: 5)
        let idHigh = UInt64(bytes.word32(at: 12)) >> 8
        words[0] = UInt64(bytes.byte(at: CredentialFormat.kindOffset)) | idLow << 8
        words[1] = idLow >> 56 | (idHigh & 0xFF_FFFF) << 8 | UInt64(bytes.word32(at: 17)) << 32
        for index in 0..<4 { words[2 + index] = bytes.word64(at: 21 + 8 * index) }
        // Bytes 48..54 of the block are the last seven of the secret; then 0x80 and the length in bits, (64 + 55) * 8.
        words[6] = bytes.word64(at: 52) >> 8 | 0x80 << 56
        words[7] = UInt64(0x03B8).byteSwapped
        self.words = words
    }
}
