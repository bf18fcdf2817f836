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

    /// A new id above all earlier ones. So rows are appended and fill their pages, neighbouring rows expire at about
    /// the same time, and the table is its own index by time.
    ///
    /// ```
    /// 63        32 31       22 21            0
    ///  second       1/1024 s     random
    /// ```
    ///
    /// Ids within the same 1/1024 s are separated by random distances of up to 2^16. With more than about 128 in each
    /// 1/1024 s they run ahead of the time until the rate falls. Seconds last until 2106.
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

/// Base62 in the order `0-9A-Za-z`, fixed width, zero-padded: one spelling for each value.
///
/// Decoding handles eight digits at once without branching on them: a random digit is as often a letter as not, so a
/// branch would be mispredicted every other time.
enum Base62 {
    /// The digits in order of their value.
    static let alphabet: InlineArray<62, UInt8> = [
        0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39,
        0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D,
        0x4E, 0x4F, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A,
        0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D,
        0x6E, 0x6F, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A,
    ]

    /// 62^8: the weight of the digits before the last eight.
    private static let eightDigits: UInt64 = 218_340_105_584_896

    /// Decodes the 11 digits at `offset`; nil for a byte outside the alphabet and for values over 2^64-1.
    @inline(__always)
    static func decode11(_ bytes: RawSpan, at offset: Int) -> UInt64? {
        let high = UInt64(bytes.word32(at: offset)) << 40 | 0x30_3030_3030
        let low = bytes.word64(at: offset &+ 3)
        let (product, productTooLarge) = value(of: high).multipliedReportingOverflow(by: eightDigits)
        let (sum, sumTooLarge) = product.addingReportingOverflow(value(of: low))
        let areDigits = digitBits(high) & digitBits(low) & highBits == highBits
        return areDigits && !productTooLarge && !sumTooLarge ? sum : nil
    }

    /// Decodes the last 6 of the 8 bytes at `offset`; nil for a byte outside the alphabet.
    @inline(__always)
    static func decode6(endOf bytes: RawSpan, at offset: Int) -> UInt64? {
        let digits = bytes.word64(at: offset) & ~0xFFFF | 0x3030
        return digitBits(digits) & highBits == highBits ? value(of: digits) : nil
    }

    /// The value of eight digits, the most significant in the low byte. Meaningless if any byte is not a digit.
    ///
    /// Neighbouring digits are joined into numbers to base 62², 62⁴ and 62⁸.
    @inline(__always)
    private static func value(of digits: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        // Letters have bit 6 set, lower case also bit 5. The gaps in ASCII put `A` 7 too far from `9`, and `a` 13.
        let letters = digits >> 6 & ones
        let lower = letters & digits >> 5
        let values = digits &- 0x30 &* ones &- letters &* 7 &- lower &* 6
        let twos = (values & 0x00FF_00FF_00FF_00FF) &* 62 &+ (values >> 8 & 0x00FF_00FF_00FF_00FF)
        let fours = (twos & 0x0000_FFFF_0000_FFFF) &* 3_844 &+ (twos >> 16 & 0x0000_FFFF_0000_FFFF)
        return (fours & 0xFFFF_FFFF) &* 14_776_336 &+ fours >> 32
    }

    /// The high bit of each of eight bytes.
    static let highBits: UInt64 = 0x8080_8080_8080_8080

    /// Sets the high bit of each of eight bytes that is a digit; the other bits are undefined.
    @inline(__always)
    static func digitBits(_ word: UInt64) -> UInt64 {
        let low = word & ~highBits
        // Setting bit 5 maps upper case to lower case; `[` to `` ` `` map to 0x7B...0x7F and so stay outside.
        let folded = low | 0x2020_2020_2020_2020
        return (between(0x30, 0x39, low) | between(0x61, 0x7A, folded)) & ~word
    }

    /// Sets the high bit of each byte from `first` to `last`. All bytes are below 0x80, so no sum carries over.
    @inline(__always)
    private static func between(_ first: UInt64, _ last: UInt64, _ low: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        return (low &+ (0x80 &- first) &* ones) & ~(low &+ (0x7F &- last) &* ones)
    }

    /// Appends `value` as exactly `count` digits; higher digits are dropped.
    static func append(_ value: UInt64, count: Int, to text: inout [UInt8]) {
        let start = text.count
        var rest = value
        for _ in 0..<count {
            text.append(alphabet[Int(rest % 62)])
            rest /= 62
        }
        text[start...].reverse()
    }
}
