/// Strict base64 (RFC 4648 §4): the standard alphabet, padding required, unused bits zero, nothing between. One
/// spelling only for each value.
enum Base64 {
    /// Decodes `encoded` into the front of `output`.
    /// - Returns: number of bytes; `nil` if it is malformed or does not fit.
    static func decode(_ encoded: RawSpan, into output: inout [UInt8]) -> Int? {
        let length = encoded.byteCount
        guard length > 0, length & 3 == 0 else { return nil }
        var padding = 0
        if encoded.byte(length &- 1) == UInt8(ascii: "=") {
            padding = encoded.byte(length &- 2) == UInt8(ascii: "=") ? 2 : 1
        }
        let count = length / 4 &* 3 &- padding
        guard count <= output.count else { return nil }
        let whole = padding == 0 ? length : length &- 4
        var target = output.mutableSpan
        var from = 0
        var to = 0
        while from < whole {
            let bits = quad(encoded.shortWord(from, count: 4))
            guard bits <= 0xFF_FFFF else { return nil }
            target[to] = UInt8(truncatingIfNeeded: bits &>> 16)
            target[to &+ 1] = UInt8(truncatingIfNeeded: bits &>> 8)
            target[to &+ 2] = UInt8(truncatingIfNeeded: bits)
            from &+= 4
            to &+= 3
        }
        guard padding > 0 else { return count }
        // `A` stands for zero bits, so the padding can be read as digits.
        let digits = encoded.shortWord(from, count: 4 &- padding) | (padding == 1 ? 0x4100_0000 : 0x4141_0000)
        let bits = quad(digits)
        // The bits that no byte takes must be zero, or one value would have several spellings.
        guard bits <= 0xFF_FFFF, bits & (padding == 1 ? 0xFF : 0xFFFF) == 0 else { return nil }
        target[to] = UInt8(truncatingIfNeeded: bits &>> 16)
        if padding == 1 { target[to &+ 1] = UInt8(truncatingIfNeeded: bits &>> 8) }
        return count
    }

    /// Four digits, the first one lowest, as 24 bits; more than 24 if one is no digit.
    @inline(__always)
    private static func quad(_ digits: UInt64) -> UInt32 {
        let first = UInt32(base64Values[Int(digits & 0xFF)])
        let second = UInt32(base64Values[Int(digits &>> 8 & 0xFF)])
        let third = UInt32(base64Values[Int(digits &>> 16 & 0xFF)])
        let fourth = UInt32(base64Values[Int(digits &>> 24 & 0xFF)])
        // 255, the mark of no digit, reaches above bit 24 only from the first place; from all four by this.
        let bad = (first | second | third | fourth) & 0x80
        return bad &<< 24 | first &<< 18 | second &<< 12 | third &<< 6 | fourth
    }
}

/// The value of each base64 digit, 255 for other bytes. Spelled out, so that it lies in read-only data; a test derives
/// it anew.
let base64Values: InlineArray<256, UInt8> = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 62, 255, 255, 255, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 255, 255, 255, 255, 255, 255,
    255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 255, 255, 255, 255, 255,
    255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
]
