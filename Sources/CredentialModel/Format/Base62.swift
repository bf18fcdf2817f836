/// Base62 in the order `0-9A-Za-z`, fixed width, zero-padded: one spelling for each value.
enum Base62 {
    /// The digits in order of their value.
    static let alphabet: InlineArray<62, UInt8> = InlineArray { index in
        switch index {
        case 0..<10: UInt8(truncatingIfNeeded: 0x30 + index)
        case 10..<36: UInt8(truncatingIfNeeded: 0x41 + index - 10)
        default: UInt8(truncatingIfNeeded: 0x61 + index - 36)
        }
    }

    /// Marks a byte that is no digit; has a bit that no digit's value has, so that many values can be OR-ed first.
    static let invalid: UInt8 = 0x80

    /// The value of a digit, or a number with bit 7 set.
    @inline(__always)
    static func value(of byte: UInt8) -> UInt8 {
        let digit = byte &- 0x30
        if digit < 10 { return digit }
        let upper = byte &- 0x41
        if upper < 26 { return upper &+ 10 }
        let lower = byte &- 0x61
        if lower < 26 { return lower &+ 36 }
        return invalid
    }

    /// Decodes `count` digits that begin at `offset`; nil for a byte outside the alphabet and for values over 2^64-1.
    ///
    /// The caller keeps `offset + count` within `bytes`.
    @inline(__always)
    static func decode(_ bytes: RawSpan, at offset: Int, count: Int) -> UInt64? {
        var seen: UInt8 = 0
        var result: UInt64 = 0
        // Ten digits stay below 2^60, so that only an eleventh can overflow.
        let safe = min(count, 10)
        for index in 0..<safe {
            let digit = value(of: bytes.byte(at: offset &+ index))
            seen |= digit
            result = result &* 62 &+ UInt64(digit)
        }
        guard seen & invalid == 0 else { return nil }
        for index in safe..<count {
            let digit = value(of: bytes.byte(at: offset &+ index))
            guard digit & invalid == 0 else { return nil }
            let (product, tooLarge) = result.multipliedReportingOverflow(by: 62)
            let (sum, stillTooLarge) = product.addingReportingOverflow(UInt64(digit))
            guard !tooLarge, !stillTooLarge else { return nil }
            result = sum
        }
        return result
    }

    /// Appends `value` as exactly `count` digits; higher digits that do not fit are dropped.
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
