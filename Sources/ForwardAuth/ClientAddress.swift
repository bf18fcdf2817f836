public import CredentialModel
public import HTTPWire

/// The client of a request: the last hop that is not a trusted proxy.
public enum ClientAddress {
    /// Reads the values of one field from right to left, skipping trusted proxies. Nil if the address is unknown or
    /// invalid: the address of a proxy is never used for the client's, or a key limited to the proxies' network would
    /// work for everybody.
    /// - Parameters:
    ///   - peer: the address of the connection; nil for a Unix socket, whose peer is trusted like a proxy.
    public static func find(
        _ request: ReceivedRequest, peer: IPAddress?, by headers: GatewayHeaders, trusted: [Network]
    ) -> IPAddress? {
        guard peer == nil || isTrusted(peer, trusted) else { return peer }
        guard let field = headers.addressField else { return nil }
        // Unlike X-Forwarded-For, it is not a list: a second one is not from the gateway.
        if field == .xRealIP, request.count(field) > 1 { return nil }
        var index = request.fieldCount
        while index > 0 {
            index -= 1
            guard request.field(at: index) == field else { continue }
            switch walk(request.value(at: index), trusted) {
            case .client(let address): return address
            case .invalid: return nil
            case .proxies: break
            }
        }
        return nil
    }

    /// Reads the client's address from a description of the request, in which the gateway names its own peer. Nil if the
    /// address is unknown or invalid, as for a forwarded request.
    /// - Parameters:
    ///   - source: the address of the gateway's peer.
    ///   - forwardedFor: the values of `X-Forwarded-For` in `bytes`, in the order of the request.
    public static func find(
        _ source: RawSpan, forwardedFor: [WireRange], _ bytes: RawSpan, trusted: [Network]
    ) -> IPAddress? {
        guard let source = IPAddress(source) else { return nil }
        guard isTrusted(source, trusted) else { return source }
        for value in forwardedFor.reversed() {
            switch walk(bytes.slice(value), trusted) {
            case .client(let address): return address
            case .invalid: return nil
            case .proxies: break
            }
        }
        return nil
    }

    /// The result of reading one `X-Forwarded-For` value from right to left.
    enum Hops {
        case client(IPAddress)
        /// Only trusted proxies: the value before it is read next.
        case proxies
        case invalid
    }

    static func walk(_ text: RawSpan, _ trusted: [Network]) -> Hops {
        var end = text.byteCount
        while end >= 0 {
            var start = end
            while start > 0, text.byte(at: start - 1) != UInt8(ascii: ",") { start -= 1 }
            guard let hop = IPAddress(hop: text.extracting(start..<end)) else { return .invalid }
            guard isTrusted(hop, trusted) else { return .client(hop) }
            end = start - 1
        }
        return .proxies
    }

    static func isTrusted(_ address: IPAddress?, _ trusted: [Network]) -> Bool {
        guard let address else { return false }
        return trusted.contains { $0.contains(address) }
    }
}
