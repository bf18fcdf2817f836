import HTTPWire
import NIOCore
import NIOEmbedded
import NIOHTTP1

/// Runs our parser on a growing prefix of the bytes.
func readWithOurs(_ bytes: [UInt8], arrivals: [Int]) -> Seen {
    var parser = RequestParser()
    var seen = Seen()
    var consumed = 0
    for arrived in arrivals {
        var waits = false
        while !waits, !seen.refused {
            // SAFETY: plain bytes, all of them initialised.
            let span = unsafe bytes[consumed..<max(consumed, arrived)].span.bytes
            switch parser.parse(span) {
            case .needMore, .continueExpected: waits = true
            case .fault: seen.refused = true
            case .request(let count):
                let method = parser.request.methodName.bounds
                seen.methods.append((method.lowerBound + consumed)..<(method.upperBound + consumed))
                seen.requests.append(describe(parser, span))
                consumed += count
            }
        }
    }
    return seen
}

private func describe(_ parser: borrowing RequestParser, _ bytes: RawSpan) -> SeenRequest {
    var fields: [SeenRequest.Field] = []
    for index in 0..<parser.request.fieldCount {
        fields.append(
            SeenRequest.Field(
                name: text(bytes.slice(parser.request.name(at: index))),
                // NIO keeps values as strings, in which bytes that are not UTF-8 are replaced.
                value: Array(text(bytes.slice(parser.request.value(at: index))).utf8)))
    }
    return SeenRequest(
        method: text(bytes.slice(parser.request.methodName)), target: text(bytes.slice(parser.request.target)),
        minorVersion: Int(parser.request.minorVersion), fields: fields, body: parser.withBody(in: bytes, copy),
        keepAlive: parser.request.keepAlive)
}

private func text(_ bytes: RawSpan) -> String { String(decoding: copy(bytes), as: UTF8.self) }

/// Runs NIOHTTP1's decoder, which is llhttp in its strict mode.
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
    // Parts from before an error are still available.
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
    /// NIO keeps trailing whitespace, which is not part of the value (RFC 9112 §5).
    fileprivate func trimmed() -> [UInt8] {
        var slice = self[...]
        while let first = slice.first, first == 0x20 || first == 0x09 { slice.removeFirst() }
        while let last = slice.last, last == 0x20 || last == 0x09 { slice.removeLast() }
        return Array(slice)
    }
}
