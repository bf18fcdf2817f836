// A strict reader of JSON texts (RFC 8259) that are in memory as a whole.
//
// The problem: a request needs a few members of one object. A tree of values would be discarded at once, and the input
// would determine how much is allocated and how deep the stack grows.
//
// The idea: the caller knows what comes next and asks for it. Other values are skipped, but checked as strictly: if two
// readers differed in what they accept, one could be made to see other credentials than the other. Open containers are
// bits of a word, not stack frames.

/// Reads one JSON text from front to end. Allocates nothing, and reads each byte a bounded number of times.
struct JSONReader: ~Escapable {
    /// Maximum nesting of arrays and objects, including the outermost one.
    static let nestingMax = UInt32.bitWidth

    let bytes: RawSpan
    /// The next byte. After a fault, the byte at which it was found.
    var position = 0
    /// The number of open containers.
    private(set) var depth = 0
    /// One bit for each open container, the innermost one lowest: whether it is an object.
    private var objects: UInt32 = 0

    /// A reader at the start of `bytes`.
    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) {
        self.bytes = bytes
    }

    /// The first byte of the next token. Skips whitespace before it.
    @inline(__always)
    mutating func next() throws(JSONFault) -> UInt8 {
        skipWhitespace()
        guard position < bytes.byteCount else { throw .endsEarly }
        return bytes.byte(position)
    }

    /// Whether the next value begins with `byte`. Throws if no value follows.
    @inline(__always)
    mutating func nextBegins(with byte: UInt8) throws(JSONFault) -> Bool {
        let found = try next()
        if found == byte { return true }
        switch found {
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\""), UInt8(ascii: "-"), UInt8(ascii: "t"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return false
        case 0xEF where position == 0 && bytes.isByteOrderMark: throw .byteOrderMark
        default: throw .unexpectedByte
        }
    }

    /// Opens the container whose bracket is next.
    /// - Returns: whether it has elements; if not, it is closed again.
    mutating func enter() throws(JSONFault) -> Bool {
        guard depth < Self.nestingMax else { throw .nestedTooDeep }
        let isObject = bytes.byte(position) == UInt8(ascii: "{")
        depth &+= 1
        objects = objects &<< 1 | (isObject ? 1 : 0)
        position &+= 1
        guard try next() == closing else { return true }
        leave()
        return false
    }

    /// Reads the separator after an element or member of the innermost container.
    /// - Returns: whether another one follows; if not, the container is closed.
    @inline(__always)
    mutating func continues() throws(JSONFault) -> Bool {
        let byte = try next()
        if byte == UInt8(ascii: ",") {
            position &+= 1
            return true
        }
        guard byte == closing else { throw .unexpectedByte }
        leave()
        return false
    }

    /// The name of the next member; skips the colon after it.
    mutating func name() throws(JSONFault) -> JSONText {
        guard try next() == UInt8(ascii: "\"") else { throw .unexpectedByte }
        let name = try string()
        guard try next() == UInt8(ascii: ":") else { throw .unexpectedByte }
        position &+= 1
        return name
    }

    /// Throws unless only whitespace remains.
    mutating func end() throws(JSONFault) {
        skipWhitespace()
        guard position == bytes.byteCount else { throw .trailingBytes }
    }

    /// Whether the innermost container is an object.
    var isInObject: Bool { objects & 1 == 1 }

    /// The bracket that ends the innermost container.
    private var closing: UInt8 { isInObject ? UInt8(ascii: "}") : UInt8(ascii: "]") }

    private mutating func leave() {
        position &+= 1
        depth &-= 1
        objects &>>= 1
    }

    /// RFC 8259 §2
    @inline(__always)
    private mutating func skipWhitespace() {
        var index = position
        while index < bytes.byteCount, isJSONWhitespace(bytes.byte(index)) { index &+= 1 }
        position = index
    }
}

@inline(__always)
private func isJSONWhitespace(_ byte: UInt8) -> Bool {
    byte <= 0x20 && (byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09)
}

extension RawSpan {
    /// Whether it begins with U+FEFF.
    var isByteOrderMark: Bool {
        byteCount >= 3 && byte(0) == 0xEF && byte(1) == 0xBB && byte(2) == 0xBF
    }
}

/// Why bytes are not a valid JSON text (RFC 8259, and RFC 7493 where that leaves a choice).
public enum JSONFault: Error, Equatable, Hashable, Sendable, CaseIterable {
    case endsEarly, trailingBytes, byteOrderMark, unexpectedByte
    case badNumber, badLiteral
    case controlInString, badEscape, loneSurrogate, badUTF8
    case nestedTooDeep

    /// A short clause for the body of the response and the log; contains no input.
    public var reason: StaticString {
        switch self {
        case .endsEarly: "the JSON text ends before it is complete"
        case .trailingBytes: "other bytes follow the JSON text"
        case .byteOrderMark: "a byte order mark precedes the JSON text"
        case .unexpectedByte: "a byte is not allowed at its place in the JSON text"
        case .badNumber: "a number is not in JSON syntax"
        case .badLiteral: "a literal is not true, false or null"
        case .controlInString: "a string has an unescaped control character"
        case .badEscape: "a string has an invalid escape"
        case .loneSurrogate: "a string has an escaped surrogate without its pair"
        case .badUTF8: "a string is not valid UTF-8"
        case .nestedTooDeep: "arrays and objects are nested more than 32 deep"
        }
    }
}

extension JSONReader {
    /// The string whose opening quote is next (RFC 8259 §7). Checks its characters, escapes and UTF-8.
    @inline(__always)
    mutating func string() throws(JSONFault) -> JSONText {
        let start = position &+ 1
        let stop = bytes.findJSONStop(from: start, to: bytes.byteCount)
        // Most strings end at the first byte that is found.
        guard stop < bytes.byteCount, bytes.byte(stop) == UInt8(ascii: "\"") else {
            return try string(from: start, stoppedAt: stop)
        }
        position = stop &+ 1
        return JSONText(range: WireRange(start, stop), decodedBytes: stop &- start)
    }

    /// A string whose first bytes, up to `stop`, need no decoding.
    private mutating func string(from start: Int, stoppedAt stop: Int) throws(JSONFault) -> JSONText {
        let end = bytes.byteCount
        // Bytes of escapes beyond those of the characters that they encode.
        var excess = 0
        position = stop
        while position < end {
            switch bytes.byte(position) {
            case UInt8(ascii: "\""):
                let range = WireRange(start, position)
                position &+= 1
                return JSONText(range: range, decodedBytes: range.count &- excess)
            case UInt8(ascii: "\\"):
                let escape = try bytes.jsonEscape(position, to: end)
                excess &+= escape.spelledBytes &- escape.decodedBytes
                position &+= escape.spelledBytes
            case 0x80...:
                let length = bytes.utf8Length(position, to: end)
                guard length > 0 else { throw .badUTF8 }
                position &+= length
                // The next character is often of this kind too.
                continue
            case 0..<0x20:
                throw .controlInString
            default:
                position = bytes.findJSONStop(from: position, to: end)
            }
        }
        throw .endsEarly
    }

    /// Skips one value of any kind, and checks all of it.
    mutating func skipValue() throws(JSONFault) {
        let outside = depth
        while true {
            switch try next() {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                if try enter() {
                    if isInObject { _ = try name() }
                    continue
                }
            case UInt8(ascii: "\""): _ = try string()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try skipNumber()
            case UInt8(ascii: "t"): try skipLiteral("true")
            case UInt8(ascii: "f"): try skipLiteral("false")
            case UInt8(ascii: "n"): try skipLiteral("null")
            default: throw .unexpectedByte
            }
            // A value has ended, and with it possibly some of its containers.
            while depth > outside {
                if try continues() { break }
            }
            if depth == outside { return }
            if isInObject { _ = try name() }
        }
    }

    /// `[ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ( "e" / "E" ) [ "-" / "+" ] 1*digit ]` (RFC 8259 §6), of
    /// any size: the value is not used.
    private mutating func skipNumber() throws(JSONFault) {
        skipByte(UInt8(ascii: "-"))
        if skipByte(UInt8(ascii: "0")) {
            if position < bytes.byteCount, isDigit(bytes.byte(position)) { throw .badNumber }
        } else {
            try skipDigits()
        }
        if skipByte(UInt8(ascii: ".")) { try skipDigits() }
        if skipByte(UInt8(ascii: "e")) || skipByte(UInt8(ascii: "E")) {
            if !skipByte(UInt8(ascii: "-")) { skipByte(UInt8(ascii: "+")) }
            try skipDigits()
        }
    }

    /// At least one digit.
    private mutating func skipDigits() throws(JSONFault) {
        let start = position
        while position < bytes.byteCount, isDigit(bytes.byte(position)) { position &+= 1 }
        guard position > start else { throw position < bytes.byteCount ? .badNumber : .endsEarly }
    }

    @discardableResult
    private mutating func skipByte(_ byte: UInt8) -> Bool {
        guard position < bytes.byteCount, bytes.byte(position) == byte else { return false }
        position &+= 1
        return true
    }

    private mutating func skipLiteral(_ text: StaticString) throws(JSONFault) {
        var index = 0
        while index < text.utf8CodeUnitCount {
            guard position < bytes.byteCount else { throw .endsEarly }
            guard skipByte(literalByte(text, index)) else { throw .badLiteral }
            index &+= 1
        }
    }
}
