/// The public part of a credential: a random number, LMDB key, cache index and log handle.
///
/// Printed as 11 base62 digits. Knowing it gives no access: whether an id exists is no secret.
public struct CredentialID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Reads exactly 11 base62 digits; nil for anything else and for values over 2^64-1.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == CredentialFormat.idCount else { return nil }
        guard let value = Base62.decode11(bytes.octets, at: 0) else { return nil }
        rawValue = value
    }

    /// A new random id from the system's generator. Zero marks an empty place in tables and is never given.
    public static func random() -> CredentialID {
        var generator = SystemRandomNumberGenerator()
        return CredentialID(rawValue: UInt64.random(in: 1...UInt64.max, using: &generator))
    }

    public var description: String {
        var text: [UInt8] = []
        Base62.append(rawValue, count: CredentialFormat.idCount, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// The 11 digits, without an allocation.
    public var digits: InlineArray<11, UInt8> {
        var digits = InlineArray<11, UInt8>(repeating: 0x30)
        var rest = rawValue
        for index in (0..<11).reversed() {
            digits[index] = Base62.alphabet[Int(rest % 62)]
            rest /= 62
        }
        return digits
    }

    public static func < (left: CredentialID, right: CredentialID) -> Bool {
        left.rawValue < right.rawValue
    }
}
