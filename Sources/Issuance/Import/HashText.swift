/// Parses a hash as other systems write it: hexadecimal digits of either case, base64 or base64url (RFC 4648), with or
/// without padding.
///
/// The length tells the encoding, and parsing is strict: no mixed alphabets, no leftover bits, no surrounding text. So no
/// text is mistaken for another hash, and a truncated or corrupted text is refused.
public enum HashText {
    /// The bytes; nil when the text does not encode exactly `byteCount` bytes.
    public static func decode(_ text: [UInt8], byteCount: Int) -> [UInt8]? {
        if text.count == 2 * byteCount { return hexadecimal(text) }
        let digitCount = (byteCount * 8 + 5) / 6
        let paddedCount = (byteCount + 2) / 3 * 4
        if text.count == digitCount { return base64(text[...], byteCount: byteCount) }
        guard text.count == paddedCount, text[digitCount...].allSatisfy({ $0 == UInt8(ascii: "=") }) else { return nil }
        return base64(text[..<digitCount], byteCount: byteCount)
    }

    private static func hexadecimal(_ text: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2)
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let high = hexadecimalDigit(text[index]), let low = hexadecimalDigit(text[index + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte &- 0x30
        case 0x41...0x46: byte &- 0x37
        case 0x61...0x66: byte &- 0x57
        default: nil
        }
    }

    private static func base64(_ text: ArraySlice<UInt8>, byteCount: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        var bits: UInt32 = 0
        var bitCount = 0
        var isStandard = false
        var isURL = false
        for byte in text {
            let digit: UInt8
            switch byte {
            case 0x41...0x5A: digit = byte &- 0x41
            case 0x61...0x7A: digit = byte &- 0x47
            case 0x30...0x39: digit = byte &+ 4
            case 0x2B: (digit, isStandard) = (62, true)
            case 0x2F: (digit, isStandard) = (63, true)
            case 0x2D: (digit, isURL) = (62, true)
            case 0x5F: (digit, isURL) = (63, true)
            default: return nil
            }
            bits = (bits << 6 | UInt32(digit)) & 0xFFFF
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        // Leftover bits would allow a second spelling of the same hash.
        guard bits & (1 << UInt32(bitCount) &- 1) == 0, !(isStandard && isURL), bytes.count == byteCount else {
            return nil
        }
        return bytes
    }
}
