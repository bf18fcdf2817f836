/// A request method (RFC 9110 §9). `other` is any further token: forward-auth judges requests of all kinds.
public enum Method: UInt8, Equatable, Hashable, Sendable, CaseIterable {
    case get, head, post, put, delete, options, patch, connect, trace, other

    /// Methods are case-sensitive: `get` is another method than `GET`.
    static func recognise(_ range: WireRange, in bytes: RawSpan) -> Method {
        guard range.count <= 8 else { return .other }
        switch bytes.shortWord(range.start, count: range.count) {
        case literalWord("GET"): return .get
        case literalWord("HEAD"): return .head
        case literalWord("POST"): return .post
        case literalWord("PUT"): return .put
        case literalWord("DELETE"): return .delete
        case literalWord("OPTIONS"): return .options
        case literalWord("PATCH"): return .patch
        case literalWord("CONNECT"): return .connect
        case literalWord("TRACE"): return .trace
        default: return .other
        }
    }
}

extension RequestParser {
    /// `method SP target SP version CRLF`, one space each (RFC 9112 §3).
    mutating func parseRequestLine(_ bytes: RawSpan, _ end: Int) -> LineOutcome {
        let start = position
        let index = bytes.findNonToken(from: start, to: end)
        guard index < end else { return .partial }
        guard bytes.byte(index) == UInt8(ascii: " "), index > start else {
            return Self.badLine(bytes, index, .badMethod)
        }
        guard index &- start <= limits.methodBytesMax else { return .bad(.methodTooLong, index) }
        request.methodName = WireRange(start, index)
        request.method = Method.recognise(request.methodName, in: bytes)

        let targetStart = index &+ 1
        let targetEnd = bytes.findInvisible(from: targetStart, to: end)
        guard targetEnd < end else { return .partial }
        guard bytes.byte(targetEnd) == UInt8(ascii: " ") else { return Self.badLine(bytes, targetEnd, .badTarget) }

        let next: Int
        switch parseVersion(bytes, targetEnd &+ 1, end) {
        case .next(let offset): next = offset
        case let other: return other
        }
        guard targetEnd &- targetStart <= limits.targetBytesMax else { return .bad(.targetTooLong, targetEnd) }
        if let fault = parseTarget(bytes, WireRange(targetStart, targetEnd)) { return .bad(fault, targetEnd) }
        return .next(next)
    }

    private static func badLine(_ bytes: RawSpan, _ index: Int, _ fault: WireFault) -> LineOutcome {
        .bad(bytes.byte(index) == UInt8(ascii: "\n") ? .bareLineFeed : fault, index)
    }

    private mutating func parseVersion(_ bytes: RawSpan, _ start: Int, _ end: Int) -> LineOutcome {
        if start &+ 10 <= end {
            let name = bytes.word(start)
            if name == literalWord("HTTP/1.1") || name == literalWord("HTTP/1.0") {
                let lineEnd = start &+ 8
                if bytes.byte(lineEnd) == UInt8(ascii: "\r"), bytes.byte(lineEnd &+ 1) == UInt8(ascii: "\n") {
                    request.minorVersion = name == literalWord("HTTP/1.1") ? 1 : 0
                    return .next(lineEnd &+ 2)
                }
            }
        }
        return Self.badVersion(bytes, start, end)
    }

    /// Tells another version of HTTP (505) from no version at all (400).
    @inline(never)
    private static func badVersion(_ bytes: RawSpan, _ start: Int, _ end: Int) -> LineOutcome {
        let lineFeed = bytes.find(UInt8(ascii: "\n"), from: start, to: end)
        guard lineFeed < end else { return .partial }
        guard lineFeed > start, bytes.byte(lineFeed &- 1) == UInt8(ascii: "\r") else {
            return .bad(.bareLineFeed, lineFeed)
        }
        guard lineFeed &- 1 &- start == 8, bytes.equals(WireRange(start, start &+ 5), "HTTP/"),
            isDigit(bytes.byte(start &+ 5)), bytes.byte(start &+ 6) == UInt8(ascii: "."),
            isDigit(bytes.byte(start &+ 7))
        else { return .bad(.badVersion, start) }
        return .bad(.unsupportedVersion, start)
    }
}
