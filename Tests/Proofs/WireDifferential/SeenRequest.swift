/// One request as either parser tells it.
public struct SeenRequest: Equatable, CustomStringConvertible {
    var method: String
    var target: String
    var minorVersion: Int
    var fields: [Field]
    var body: [UInt8]
    var keepAlive: Bool

    struct Field: Equatable {
        var name: String
        var value: [UInt8]
    }

    /// For the report of a difference.
    public var description: String {
        let lines = fields.map { "\($0.name)=\(String(decoding: $0.value, as: UTF8.self).debugDescription)" }
        return "\(method) \(target) 1.\(minorVersion) keepAlive=\(keepAlive) \(lines) body=\(body)"
    }
}

/// What a parser makes of a connection's bytes.
public struct Seen: Equatable {
    var requests: [SeenRequest] = []
    /// Whether it refused the rest; otherwise it would wait for more.
    var refused = false
    /// Offsets of the methods, where they are known.
    var methods: [Range<Int>] = []
}
