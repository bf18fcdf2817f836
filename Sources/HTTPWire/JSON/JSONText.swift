/// Where a JSON string lies, without its quotes, as it is spelled. Its escapes and its UTF-8 have been looked at.
public struct JSONText: Equatable, Sendable {
    /// Offsets into the text that it was found in.
    public let range: WireRange
    private let decodedBytes: UInt32

    init(range: WireRange, decodedBytes: Int) {
        self.range = range
        self.decodedBytes = UInt32(truncatingIfNeeded: decodedBytes)
    }

    /// Number of bytes that the string has once its escapes are decoded.
    public var count: Int { Int(decodedBytes) }
    /// Whether the bytes of ``range`` are not those of the string: an escape is always longer than what it stands for.
    public var isEscaped: Bool { count != range.count }
}

extension RawSpan {
    /// Whether a string that was found in these bytes is `text`, however it is spelled.
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
    /// Decodes the escapes of a string that was found in `source`, behind what was decoded before. In bytes that it was
    /// not found in, it is empty.
    @usableFromInline
    mutating func decode(_ source: RawSpan, _ string: JSONText) -> FormText {
        guard string.isEscaped else { return FormText(range: string.range, isDecoded: false) }
        let start = storage.count
        let end = string.range.end
        var index = string.range.start
        while index < end {
            let backslash = source.find(UInt8(ascii: "\\"), from: index, to: end)
            let plain = source.slice(WireRange(index, backslash))
            // SAFETY: the pointer does not leave the closure, and the array copies what it points to.
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
