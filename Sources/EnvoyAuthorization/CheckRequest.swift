import CredentialModel
public import HTTPWire

/// The parts of an `envoy.service.auth.v3.CheckRequest` that a decision needs, as ranges of its bytes. Keep one per
/// event loop.
///
/// Envoy sends the client's fields either joined and sanitised (`headers`) or as received (`header_map`); both are
/// read. Names are compared without case, so that none is missed.
public struct CheckRequest: Sendable {
    public private(set) var method = WireRange()
    /// With the query, as sent by the client.
    public private(set) var path = WireRange()
    public private(set) var host = WireRange()
    /// The value of the first Authorization field.
    public private(set) var authorization = WireRange()
    public private(set) var authorizationCount = 0
    /// The value of the first other field that may hold a key.
    public private(set) var key = WireRange()
    public private(set) var keyCount = 0
    public private(set) var originCount = 0
    public private(set) var accessControlRequestMethodCount = 0
    /// The values of `X-Forwarded-For`, in the order of the request.
    public private(set) var forwardedFor: [WireRange] = []
    /// The address of Envoy's peer; empty if it has no IP address.
    public private(set) var source = WireRange()
    /// The policy of the route: `context_extensions["policy"]`; nil if it names none.
    public private(set) var policy: WireRange?

    /// Names of fields that may hold a key, in lower case.
    private let keyHeaders: [[UInt8]]

    public init(keyHeaders: [[UInt8]] = []) {
        self.keyHeaders = keyHeaders
    }

    /// Parses a message in place of the previous one.
    public mutating func read(_ message: RawSpan) throws(ProtobufFault) {
        clear()
        var cursor = ProtobufCursor(WireRange(0, message.byteCount))
        while let field = try cursor.next(in: message) {
            if field.number == 1 { try readAttributes(field, message) }
        }
    }

    private mutating func clear() {
        method = WireRange()
        path = WireRange()
        host = WireRange()
        authorization = WireRange()
        authorizationCount = 0
        key = WireRange()
        keyCount = 0
        originCount = 0
        accessControlRequestMethodCount = 0
        forwardedFor.removeAll(keepingCapacity: true)
        source = WireRange()
        policy = nil
    }

    /// The content of a length-delimited field. A known number with another type is not a valid message.
    private func content(_ field: ProtobufCursor.Field) throws(ProtobufFault) -> WireRange {
        guard field.isDelimited else { throw .malformed }
        return field.bytes
    }

    private mutating func readAttributes(
        _ field: ProtobufCursor.Field, _ message: RawSpan
    ) throws(ProtobufFault) {
        var cursor = ProtobufCursor(try content(field))
        while let field = try cursor.next(in: message) {
            switch field.number {
            case 1: try readPeer(try content(field), message)
            case 4: try readRequest(try content(field), message)
            case 10:
                let entry = try pair(try content(field), message)
                if message.slice(entry.name).isEqual("policy") { policy = entry.value }
            default: break
            }
        }
    }

    /// `Peer.address.socket_address.address`
    private mutating func readPeer(_ peer: WireRange, _ message: RawSpan) throws(ProtobufFault) {
        var peers = ProtobufCursor(peer)
        while let field = try peers.next(in: message) {
            guard field.number == 1 else { continue }
            var addresses = ProtobufCursor(try content(field))
            while let field = try addresses.next(in: message) {
                guard field.number == 1 else { continue }
                var sockets = ProtobufCursor(try content(field))
                while let field = try sockets.next(in: message) {
                    if field.number == 2 { source = try content(field) }
                }
            }
        }
    }

    private mutating func readRequest(_ request: WireRange, _ message: RawSpan) throws(ProtobufFault) {
        var requests = ProtobufCursor(request)
        while let field = try requests.next(in: message) {
            guard field.number == 2 else { continue }
            var cursor = ProtobufCursor(try content(field))
            while let field = try cursor.next(in: message) {
                switch field.number {
                case 2: method = try content(field)
                case 3:
                    let entry = try pair(try content(field), message)
                    note(entry.name, entry.value, message)
                case 4: path = try content(field)
                case 5: host = try content(field)
                case 13: try readHeaderMap(try content(field), message)
                default: break
                }
            }
        }
    }

    private mutating func readHeaderMap(_ map: WireRange, _ message: RawSpan) throws(ProtobufFault) {
        var cursor = ProtobufCursor(map)
        while let field = try cursor.next(in: message) {
            guard field.number == 1 else { continue }
            let header = try pair(try content(field), message)
            note(header.name, header.raw.isEmpty ? header.value : header.raw, message)
        }
    }

    /// An entry of a string map, or a `HeaderValue`, which has its raw bytes under number 3.
    private func pair(
        _ entry: WireRange, _ message: RawSpan
    ) throws(ProtobufFault) -> (name: WireRange, value: WireRange, raw: WireRange) {
        var (name, value, raw) = (WireRange(), WireRange(), WireRange())
        var cursor = ProtobufCursor(entry)
        while let field = try cursor.next(in: message) {
            switch field.number {
            case 1: name = try content(field)
            case 2: value = try content(field)
            case 3: raw = try content(field)
            default: break
            }
        }
        return (name, value, raw)
    }

    private mutating func note(_ name: WireRange, _ value: WireRange, _ message: RawSpan) {
        switch KnownField(name, in: message) {
        case .authorization:
            if authorizationCount == 0 { authorization = value }
            authorizationCount &+= 1
        case .origin: originCount &+= 1
        case .accessControlRequestMethod: accessControlRequestMethodCount &+= 1
        case .xForwardedFor: forwardedFor.append(value)
        case .unknown where !keyHeaders.isEmpty:
            let name = message.slice(name)
            guard keyHeaders.contains(where: { name.isName($0) }) else { return }
            if keyCount == 0 { key = value }
            keyCount &+= 1
        default: break
        }
    }
}

/// Why bytes are not a valid message.
public enum ProtobufFault: Error, Equatable, Sendable {
    /// The bytes end within a field.
    case truncated
    /// A variable-length integer has more than ten bytes, a field has number 0, or an invalid type.
    case malformed
}

/// Iterates over the fields of one message in place: nothing is copied, and unused fields are skipped.
///
/// Groups, which were deprecated long before these messages were defined, are malformed. There is no recursion: the
/// caller makes a new cursor for a nested message.
///
/// - SeeAlso: https://protobuf.dev/programming-guides/encoding/
struct ProtobufCursor {
    /// One field.
    struct Field {
        let number: UInt64
        /// Its content if it is length-delimited; empty for numbers.
        let bytes: WireRange
        /// Whether it is length-delimited: a string, a message, an entry of a map.
        let isDelimited: Bool
    }

    private var position: Int
    private let end: Int

    init(_ range: WireRange) {
        position = range.bounds.lowerBound
        end = range.bounds.upperBound
    }

    mutating func next(in bytes: RawSpan) throws(ProtobufFault) -> Field? {
        guard position < end else { return nil }
        let key = try varint(in: bytes)
        let number = key >> 3
        guard number > 0 else { throw .malformed }
        switch key & 7 {
        case 0:
            _ = try varint(in: bytes)
            return Field(number: number, bytes: WireRange(), isDelimited: false)
        case 1: try skip(8)
        case 5: try skip(4)
        case 2:
            let count = try varint(in: bytes)
            let start = position
            try skip(count)
            return Field(number: number, bytes: WireRange(start, position), isDelimited: true)
        default: throw .malformed
        }
        return Field(number: number, bytes: WireRange(), isDelimited: false)
    }

    private mutating func skip(_ count: UInt64) throws(ProtobufFault) {
        guard count <= UInt64(end &- position) else { throw .truncated }
        position &+= Int(truncatingIfNeeded: count)
    }

    /// A variable-length integer: seven bits a byte, the lowest first, at most ten bytes.
    @inline(__always)
    private mutating func varint(in bytes: RawSpan) throws(ProtobufFault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            guard position < end else { throw .truncated }
            let byte = bytes.byte(at: position)
            position &+= 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
        throw .malformed
    }
}
