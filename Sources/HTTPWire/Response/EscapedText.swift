private let hexDigits: StaticString = "0123456789ABCDEF"

extension ByteWriter {
    /// Appends the inside of a JSON string (RFC 8259 §7): quote, backslash and controls are escaped, UTF-8 passes, each
    /// byte that is not UTF-8 becomes U+FFFD.
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

    /// Appends a value for a response field: bytes outside 0x21…0x7E and `%` are percent-encoded. Never writes nothing:
    /// no value becomes `-`, and a value that is just `-` becomes `%2D`.
    public mutating func append(headerEncoded bytes: RawSpan) {
        let start = written
        append(percentEncoded: bytes)
        distinguish(from: start)
    }

    /// Appends `uri` without its `api_key` pairs, however those are spelled; all else keeps its raw spelling. The `?`
    /// goes too when nothing is left behind it, and a fragment always goes.
    /// - Parameter headerEncoded: whether to spell it for a response field: bytes outside 0x21…0x7E are percent-encoded, and it
    ///   is never empty. A `%` stays: it is the URI's own encoding, and a gateway sends on what stands here.
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

    /// Whether a query is still one without the credential: something is left, or there was none in it.
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

    /// `-` means that there is no value, so no value may look like it.
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
        append(byte: literalByte(hexDigits, Int(byte >> 4)))
        append(byte: literalByte(hexDigits, Int(byte & 15)))
    }
}
