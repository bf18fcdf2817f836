public import HTTPWire

/// Where in the bytes of an `envoy.service.auth.v3.CheckRequest` lies what a request is judged by. Keep one per event loop.
///
/// Envoy sends the client's fields either as texts that it has joined and made readable (`headers`), or as they came
/// (`header_map`); whichever there are count. Names are compared without case, so that none is overlooked.
public struct CheckRequest: Sendable {
    public private(set) var method = WireRange()
    /// With the query, as the client spelled it.
    public private(set) var path = WireRange()
    public private(set) var host = WireRange()
    /// The value of the first Authorization field.
    public private(set) var authorization = WireRange()
    public private(set) var authorizationCount = 0
    /// The value of the first field that may hold a key besides.
    public private(set) var key = WireRange()
    public private(set) var keyCount = 0
    public private(set) var originCount = 0
    public private(set) var accessControlRequestMethodCount = 0
    /// The values of `X-Forwarded-For`, in the order in which they came.
    public private(set) var forwardedFor: [WireRange] = []
    /// The address of who connected to Envoy; nothing if that was no network.
    public private(set) var source = WireRange()
    /// What the route names: `context_extensions["policy"]`; nil if it names none.
    public private(set) var policy: WireRange?

    /// Names of fields that may hold a key, in lower case.
    private let keyHeaders: [[UInt8]]

    public init(keyHeaders: [[UInt8]] = []) {
        self.keyHeaders = keyHeaders
    }

    /// Reads a message, in place of the one before.
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

    /// Of a field that is counted. One of another type under a number that is known is no message of Envoy's.
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

    /// An entry of a map of texts, or a `HeaderValue`, which has its bytes under number 3.
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
