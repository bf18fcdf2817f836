public import CredentialModel
public import HTTPWire

/// Where a request comes from: the last hop that is not a trusted proxy.
public enum ClientAddress {
    /// Walks the values of one field from the right, past trusted proxies. Nil when the address is not known or not legible: a
    /// proxy's own address is never taken for the client's, or a key limited to the proxies' network would work for all.
    /// - Parameters:
    ///   - peer: who connected; nil for a Unix socket, whose other side is trusted like a proxy.
    public static func find(
        _ request: ReceivedRequest, peer: IPAddress?, by headers: GatewayHeaders, trusted: [Network]
    ) -> IPAddress? {
        guard peer == nil || isTrusted(peer, trusted) else { return peer }
        guard let field = headers.addressField else { return nil }
        // Unlike X-Forwarded-For, it is never a list: a second one is not the gateway's.
        if field == .xRealIP, request.count(field) > 1 { return nil }
        var index = request.fieldCount
        while index > 0 {
            index -= 1
            guard request.field(at: index) == field else { continue }
            switch walk(request.value(at: index), trusted) {
            case .client(let address): return address
            case .illegible: return nil
            case .proxies: break
            }
        }
        return nil
    }

    /// The same where a gateway tells who connected to it: nil where that is not known.
    /// - Parameters:
    ///   - source: whom the gateway names.
    ///   - forwardedFor: where the values of `X-Forwarded-For` lie in `bytes`, in the order in which they came.
    public static func find(
        _ source: RawSpan, forwardedFor: [WireRange], _ bytes: RawSpan, trusted: [Network]
    ) -> IPAddress? {
        guard let source = IPAddress(source) else { return nil }
        guard isTrusted(source, trusted) else { return source }
        for value in forwardedFor.reversed() {
            switch walk(bytes.slice(value), trusted) {
            case .client(let address): return address
            case .illegible: return nil
            case .proxies: break
            }
        }
        return nil
    }

    /// What one `X-Forwarded-For` value tells, read from the right.
    enum Hops {
        case client(IPAddress)
        /// Nothing but trusted proxies: the value before it says more.
        case proxies
        case illegible
    }

    static func walk(_ text: RawSpan, _ trusted: [Network]) -> Hops {
        var end = text.byteCount
        while end >= 0 {
            var start = end
            while start > 0, text.byte(at: start - 1) != UInt8(ascii: ",") { start -= 1 }
            guard let hop = parse(text, start, end) else { return .illegible }
            guard isTrusted(hop, trusted) else { return .client(hop) }
            end = start - 1
        }
        return .proxies
    }

    static func isTrusted(_ address: IPAddress?, _ trusted: [Network]) -> Bool {
        guard let address else { return false }
        return trusted.contains { $0.contains(address) }
    }

    /// `ADDRESS`, `V4:PORT`, `[V6]` or `[V6]:PORT`, with blanks around.
    private static func parse(_ text: RawSpan, _ start: Int, _ end: Int) -> IPAddress? {
        var (start, end) = (start, end)
        while start < end, isBlank(text.byte(at: start)) { start += 1 }
        while start < end, isBlank(text.byte(at: end - 1)) { end -= 1 }
        guard start < end else { return nil }
        if text.byte(at: start) == UInt8(ascii: "[") {
            guard let close = find(UInt8(ascii: "]"), in: text, start, end) else { return nil }
            guard close + 1 == end || text.byte(at: close + 1) == UInt8(ascii: ":") else { return nil }
            return IPAddress(text.extracting(start + 1..<close))
        }
        // A single colon parts a port from a version 4 address; a version 6 address has more.
        if let colon = find(UInt8(ascii: ":"), in: text, start, end),
            find(UInt8(ascii: ":"), in: text, colon + 1, end) == nil
        {
            return IPAddress(text.extracting(start..<colon))
        }
        return IPAddress(text.extracting(start..<end))
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private static func find(_ byte: UInt8, in text: RawSpan, _ start: Int, _ end: Int) -> Int? {
        var index = start
        while index < end {
            if text.byte(at: index) == byte { return index }
            index += 1
        }
        return nil
    }
}
