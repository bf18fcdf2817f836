import CredentialModel
import HTTPWire
import Listening

/// The request that a gateway asks about, as its forwarded headers describe it.
///
/// There are two header sets. A listener may be told which one its gateway writes; then the other, which a client could
/// have sent, is ignored. Untold, a request with both that differ cannot be judged.
struct OriginalRequest {
    enum Fault: Error {
        case repeated, contradictory

        var reason: StaticString {
            switch self {
            case .repeated: "a header that describes the original request is there twice"
            case .contradictory: "X-Forwarded and X-Original headers contradict each other"
            }
        }
    }

    /// The original path and query, if the gateway said.
    let uri: WireRange?

    init(
        _ request: borrowing RequestHead, _ bytes: RawSpan, trusted: ListenerAddress.OriginalHeaders?
    ) throws(Fault) {
        let readsForwarded = trusted != .xOriginal
        let readsOriginal = trusted != .xForwarded
        for field in [KnownField.xForwardedMethod, .xForwardedProto, .xForwardedHost, .xForwardedUri]
        where readsForwarded && request.count(field) > 1 {
            throw .repeated
        }
        for field in [KnownField.xOriginalMethod, .xOriginalURI] where readsOriginal && request.count(field) > 1 {
            throw .repeated
        }
        let forwarded = readsForwarded ? request.value(.xForwardedUri) : nil
        let original = readsOriginal ? request.value(.xOriginalURI) : nil
        try Self.requireSame(forwarded, original, bytes)
        if readsForwarded, readsOriginal {
            try Self.requireSame(request.value(.xForwardedMethod), request.value(.xOriginalMethod), bytes)
        }
        uri = forwarded ?? original
    }

    private static func requireSame(_ left: WireRange?, _ right: WireRange?, _ bytes: RawSpan) throws(Fault) {
        guard let left, let right else { return }
        guard bytes.slice(left).elementsEqual(bytes.slice(right)) else { throw .contradictory }
    }
}

/// Where a request comes from: the last hop that is not a trusted proxy.
enum ClientAddress {
    /// Walks `X-Forwarded-For` from the right, past trusted proxies. Nil when the address is not known or not legible: a
    /// proxy's own address is never taken for the client's, or a key limited to the proxies' network would work for all.
    /// - Parameter peer: who connected; nil for a Unix socket, whose other side is trusted like a proxy.
    static func find(
        _ request: borrowing RequestHead, _ bytes: RawSpan, peer: IPAddress?, trusted: [Network]
    ) -> IPAddress? {
        guard peer == nil || isTrusted(peer, trusted) else { return peer }
        var lines: [WireRange] = []
        var index = request.index(of: .xForwardedFor)
        while let found = index {
            lines.append(request.value(at: found))
            index = request.index(of: .xForwardedFor, after: found)
        }
        for line in lines.reversed() {
            let text = bytes.slice(line)
            var end = text.byteCount
            while end >= 0 {
                var start = end
                while start > 0, text.byte(at: start - 1) != 0x2C { start -= 1 }
                guard let hop = parse(text.extracting(start..<end)) else { return nil }
                guard isTrusted(hop, trusted) else { return hop }
                end = start - 1
            }
        }
        return nil
    }

    private static func isTrusted(_ address: IPAddress?, _ trusted: [Network]) -> Bool {
        guard let address else { return false }
        return trusted.contains { $0.contains(address) }
    }

    /// `ADDRESS`, `V4:PORT`, `[V6]` or `[V6]:PORT`, with blanks around.
    private static func parse(_ entry: RawSpan) -> IPAddress? {
        var text = Array(entry.copied().drop { $0 == 0x20 || $0 == 0x09 })
        while let last = text.last, last == 0x20 || last == 0x09 { text.removeLast() }
        if text.first == 0x5B {
            guard let close = text.firstIndex(of: 0x5D) else { return nil }
            let rest = text[(close + 1)...]
            guard rest.isEmpty || rest.first == 0x3A else { return nil }
            return IPAddress(Array(text[1..<close]).octets)
        }
        if text.filter({ $0 == 0x3A }).count == 1, let colon = text.firstIndex(of: 0x3A) {
            return IPAddress(Array(text[..<colon]).octets)
        }
        return IPAddress(text.octets)
    }
}
