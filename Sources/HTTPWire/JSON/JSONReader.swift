// A strict reader of JSON texts (RFC 8259) that are in memory as a whole.
//
// The problem: a request is a fact about a few members of one object. A tree of values would be thrown away at once,
// and would make what a caller sends decide how much is allocated and how deep the stack grows.
//
// The idea: whoever reads knows what should come next and asks for it; a value that nobody asked for is walked over, and
// judged as strictly as one that somebody did, since what two readers take differently is a way to have one of them
// look at other credentials than the other. Containers that are open are bits of a word, not frames of the stack.

/// Reads one JSON text from front to end. Allocates nothing; each byte is looked at a bounded number of times.
struct JSONReader: ~Escapable {
    /// Arrays and objects that may be open at the same time, the outermost one included.
    static let nestingMax = UInt32.bitWidth

    let bytes: RawSpan
    /// The byte that is read next. After a fault, the one that it was found at.
    var position = 0
    /// How many containers are open.
    private(set) var depth = 0
    /// One bit for each open container, the innermost one lowest: whether it is an object.
    private var objects: UInt32 = 0

    /// A reader at the front of `bytes`.
    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) {
        self.bytes = bytes
    }

    /// The byte that the next token begins with. Whitespace before it is skipped.
    @inline(__always)
    mutating func next() throws(JSONFault) -> UInt8 {
        skipWhitespace()
        guard position < bytes.byteCount else { throw .endsEarly }
        return bytes.byte(position)
    }

    /// Whether the next value begins with `byte`. No value at all is a fault.
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

    /// Opens the container whose bracket is read next.
    /// - Returns: whether anything is in it; if not, it is closed again.
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

    /// Reads what stands behind an element or member of the innermost container.
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

    /// The name of the next member, with the colon behind it.
    mutating func name() throws(JSONFault) -> JSONText {
        guard try next() == UInt8(ascii: "\"") else { throw .unexpectedByte }
        let name = try string()
        guard try next() == UInt8(ascii: ":") else { throw .unexpectedByte }
        position &+= 1
        return name
    }

    /// Makes sure that only whitespace is left.
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
    /// Whether U+FEFF comes first.
    var isByteOrderMark: Bool {
        byteCount >= 3 && byte(0) == 0xEF && byte(1) == 0xBB && byte(2) == 0xBF
    }
}

/// Why bytes are not a JSON text that this server reads (RFC 8259, and RFC 7493 where that leaves a choice).
public enum JSONFault: Error, Equatable, Hashable, Sendable, CaseIterable {
    case endsEarly, trailingBytes, byteOrderMark, unexpectedByte
    case badNumber, badLiteral
    case controlInString, badEscape, loneSurrogate, badUTF8
    case nestedTooDeep

    /// One short clause for the body of the refusal and the log; reflects nothing of the input.
    public var reason: StaticString {
        switch self {
        case .endsEarly: "the JSON text ends before it is complete"
        case .trailingBytes: "something stands behind the JSON text"
        case .byteOrderMark: "a byte order mark stands before the JSON text"
        case .unexpectedByte: "a byte stands where JSON allows none like it"
        case .badNumber: "a number is not spelled as JSON spells one"
        case .badLiteral: "a word is none of true, false and null"
        case .controlInString: "a string holds a control character that is not escaped"
        case .badEscape: "a backslash in a string begins no escape"
        case .loneSurrogate: "an escaped surrogate has no partner"
        case .badUTF8: "a string is not UTF-8"
        case .nestedTooDeep: "arrays and objects are nested more than 32 deep"
        }
    }
}
