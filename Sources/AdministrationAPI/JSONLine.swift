/// A JSON object that is written member by member, in the order of the calls (RFC 8259).
///
/// Not `JSONEncoder`, because an export has millions of lines, for which it takes longer than all other work, and it does not
/// keep the order of the members. The log and the OAuth endpoints, whose objects have few members, use it too.
public struct JSONLine: Sendable {
    private var text: [UInt8] = [UInt8(ascii: "{")]

    public init() { text.reserveCapacity(512) }

    /// Adds a string. Quotes, backslashes and control characters are escaped.
    public mutating func add(_ name: String, _ value: String) {
        begin(name)
        Self.append(value, to: &text)
    }

    /// Adds an integer.
    public mutating func add(_ name: String, _ value: Int64) {
        begin(name)
        text.append(contentsOf: String(value).utf8)
    }

    /// Adds `true` or `false`.
    public mutating func add(_ name: String, _ value: Bool) {
        begin(name)
        text.append(contentsOf: (value ? "true" : "false").utf8)
    }

    /// Adds an array of strings.
    public mutating func add(_ name: String, _ values: [String]) {
        begin(name)
        text.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            Self.append(value, to: &text)
        }
        text.append(UInt8(ascii: "]"))
    }

    /// Adds `null`.
    mutating func addNull(_ name: String) { add(name, encoded: Array("null".utf8)) }

    /// Adds a value that is JSON already.
    mutating func add(_ name: String, encoded json: [UInt8]) {
        begin(name)
        text.append(contentsOf: json)
    }

    /// The complete object, without a line break.
    public var bytes: [UInt8] { text + [UInt8(ascii: "}")] }

    private mutating func begin(_ name: String) {
        if text.count > 1 { text.append(UInt8(ascii: ",")) }
        Self.append(name, to: &text)
        text.append(UInt8(ascii: ":"))
    }

    private static let hex = Array("0123456789abcdef".utf8)

    private static func append(_ value: String, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                text.append(UInt8(ascii: "\\"))
                text.append(byte)
            case 0x0A: text.append(contentsOf: #"\n"#.utf8)
            case 0..<0x20, 0x7F:
                text.append(contentsOf: #"\u00"#.utf8)
                text.append(hex[Int(byte >> 4)])
                text.append(hex[Int(byte & 15)])
            default: text.append(byte)
            }
        }
        text.append(UInt8(ascii: "\""))
    }
}
