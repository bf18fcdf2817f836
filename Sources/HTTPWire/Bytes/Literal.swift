extension RawSpan {
    /// Whether these are the bytes of a literal.
    public func isEqual(_ text: StaticString) -> Bool {
        equals(WireRange(0, byteCount), text)
    }
}

extension RequestParser {
    /// Whether a head is complete and its body is awaited.
    public var isReadingBody: Bool {
        switch phase {
        case .body, .chunkSize, .chunkData, .chunkEnd, .trailers: true
        case .start, .requestLine, .fields, .complete, .failed: false
        }
    }
}
