/// A JSON value, read the plain way: recursive, with arrays of everything. What the reader that is fuzzed is held against.
enum JSONValue {
    case object([(name: [UInt8], value: JSONValue)])
    case array([JSONValue])
    case string([UInt8])
    case null
    /// A number, true or false.
    case other
}

/// Reads a JSON text (RFC 8259) as scalars, and its strings as UTF-16.
struct JSONOracle {
    private static let nestingMax = 32
    private let scalars: [Unicode.Scalar]
    private var index = 0

    /// The value of `bytes`; `nil` if they are no JSON text.
    static func read(_ bytes: [UInt8]) -> JSONValue? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var oracle = JSONOracle(scalars: Array(text.unicodeScalars))
        guard let value = oracle.value(inside: 0) else { return nil }
        oracle.skipWhitespace()
        return oracle.index == oracle.scalars.count ? value : nil
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private var scalar: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func skipWhitespace() {
        while let scalar, [" ", "\t", "\n", "\r"].contains(scalar) { index += 1 }
    }

    private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
        guard scalar == wanted else { return false }
        index += 1
        return true
    }

    private mutating func takeWord(_ word: String) -> Bool { word.unicodeScalars.allSatisfy { take($0) } }

    private mutating func value(inside depth: Int) -> JSONValue? {
        skipWhitespace()
        switch scalar {
        case "{": return object(depth + 1)
        case "[": return array(depth + 1)
        case "\"": return string().map(JSONValue.string)
        case "t": return takeWord("true") ? .other : nil
        case "f": return takeWord("false") ? .other : nil
        case "n": return takeWord("null") ? .null : nil
        default: return isNumber() ? .other : nil
        }
    }

    private mutating func object(_ depth: Int) -> JSONValue? {
        guard depth <= Self.nestingMax, take("{") else { return nil }
        var members: [(name: [UInt8], value: JSONValue)] = []
        skipWhitespace()
        if take("}") { return .object([]) }
        while true {
            skipWhitespace()
            guard let name = string() else { return nil }
            skipWhitespace()
            guard take(":"), let value = value(inside: depth) else { return nil }
            members.append((name, value))
            skipWhitespace()
            if take("}") { return .object(members) }
            guard take(",") else { return nil }
        }
    }

    private mutating func array(_ depth: Int) -> JSONValue? {
        guard depth <= Self.nestingMax, take("[") else { return nil }
        var elements: [JSONValue] = []
        skipWhitespace()
        if take("]") { return .array([]) }
        while true {
            guard let value = value(inside: depth) else { return nil }
            elements.append(value)
            skipWhitespace()
            if take("]") { return .array(elements) }
            guard take(",") else { return nil }
        }
    }

    private mutating func string() -> [UInt8]? {
        guard take("\"") else { return nil }
        var units: [UInt16] = []
        while let scalar {
            index += 1
            switch scalar {
            case "\"": return String(validating: units, as: UTF16.self).map { Array($0.utf8) }
            case "\\":
                guard let unit = escapedUnit() else { return nil }
                units.append(unit)
            case "\0"..."\u{1F}": return nil
            default: units.append(contentsOf: UTF16.encode(scalar) ?? UTF16.EncodedScalar())
            }
        }
        return nil
    }

    private mutating func escapedUnit() -> UInt16? {
        guard let scalar else { return nil }
        index += 1
        if scalar == "u" {
            let digits = scalars[index..<min(index + 4, scalars.count)]
            index += 4
            guard digits.count == 4, digits.allSatisfy(\.properties.isASCIIHexDigit) else { return nil }
            return UInt16(String(String.UnicodeScalarView(digits)), radix: 16)
        }
        let meanings: [Unicode.Scalar: UInt16] = [
            "\"": 0x22, "\\": 0x5C, "/": 0x2F, "b": 8, "t": 9, "n": 10, "f": 12, "r": 13,
        ]
        return meanings[scalar]
    }

    private mutating func isNumber() -> Bool {
        _ = take("-")
        if !take("0") {
            guard let scalar, scalar != "0", takeDigits() else { return false }
        } else if let scalar, ("0"..."9").contains(scalar) {
            return false
        }
        if take("."), !takeDigits() { return false }
        guard take("e") || take("E") else { return true }
        if !take("+") { _ = take("-") }
        return takeDigits()
    }

    private mutating func takeDigits() -> Bool {
        let start = index
        while let scalar, ("0"..."9").contains(scalar) { index += 1 }
        return index > start
    }
}
