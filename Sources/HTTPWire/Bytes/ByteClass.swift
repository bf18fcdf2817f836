/// What a byte may be part of, one bit per grammar rule: a test is one load and one AND.
struct ByteClass {
    /// RFC 9110 §5.6.2 `tchar`: methods, field names, schemes, parameter names.
    static let token: UInt8 = 1
    /// 0x21…0x7E: request targets.
    static let visible: UInt8 = 2
    /// RFC 3986 §3.2.2 `reg-name` without `%` and sub-delims: nothing else names a host in practice.
    static let host: UInt8 = 4
    /// What may stand between the brackets of an IP literal.
    static let literal: UInt8 = 8
    /// What appears in a response field as it is: visible, without `%`.
    static let plainHeader: UInt8 = 32
    /// What appears in a JSON string as it is, except bytes above 0x7F, which are looked at as UTF-8.
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

/// The value of a hexadecimal digit, or 255.
@inline(__always)
func hexValue(_ byte: UInt8) -> UInt8 {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- UInt8(ascii: "A") &+ 10
    default: 255
    }
}

/// Spelled out, so that it lies in read-only data and no `once` stands before a look-up.
/// A test derives every entry anew from the grammar.
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
