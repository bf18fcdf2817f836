internal import CMachine

/// The layout of a native credential: 66 ASCII bytes at fixed offsets.
///
/// ```
/// i i k 1 _ 0 0 0 0 0 0 0 0 0 0 0 _ xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx cccccc
/// └┬┘ │ │   └─────────┬─────────┘   └──────────────────┬──────────────────────┘ └─┬──┘
/// vendor│ version     id, 11 base62 digits              secret, 43 base62 digits    CRC-32 of bytes 0..59
///    kind
/// ```
///
/// The prefix lets a secret scanner find leaks: `ii[kbrac]1_[0-9A-Za-z]{11}_[0-9A-Za-z]{49}`.
public enum CredentialFormat {
    /// Bytes of a whole credential.
    @inlinable public static var byteCount: Int { 66 }
    /// Digits of the public id.
    public static let idCount = 11
    /// Digits of the secret: 43 × log2(62) = 256 bits.
    public static let secretCount = 43

    static let kindOffset = 2
    static let versionOffset = 3
    static let firstSeparatorOffset = 4
    static let idOffset = 5
    static let secondSeparatorOffset = 16
    static let secretOffset = 17
    static let checksumOffset = 60
    static let checksumCount = 6
    static let version: UInt8 = 0x31
    static let separator: UInt8 = 0x5F

    /// Minimum length of an imported credential in bytes.
    public static let importedBytesMin = 20
    /// Maximum length of an imported credential in bytes.
    public static let importedBytesMax = 512

    /// Whether `bytes` may be an imported credential: 20 to 512 visible ASCII characters without comma or quote.
    public static func isImportable(_ bytes: RawSpan) -> Bool {
        guard (importedBytesMin...importedBytesMax).contains(bytes.byteCount) else { return false }
        for offset in 0..<bytes.byteCount {
            let byte = bytes.byte(at: offset)
            guard (0x21...0x7E).contains(byte), byte != 0x2C, byte != 0x22 else { return false }
        }
        return true
    }
}

/// The two lower-case letters with which every credential of a store begins.
public struct Vendor: Hashable, Sendable, CustomStringConvertible {
    /// Both letters, the first in the low byte.
    public let rawValue: UInt16

    /// The vendor of iiniit, used unless a store is created with another one.
    public static let iiniit = Vendor(rawValue: 0x6969)

    private init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// Nil unless `text` is exactly two letters `a` to `z`.
    public init?(_ text: String) {
        let letters = Array(text.utf8)
        guard letters.count == 2, letters.allSatisfy({ (0x61...0x7A).contains($0) }) else { return nil }
        rawValue = UInt16(letters[0]) | UInt16(letters[1]) << 8
    }

    public var description: String {
        String(
            decoding: [UInt8(truncatingIfNeeded: rawValue), UInt8(truncatingIfNeeded: rawValue >> 8)], as: UTF8.self)
    }
}

/// The checksum at the end of a credential: CRC-32 as zlib computes it (reflected polynomial 0xEDB88320).
///
/// It rejects typing errors and random scans before any look-up; it is not a security measure.
enum Checksum {
    /// The checksum of bytes 0..59.
    @inline(__always)
    static func crc32(_ bytes: RawSpan) -> UInt32 {
        cs_crc32_of_60(
            bytes.word32(at: 0), bytes.word64(at: 4), bytes.word64(at: 12), bytes.word64(at: 20), bytes.word64(at: 28),
            bytes.word64(at: 36), bytes.word64(at: 44), bytes.word64(at: 52))
    }
}
