/// Hexadecimal digits (RFC 4648 §8).
public enum Hexadecimal {
    /// The value of a digit of either case; 255 for any other byte.
    @inlinable
    @inline(__always)
    public static func value(_ digit: UInt8) -> UInt8 {
        switch digit {
        case 0x30...0x39: digit &- 0x30
        case 0x61...0x66: digit &- 0x57
        case 0x41...0x46: digit &- 0x37
        default: 255
        }
    }

    /// Two lower-case digits for each byte.
    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes { text += [lowerCase(byte >> 4), lowerCase(byte & 15)] }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes that pairs of digits of either case encode; nil for anything else.
    public static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.makeIterator()
        while let first = rest.next() {
            guard let second = rest.next(), let byte = byte(first, second) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    static func byte(_ first: UInt8, _ second: UInt8) -> UInt8? {
        let (high, low) = (value(first), value(second))
        return high | low == 255 ? nil : high << 4 | low
    }

    private static func lowerCase(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    static func upperCase(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}

/// Percent-encoding (RFC 3986 §2.1). Decoding is strict: text with an invalid escape or invalid UTF-8 is refused as a whole.
///
/// For text outside of the hot path; HTTPWire decodes in the buffers of connections.
public enum PercentEncoding {
    /// - Parameter plusIsSpace: whether `+` is a space, as in forms and queries (WHATWG URL §5.1).
    /// - Returns: nil for a `%` without two digits, and for bytes that are not UTF-8.
    public static func decode(_ text: some StringProtocol, plusIsSpace: Bool) -> String? {
        decode(bytes: text.utf8, plusIsSpace: plusIsSpace)
    }

    public static func decode(bytes encoded: some Sequence<UInt8>, plusIsSpace: Bool) -> String? {
        var bytes: [UInt8] = []
        var rest = encoded.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let first = rest.next(), let second = rest.next(),
                    let decoded = Hexadecimal.byte(first, second)
                else { return nil }
                bytes.append(decoded)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Encodes everything but unreserved characters (RFC 3986 §2.3).
    public static func encode(_ text: some StringProtocol) -> String {
        encode(bytes: text.utf8) { isUnreserved($0) }
    }

    /// - Parameter isPlain: whether a byte, an ASCII character other than `%`, is written as it is.
    public static func encode(bytes: some Sequence<UInt8>, unless isPlain: (UInt8) -> Bool) -> String {
        var encoded: [UInt8] = []
        for byte in bytes {
            if isPlain(byte) {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), Hexadecimal.upperCase(byte >> 4), Hexadecimal.upperCase(byte & 15)]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// Letters, digits and `-._~`.
    public static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
    }
}
