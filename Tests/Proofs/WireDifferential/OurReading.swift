import HTTPWire

/// Feeds our parser with bytes of which ever more have arrived.
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

private func copy(_ bytes: RawSpan) -> [UInt8] {
    // SAFETY: the pointer does not leave the closure, and the array copies what it points to.
    unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
}
