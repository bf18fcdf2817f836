/// The public part of a credential: LMDB key, cache index and log handle.
///
/// A random number, except for access tokens, whose ids begin with the time (``ordered(at:after:)``).
///
/// Printed as 11 base62 digits. An id gives no access, and its existence is not secret.
public struct CredentialID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Parses exactly 11 base62 digits; nil for anything else and for values over 2^64-1.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == CredentialFormat.idCount else { return nil }
        guard let value = Base62.decode11(bytes.octets, at: 0) else { return nil }
        rawValue = value
    }

    /// A new random id from the system's generator. Never zero, which marks an empty slot in tables.
    public static func random() -> CredentialID {
        var generator = SystemRandomNumberGenerator()
        return CredentialID(rawValue: UInt64.random(in: 1...UInt64.max, using: &generator))
    }

    /// The second of issuance, with which an id of ``ordered(at:after:)`` begins; meaningless for other ids.
    public var orderedSecond: Int64 { Int64(rawValue >> 32) }

    /// A new id above all earlier ones. So rows are appended and fill their pages, neighbouring rows expire at about the
    /// same time, and the table is its own index by time.
    ///
    /// ```
    /// 63        32 31       22 21            0
    ///  second       1/1024 s     random
    /// ```
    ///
    /// Ids within the same 1/1024 s are separated by random distances of up to 2^16. With more than about 128 in each 1/1024
    /// s they run ahead of the time until the rate falls. Seconds last until 2106.
    ///
    /// - Parameters:
    ///   - instant: the time since the Unix epoch in units of 2^-32 seconds.
    ///   - last: the last id assigned; 0 for none.
    public static func ordered(at instant: UInt64, after last: UInt64) -> CredentialID {
        var generator = SystemRandomNumberGenerator()
        let random: UInt64 = generator.next()
        let first = (instant & ~0x3F_FFFF | random & 0x3F_FFFF)
        guard first <= last else { return CredentialID(rawValue: max(first, 1)) }
        let (next, overflow) = last.addingReportingOverflow(1 + random & 0xFFFF)
        return CredentialID(rawValue: overflow ? max(first, 1) : next)
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
