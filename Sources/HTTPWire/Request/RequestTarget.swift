extension RequestParser {
    /// Splits a request target, whose bytes are all visible (RFC 9112 §3.2).
    mutating func parseTarget(_ bytes: RawSpan, _ target: WireRange) -> WireFault? {
        guard request.method != .connect else { return .connectMethod }
        guard !target.isEmpty else { return .badTarget }
        request.target = target
        switch bytes.byte(target.start) {
        case UInt8(ascii: "/"):
            return splitPath(bytes, target.start, target.end)
        case UInt8(ascii: "*"):
            guard target.count == 1, request.method == .options else { return .badTarget }
            request.path = target
            return nil
        default:
            return parseAbsolute(bytes, target)
        }
    }

    private mutating func splitPath(_ bytes: RawSpan, _ start: Int, _ end: Int) -> WireFault? {
        // A fragment never belongs into a request (RFC 9112 §3.2.1); servers differ in what they do with one.
        let mark = bytes.find(UInt8(ascii: "?"), or: UInt8(ascii: "#"), from: start, to: end)
        request.path = WireRange(start, mark)
        guard mark < end else { return nil }
        guard bytes.find(UInt8(ascii: "#"), from: mark, to: end) == end else { return .badTarget }
        request.query = WireRange(mark &+ 1, end)
        return nil
    }

    /// `http://authority/path?query`; that the authority is the Host field's is checked when that is known.
    private mutating func parseAbsolute(_ bytes: RawSpan, _ target: WireRange) -> WireFault? {
        let start: Int
        if target.count > 7, bytes.equalsIgnoringCase(WireRange(target.start, target.start &+ 7), "http://") {
            start = target.start &+ 7
        } else if target.count > 8, bytes.equalsIgnoringCase(WireRange(target.start, target.start &+ 8), "https://") {
            start = target.start &+ 8
        } else {
            return .badTarget
        }
        var index = start
        while index < target.end, bytes.byte(index) != UInt8(ascii: "/"), bytes.byte(index) != UInt8(ascii: "?") {
            index &+= 1
        }
        guard index > start else { return .badTarget }
        request.authority = WireRange(start, index)
        if let fault = splitPath(bytes, index, target.end) { return fault }
        // No path means "/" (RFC 9110 §4.2.3): point at a slash that is there, the second of "//".
        if request.path.isEmpty { request.path = WireRange(start &- 1, start) }
        return nil
    }
}
