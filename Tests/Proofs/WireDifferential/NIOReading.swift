import NIOCore
import NIOEmbedded
import NIOHTTP1

/// Feeds NIOHTTP1's decoder, which is llhttp in its strict mode.
func readWithNIO(_ bytes: [UInt8]) -> Seen {
    let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)
    let channel = EmbeddedChannel(handler: ByteToMessageHandler(decoder))
    var seen = Seen()
    do {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
    } catch {
        seen.refused = true
    }
    var current: SeenRequest?
    // The parts that came before an error are still there.
    while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
        switch part {
        case .head(let head): current = describe(head)
        case .body(let buffer): current?.body += Array(buffer.readableBytesView)
        case .end:
            if let request = current { seen.requests.append(request) }
            current = nil
        }
    }
    _ = try? channel.finish(acceptAlreadyClosed: true)
    return seen
}

private func describe(_ head: HTTPRequestHead) -> SeenRequest {
    let fields = head.headers.map { name, value in
        SeenRequest.Field(name: name, value: Array(value.utf8).trimmed())
    }
    return SeenRequest(
        method: head.method.rawValue, target: head.uri, minorVersion: head.version.minor, fields: fields, body: [],
        keepAlive: head.isKeepAlive)
}

extension [UInt8] {
    /// NIO leaves whitespace behind a value, which is not part of it (RFC 9112 §5).
    fileprivate func trimmed() -> [UInt8] {
        var slice = self[...]
        while let first = slice.first, first == 0x20 || first == 0x09 { slice.removeFirst() }
        while let last = slice.last, last == 0x20 || last == 0x09 { slice.removeLast() }
        return Array(slice)
    }
}
