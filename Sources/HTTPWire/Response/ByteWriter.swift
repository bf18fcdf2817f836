/// Appends to the free space of a connection's output buffer, and never beyond.
///
/// If something does not fit, ``overflowed`` is set and nothing more is written: the caller checks once at the end and
/// discards the attempt.
@safe
public struct ByteWriter: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private let capacity: Int
    /// Bytes written so far.
    public private(set) var written = 0
    /// Whether something did not fit.
    public private(set) var overflowed = false

    /// A writer over `memory`, which must stay valid and must not be used by anything else while this writer lives.
    @unsafe
    public init(_ memory: UnsafeMutableRawBufferPointer) {
        // SAFETY: the pointer is only stored; the caller guarantees its lifetime.
        unsafe self.memory = memory
        capacity = memory.count
    }

    /// Free bytes.
    public var room: Int { overflowed ? 0 : capacity &- written }

    /// Appends one byte.
    @inline(__always)
    public mutating func append(byte: UInt8) {
        guard reserve(1) else { return }
        put(byte, at: written)
        written &+= 1
    }

    /// Appends a literal.
    public mutating func append(_ text: StaticString) {
        // SAFETY: literals are never freed, and this is the literal's length.
        unsafe copy(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a part of a literal.
    mutating func append(_ text: StaticString, from start: Int, to end: Int) {
        guard start >= 0, start <= end, end <= text.utf8CodeUnitCount else { return }
        // SAFETY: literals are never freed, and the range lies within this one, as was just checked.
        unsafe copy(UnsafeRawBufferPointer(start: text.utf8Start + start, count: end - start))
    }

    /// Appends bytes unchanged.
    public mutating func append(_ bytes: RawSpan) {
        // SAFETY: the pointer does not leave the closure.
        unsafe bytes.withUnsafeBytes { unsafe copy($0) }
    }

    /// Appends a copy of the bytes written at `range`.
    public mutating func append(again range: Range<Int>) {
        guard range.lowerBound >= 0, range.upperBound <= written else { return }
        // SAFETY: the range lies within the written bytes, as was just checked, and so before the new ones.
        unsafe copy(UnsafeRawBufferPointer(rebasing: memory[range]))
    }

    /// Appends a number in decimal digits.
    public mutating func append(decimal value: UInt64) {
        append(value, radix: 10, width: Self.decimalDigits(value))
    }

    /// Appends a number as 11 base62 digits, zero-padded, as in credential ids.
    public mutating func append(base62 value: UInt64) {
        append(value, radix: 62, width: 11)
    }

    /// Removes everything after the first `count` bytes, unless something did not fit.
    public mutating func rewind(to count: Int) {
        if count >= 0, count <= written { written = count }
    }

    /// The number of decimal digits of a number.
    public static func decimalDigits(_ value: UInt64) -> Int {
        var digits = 1
        var rest = value / 10
        while rest > 0 {
            digits &+= 1
            rest /= 10
        }
        return digits
    }

    /// Marks the output as too large.
    fileprivate mutating func overflow() { overflowed = true }

    /// Removes `count` bytes at `offset`; the bytes after them move up.
    fileprivate mutating func remove(_ count: Int, at offset: Int) {
        // SAFETY: only the address is read.
        guard !overflowed, count > 0, offset >= 0, offset <= written &- count, let base = unsafe memory.baseAddress
        else { return }
        // SAFETY: both ranges lie within the written bytes, as was just checked; the copy allows overlap.
        unsafe (base + offset).copyMemory(from: base + offset + count, byteCount: written &- offset &- count)
        written &-= count
    }

    /// Overwrites a written byte.
    fileprivate mutating func overwrite(at offset: Int, byte: UInt8) {
        guard !overflowed, offset >= 0, offset < written else { return }
        put(byte, at: offset)
    }

    /// Overwrites written bytes with a number, right-aligned and padded with spaces; see ``LengthSlot``.
    mutating func overwrite(at offset: Int, width: Int, decimal value: UInt64) {
        guard !overflowed, offset >= 0, width <= written, offset <= written &- width else { return }
        var rest = value
        var index = offset &+ width
        while index > offset {
            index &-= 1
            put(rest > 0 || index == offset &+ width &- 1 ? UInt8(ascii: "0") &+ UInt8(rest % 10) : 0x20, at: index)
            rest /= 10
        }
    }

    /// The last written byte, if any.
    fileprivate var last: UInt8? {
        guard written > 0 else { return nil }
        // SAFETY: `written` bytes are initialised, and there is at least one.
        return unsafe memory[written &- 1]
    }

    /// Inlined for each radix: the compiler turns division by a constant into a multiplication.
    @inline(__always)
    private mutating func append(_ value: UInt64, radix: UInt64, width: Int) {
        guard reserve(width) else { return }
        var rest = value
        var index = written &+ width
        while index > written {
            index &-= 1
            put(digit(UInt8(truncatingIfNeeded: rest % radix)), at: index)
            rest /= radix
        }
        written &+= width
    }

    /// Order 0-9A-Za-z. Computed without branches, which random digits would mispredict.
    @inline(__always)
    private func digit(_ value: UInt8) -> UInt8 {
        let upper: UInt8 = value > 9 ? UInt8(ascii: "A") &- UInt8(ascii: "9") &- 1 : 0
        let lower: UInt8 = value > 35 ? UInt8(ascii: "a") &- UInt8(ascii: "Z") &- 1 : 0
        return UInt8(ascii: "0") &+ value &+ upper &+ lower
    }

    private mutating func copy(_ bytes: UnsafeRawBufferPointer) {
        let count = bytes.count
        // SAFETY: only the address is read.
        guard count > 0, reserve(count), let base = unsafe memory.baseAddress, let source = bytes.baseAddress else {
            return
        }
        // SAFETY: `reserve` has checked that the bytes fit, and source and target do not overlap, because nothing else
        // may use the target.
        unsafe (base + written).copyMemory(from: source, byteCount: count)
        written &+= count
    }

    @inline(__always)
    private func put(_ byte: UInt8, at offset: Int) {
        // SAFETY: callers have reserved the byte, or have written it before.
        unsafe memory[offset] = byte
    }

    @inline(__always)
    private mutating func reserve(_ count: Int) -> Bool {
        guard !overflowed, capacity &- written >= count else {
            overflowed = true
            return false
        }
        return true
    }
}

/// Reserved space for the length prefix of a protocol buffers field, which is known only when the field is written.
public struct DelimitedSlot: Equatable, Sendable {
    /// Three bytes of seven bits: lengths below 2 MiB.
    static let width = 3
    fileprivate let offset: Int
}

extension ByteWriter {
    /// Appends a variable-length integer: seven bits a byte, the lowest first.
    public mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(byte: UInt8(truncatingIfNeeded: rest))
    }

    /// Begins a length-delimited field.
    public mutating func beginDelimited() -> DelimitedSlot {
        let slot = DelimitedSlot(offset: written)
        append("\0\0\0")
        return slot
    }

    /// Ends it: writes the length in as few bytes as possible, and moves the field up to it. A field of 2 MiB or more
    /// overflows.
    public mutating func endDelimited(_ slot: DelimitedSlot) {
        let count = written &- slot.offset &- DelimitedSlot.width
        guard count >= 0, count < 1 << 21 else { return overflow() }
        let width = count < 1 << 7 ? 1 : count < 1 << 14 ? 2 : 3
        for index in 0..<width {
            let more: UInt8 = index &+ 1 < width ? 0x80 : 0
            overwrite(at: slot.offset &+ index, byte: UInt8(truncatingIfNeeded: count >> (7 &* index)) & 0x7F | more)
        }
        remove(DelimitedSlot.width &- width, at: slot.offset &+ width)
    }
}

extension ByteWriter {
    /// Appends the content of a JSON string (RFC 8259 §7): quote, backslash and control characters are escaped, valid
    /// UTF-8 is copied, each other byte becomes U+FFFD.
    public mutating func append(jsonEscaped bytes: RawSpan) {
        let end = bytes.byteCount
        var index = 0
        while index < end {
            let start = index
            while index < end, ByteClass.has(bytes.byte(index), ByteClass.plainJSON) { index &+= 1 }
            if index > start { append(bytes.slice(WireRange(start, index))) }
            guard index < end else { return }
            let length = bytes.utf8Length(index, to: end)
            switch length {
            case 0: append("\u{FFFD}")
            case 1: append(jsonEscape: bytes.byte(index))
            default: append(bytes.slice(WireRange(index, index &+ length)))
            }
            index &+= max(1, length)
        }
    }

    /// Appends a value for a response field: bytes outside 0x21…0x7E and `%` are percent-encoded. Never empty: an empty
    /// value becomes `-`, and the value `-` becomes `%2D`.
    public mutating func append(headerEncoded bytes: RawSpan) {
        let start = written
        append(percentEncoded: bytes)
        distinguish(from: start)
    }

    /// Appends `uri` without its `api_key` parameters, however they are encoded; everything else is unchanged. The `?`
    /// is removed too if nothing remains after it, and a fragment always.
    /// - Parameter headerEncoded: whether to encode it for a response field: bytes outside 0x21…0x7E are
    ///   percent-encoded, and it is never empty. A `%` stays: it belongs to the URI, which a gateway forwards as it is
    ///   here.
    public mutating func append(uriWithoutCredential uri: RawSpan, headerEncoded: Bool) {
        let start = written
        let parts = OriginalURI(uri)
        append(piece: uri.slice(parts.path), headerEncoded)
        if let query = parts.query, Self.keepsQuery(uri, query) {
            var cursor = PairCursor(query)
            var mark = UInt8(ascii: "?")
            while let pair = cursor.next(in: uri) {
                if uri.decodes(pair.name, to: QueryCredential.name) { continue }
                append(byte: mark)
                append(piece: uri.slice(pair.whole), headerEncoded)
                mark = UInt8(ascii: "&")
            }
        }
        if headerEncoded { distinguish(from: start) }
    }

    /// Whether the query remains: it has other parameters, or had no credential.
    private static func keepsQuery(_ uri: RawSpan, _ query: WireRange) -> Bool {
        var cursor = PairCursor(query)
        var hasCredential = false
        while let pair = cursor.next(in: uri) {
            if uri.decodes(pair.name, to: QueryCredential.name) {
                hasCredential = true
            } else if !pair.isEmpty {
                return true
            }
        }
        return !hasCredential
    }

    private mutating func append(piece: RawSpan, _ headerEncoded: Bool) {
        if headerEncoded { append(percentEncoded: piece, keepingPercent: true) } else { append(piece) }
    }

    private mutating func append(percentEncoded bytes: RawSpan, keepingPercent: Bool = false) {
        func isPlain(_ byte: UInt8) -> Bool {
            ByteClass.has(byte, ByteClass.plainHeader) || (keepingPercent && byte == UInt8(ascii: "%"))
        }
        let end = bytes.byteCount
        var index = 0
        while index < end {
            let start = index
            while index < end, isPlain(bytes.byte(index)) { index &+= 1 }
            if index > start { append(bytes.slice(WireRange(start, index))) }
            guard index < end else { return }
            append(byte: UInt8(ascii: "%"))
            append(hex: bytes.byte(index))
            index &+= 1
        }
    }

    /// `-` means "no value", so no value may equal it.
    private mutating func distinguish(from start: Int) {
        if written == start {
            append(byte: UInt8(ascii: "-"))
        } else if written == start &+ 1, last == UInt8(ascii: "-") {
            rewind(to: start)
            append("%2D")
        }
    }

    private mutating func append(jsonEscape byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x08: append("\\b")
        case 0x09: append("\\t")
        case 0x0A: append("\\n")
        case 0x0C: append("\\f")
        case 0x0D: append("\\r")
        default:
            append("\\u00")
            append(hex: byte)
        }
    }

    private mutating func append(hex byte: UInt8) {
        let digits: StaticString = "0123456789ABCDEF"
        append(byte: literalByte(digits, Int(byte >> 4)))
        append(byte: literalByte(digits, Int(byte & 15)))
    }
}
