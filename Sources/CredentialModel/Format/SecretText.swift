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
    /// The same secret under another id.
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

    /// Makes the text of a new credential with the system's random generator (`getrandom`).
    ///
    /// Each digit of the secret is six random bits, drawn again for the two values that are no digit: no bias, 256 bits.
    /// The bits come ten digits at a time, since each draw is a call into the kernel.
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
