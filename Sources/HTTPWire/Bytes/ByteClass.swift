/// Character classes, one bit for each grammar rule: a test is one load and one AND.
struct ByteClass {
    /// RFC 9110 §5.6.2 `tchar`: methods, field names, schemes, parameter names.
    static let token: UInt8 = 1
    /// 0x21…0x7E: request targets.
    static let visible: UInt8 = 2
    /// RFC 3986 §3.2.2 `reg-name` without `%` and sub-delims, which host names do not use in practice.
    static let host: UInt8 = 4
    /// Allowed between the brackets of an IP literal.
    static let literal: UInt8 = 8
    /// Written to a response field unencoded: visible characters except `%`.
    static let plainHeader: UInt8 = 32
    /// Written to a JSON string unescaped, except bytes above 0x7F, which are checked as UTF-8.
    static let plainJSON: UInt8 = 64
    /// Decimal digits.
    static let digit: UInt8 = 128

    @inline(__always)
    static func has(_ byte: UInt8, _ rule: UInt8) -> Bool { byteClasses[Int(byte)] & rule != 0 }
}

@inline(__always)
func isToken(_ byte: UInt8) -> Bool { ByteClass.has(byte, ByteClass.token) }

@inline(__always)
func isDigit(_ byte: UInt8) -> Bool { ByteClass.has(byte, ByteClass.digit) }

/// Written out, so that it lies in read-only data and a look-up needs no lazy initialisation. A test derives every
/// entry from the grammar.
let byteClasses: InlineArray<256, UInt8> = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    64, 115, 34, 115, 115, 83, 115, 115, 114, 114, 115, 115, 98, 119, 127, 114,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 122, 114, 114, 114, 114, 114,
    114, 127, 127, 127, 127, 127, 127, 119, 119, 119, 119, 119, 119, 119, 119, 119,
    119, 119, 119, 119, 119, 119, 119, 119, 119, 119, 119, 114, 50, 114, 115, 119,
    115, 127, 127, 127, 127, 127, 127, 119, 119, 119, 119, 119, 119, 119, 119, 119,
    119, 119, 119, 119, 119, 119, 119, 119, 119, 119, 119, 114, 115, 114, 119, 64,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]

extension RawSpan {
    /// Length of the UTF-8 sequence that begins at `index` and ends before `end`; 0 if there is none. Overlong forms,
    /// surrogates and values above U+10FFFF are not valid (RFC 3629 §4).
    @inline(__always)
    func utf8Length(_ index: Int, to end: Int) -> Int {
        let first = byte(index)
        return first < 0x80 ? 1 : multibyteLength(first, index, end)
    }

    private func multibyteLength(_ first: UInt8, _ index: Int, _ end: Int) -> Int {
        let length: Int
        // Bounds of the second byte; those of later bytes are always 0x80…0xBF.
        var lowest: UInt8 = 0x80
        var highest: UInt8 = 0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, lowest) = (3, 0xA0)
        case 0xED: (length, highest) = (3, 0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, lowest) = (4, 0x90)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, highest) = (4, 0x8F)
        default: return 0
        }
        guard end &- index >= length else { return 0 }
        guard (lowest...highest).contains(byte(index &+ 1)) else { return 0 }
        var offset = 2
        while offset < length {
            guard byte(index &+ offset) & 0xC0 == 0x80 else { return 0 }
            offset &+= 1
        }
        return length
    }

    /// Whether all bytes are valid UTF-8.
    public var isUTF8: Bool { isUTF8(from: 0, to: byteCount) }

    /// Whether `from..<end` is valid UTF-8.
    func isUTF8(from: Int, to end: Int) -> Bool {
        var index = from
        while index < end {
            let length = utf8Length(index, to: end)
            guard length > 0 else { return false }
            index &+= length
        }
        return true
    }
}
