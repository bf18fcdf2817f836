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

    /// Whether a text holds what looks like a credential of any vendor, or like the beginning of one: it must not get into a log.
    /// Allocates nothing.
    public static func isWithin(_ text: RawSpan) -> Bool {
        var start = 0
        while start + secretOffset < text.byteCount {
            if text.byte(at: start + versionOffset) == version,
                text.byte(at: start + firstSeparatorOffset) == separator,
                text.byte(at: start + secondSeparatorOffset) == separator,
                CredentialKind(rawValue: text.byte(at: start + kindOffset)) != nil
            {
                return true
            }
            start += 1
        }
        return false
    }

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

/// What a credential is for: the third letter of its text.
public enum CredentialKind: UInt8, Sendable, CaseIterable {
    /// `k`: an API key, server to server.
    case apiKey = 0x6B
    /// `b`: an OAuth 2.0 bearer access token (RFC 6750).
    case accessToken = 0x62
    /// `r`: an OAuth 2.0 refresh token (RFC 6749 §1.5).
    case refreshToken = 0x72
    /// `a`: an OAuth 2.0 authorization code (RFC 6749 §1.3.1).
    case authorizationCode = 0x61
    /// `c`: an OAuth 2.0 client secret (RFC 6749 §2.3.1).
    case clientSecret = 0x63

    /// The name in the administration API.
    public var name: String {
        switch self {
        case .apiKey: "api_key"
        case .accessToken: "access_token"
        case .refreshToken: "refresh_token"
        case .authorizationCode: "authorization_code"
        case .clientSecret: "client_secret"
        }
    }

    /// The kind with this ``name``, or nil.
    public init?(name: String) {
        guard let kind = CredentialKind.allCases.first(where: { $0.name == name }) else { return nil }
        self = kind
    }
}

/// The text of a new credential. It prints itself as `<redacted>`, so that no log or error can show it.
public struct SecretText: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    private let bytes: [UInt8]

    /// Wraps the bytes of a credential.
    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The text, for its recipient.
    public func reveal() -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes, for hashing.
    public func revealBytes() -> [UInt8] {
        bytes
    }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
}

#if !hasFeature(Embedded)
    extension SecretText: CustomReflectable {
        public var customMirror: Mirror { Mirror(self, children: []) }
    }
#endif

extension CredentialFormat {
    /// This credential with another id, the same secret and a new checksum.
    public static func text(_ text: SecretText, under id: CredentialID) -> SecretText {
        let old = text.revealBytes()
        guard old.count == byteCount else { return text }
        var new: [UInt8] = []
        new.reserveCapacity(byteCount)
        new.append(contentsOf: old[..<idOffset])
        Base62.append(id.rawValue, count: idCount, to: &new)
        new.append(contentsOf: old[secondSeparatorOffset..<checksumOffset])
        Base62.append(UInt64(Checksum.crc32(new.octets)), count: checksumCount, to: &new)
        return SecretText(new)
    }

    /// Generates the text of a new credential with the system's random generator (`getrandom`).
    ///
    /// Each digit of the secret is six random bits, discarded for the two values that are not digits: no bias, 256
    /// bits. Ten digits share one call of the generator, since each call enters the kernel.
    public static func mint(kind: CredentialKind, id: CredentialID, vendor: Vendor) -> SecretText {
        var generator = SystemRandomNumberGenerator()
        var text: [UInt8] = []
        text.reserveCapacity(byteCount)
        text.append(word16: vendor.rawValue)
        text.append(kind.rawValue)
        text.append(version)
        text.append(separator)
        Base62.append(id.rawValue, count: idCount, to: &text)
        text.append(separator)
        while text.count < checksumOffset {
            var bits: UInt64 = generator.next()
            for _ in 0..<10 where text.count < checksumOffset {
                if bits & 63 < 62 { text.append(Base62.alphabet[Int(bits & 63)]) }
                bits >>= 6
            }
        }
        Base62.append(UInt64(Checksum.crc32(text.octets)), count: checksumCount, to: &text)
        return SecretText(text)
    }
}
