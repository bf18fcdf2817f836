import NetworkAddress

/// The location of a JSON string, undecoded and without its quotes. Its escapes and UTF-8 have been checked.
public struct JSONText: Equatable, Sendable {
    /// Offsets into the source.
    public let range: WireRange
    private let decodedBytes: UInt32

    init(range: WireRange, decodedBytes: Int) {
        self.range = range
        self.decodedBytes = UInt32(truncatingIfNeeded: decodedBytes)
    }

    /// Number of bytes after decoding.
    public var count: Int { Int(decodedBytes) }
    /// Whether it has escapes: an escape is always longer than the character that it encodes.
    public var isEscaped: Bool { count != range.count }
}

extension RawSpan {
    /// Whether a string that was found in these bytes equals `text`, escaped or not.
    func spells(_ string: JSONText, _ text: StaticString) -> Bool {
        guard string.isEscaped else { return equals(string.range, text) }
        guard string.count == text.utf8CodeUnitCount else { return false }
        var index = string.range.start
        var matched = 0
        while index < string.range.end {
            var byte = byte(index)
            var length = 1
            if byte == UInt8(ascii: "\\") {
                guard let escape = try? jsonEscape(index, to: string.range.end), escape.scalar.isASCII else {
                    return false
                }
                byte = UInt8(truncatingIfNeeded: escape.scalar.value)
                length = escape.spelledBytes
            }
            guard matched < text.utf8CodeUnitCount, byte == literalByte(text, matched) else { return false }
            matched &+= 1
            index &+= length
        }
        return matched == text.utf8CodeUnitCount
    }
}

extension FormScratch {
    /// Decodes the escapes of a string that was found in `source`, after what was decoded before. In other bytes it is
    /// empty.
    @usableFromInline
    mutating func decode(_ source: RawSpan, _ string: JSONText) -> FormText {
        guard string.isEscaped else { return FormText(range: string.range, isDecoded: false) }
        let start = storage.count
        let end = string.range.end
        var index = string.range.start
        while index < end {
            let backslash = source.find(UInt8(ascii: "\\"), from: index, to: end)
            let plain = source.slice(WireRange(index, backslash))
            // SAFETY: the pointer does not leave the closure, and the array copies the bytes.
            unsafe plain.withUnsafeBytes { unsafe storage.append(contentsOf: $0) }
            guard backslash < end else { break }
            guard let escape = try? source.jsonEscape(backslash, to: end), let units = UTF8.encode(escape.scalar) else {
                storage.removeSubrange(start...)
                break
            }
            storage.append(contentsOf: units)
            index = backslash &+ escape.spelledBytes
        }
        return FormText(range: WireRange(start, storage.count), isDecoded: true)
    }
}

/// One escape in a JSON string (RFC 8259 §7).
struct JSONEscape {
    /// The character that it encodes.
    let scalar: Unicode.Scalar
    /// Bytes of the escape: always more than its character takes in UTF-8.
    let spelledBytes: Int

    /// Bytes of the character in UTF-8.
    var decodedBytes: Int { UTF8.width(scalar) }
}

extension RawSpan {
    /// The escape whose backslash is at `index`, before `end`.
    func jsonEscape(_ index: Int, to end: Int) throws(JSONFault) -> JSONEscape {
        guard end &- index >= 2 else { throw .endsEarly }
        let scalar: Unicode.Scalar
        switch byte(index &+ 1) {
        case UInt8(ascii: "\""): scalar = "\""
        case UInt8(ascii: "\\"): scalar = "\\"
        case UInt8(ascii: "/"): scalar = "/"
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{C}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        case UInt8(ascii: "u"): return try unicodeEscape(index, to: end)
        default: throw .badEscape
        }
        return JSONEscape(scalar: scalar, spelledBytes: 2)
    }

    /// `\uXXXX`, or two of them for a surrogate pair.
    private func unicodeEscape(_ index: Int, to end: Int) throws(JSONFault) -> JSONEscape {
        let first = try codeUnit(index &+ 2, to: end)
        // Only surrogates are not scalars.
        if let scalar = Unicode.Scalar(first) { return JSONEscape(scalar: scalar, spelledBytes: 6) }
        guard first < 0xDC00 else { throw .loneSurrogate }
        guard end &- index >= 7 else { throw .endsEarly }
        guard byte(index &+ 6) == UInt8(ascii: "\\") else { throw .loneSurrogate }
        guard end &- index >= 8 else { throw .endsEarly }
        guard byte(index &+ 7) == UInt8(ascii: "u") else { throw .loneSurrogate }
        let second = try codeUnit(index &+ 8, to: end)
        guard second & 0xFC00 == 0xDC00,
            let scalar = Unicode.Scalar(0x1_0000 &+ ((first & 0x3FF) &<< 10 | second & 0x3FF))
        else { throw .loneSurrogate }
        return JSONEscape(scalar: scalar, spelledBytes: 12)
    }

    /// The value of four hexadecimal digits at `index`.
    private func codeUnit(_ index: Int, to end: Int) throws(JSONFault) -> UInt32 {
        var unit: UInt32 = 0
        var offset = index
        while offset < index &+ 4 {
            guard offset < end else { throw .endsEarly }
            let digit = Hexadecimal.value(byte(offset))
            guard digit != 255 else { throw .badEscape }
            unit = unit &<< 4 | UInt32(digit)
            offset &+= 1
        }
        return unit
    }
}
