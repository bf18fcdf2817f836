/// A JSON object put together member by member (RFC 8259): for answers and log lines of a fixed shape, of which there are
/// many a second, where a general encoder costs more than all the rest.
public struct JSONLine: Sendable {
    private var text: [UInt8] = [UInt8(ascii: "{")]

    public init() { text.reserveCapacity(512) }

    public mutating func add(_ name: String, _ value: String) {
        begin(name)
        Self.append(value, to: &text)
    }

    public mutating func add(_ name: String, _ value: Int64) {
        begin(name)
        text.append(contentsOf: String(value).utf8)
    }

    public mutating func add(_ name: String, _ value: Bool) {
        begin(name)
        text.append(contentsOf: (value ? "true" : "false").utf8)
    }

    public mutating func add(_ name: String, _ values: [String]) {
        begin(name)
        text.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            Self.append(value, to: &text)
        }
        text.append(UInt8(ascii: "]"))
    }

    mutating func addNull(_ name: String) { add(name, encoded: Array("null".utf8)) }

    /// - Parameter json: a value in JSON.
    mutating func add(_ name: String, encoded json: [UInt8]) {
        begin(name)
        text.append(contentsOf: json)
    }

    /// The whole object.
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
