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
    /// The same secret with another id.
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
    /// Each digit of the secret is six random bits, discarded for the two values that are not digits: no bias, 256 bits. Ten
    /// digits share one call of the generator, since each call enters the kernel.
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
