/// The text of a credential at its birth. It prints itself as `<redacted>`, so that no log or error can show it.
public struct SecretText: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let bytes: [UInt8]

    /// Takes over bytes that are a credential.
    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The text, for the one who is to receive it.
    public func reveal() -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes, for hashing.
    public func revealBytes() -> [UInt8] {
        bytes
    }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension CredentialFormat {
    /// Makes the text of a new credential with the system's random generator (`getrandom`).
    ///
    /// Each digit of the secret is drawn by rejection (`UInt8.random(in:)` has no modulo bias): 256 bits.
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
        for _ in 0..<secretCount { text.append(Base62.alphabet[Int.random(in: 0..<62, using: &generator)]) }
        Base62.append(UInt64(Checksum.crc32(text.octets, count: text.count)), count: checksumCount, to: &text)
        return SecretText(text)
    }
}
