extension RawSpan {
    /// Whether these are the letters of a name in lower case, whatever their own case.
    public func isName(_ name: [UInt8]) -> Bool {
        guard byteCount == name.count else { return false }
        for index in 0..<byteCount {
            let byte = byte(index)
            guard ((0x41...0x5A).contains(byte) ? byte | 0x20 : byte) == name[index] else { return false }
        }
        return true
    }

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
