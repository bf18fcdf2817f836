extension RequestParser {
    /// Parses request line and fields.
    /// - Returns: `nil` when the head is complete; the phase then says what follows.
    mutating func parseHead(_ bytes: RawSpan) -> Step? {
        let end = min(bytes.byteCount, limits.headMax)
        if scanned > 0 {
            // The current line was incomplete. Until its LF has arrived there is nothing to do.
            let lineFeed = bytes.find(UInt8(ascii: "\n"), from: min(scanned, end), to: end)
            if lineFeed == end { return waitForLine(bytes, end) }
        }
        if phase == .start {
            if let step = skipEmptyLine(bytes, end) { return step }
        }
        if phase == .requestLine {
            switch parseRequestLine(bytes, end) {
            case .next(let next):
                position = next
                phase = .fields
            case .partial: return waitForLine(bytes, end)
            case .bad(let fault, let at): return judge(fault, at, bytes, end)
            }
        }
        return parseFields(bytes, end)
    }

    private mutating func parseFields(_ bytes: RawSpan, _ end: Int) -> Step? {
        var line = FieldLine()
        while true {
            switch line.parse(bytes, position, end) {
            case .next(let next):
                position = next
                if line.isEmptyLine {
                    if let fault = finishHead(bytes) { return fail(fault) }
                    return nil
                }
                guard request.fieldCount < limits.fieldCountMax else { return fail(.tooManyFields) }
                request.append(
                    FieldEntry(
                        name: line.nameStart, nameCount: line.nameEnd &- line.nameStart,
                        value: line.valueStart, valueCount: line.valueEnd &- line.valueStart,
                        known: KnownField.recognise(bytes, line.nameStart, line.nameEnd &- line.nameStart)))
            case .partial: return waitForLine(bytes, end)
            case .bad(let fault, let at): return judge(fault, at, bytes, end)
            }
        }
    }

    /// RFC 9112 §2.2: one empty line before a request is ignored; some clients send it after a body.
    private mutating func skipEmptyLine(_ bytes: RawSpan, _ end: Int) -> Step? {
        guard end > 0 else { return .needMore }
        var first = bytes.byte(0)
        if first == UInt8(ascii: "\r") {
            guard end > 1 else { return .needMore }
            guard bytes.byte(1) == UInt8(ascii: "\n") else { return fail(.bareCarriageReturn) }
            guard end > 2 else { return .needMore }
            position = 2
            first = bytes.byte(2)
        }
        // Recognises a TLS ClientHello on a cleartext port without waiting for a line end.
        guard isToken(first) else { return fail(first == UInt8(ascii: "\n") ? .bareLineFeed : .badMethod) }
        phase = .requestLine
        return nil
    }

    /// The current line is incomplete: more bytes are needed, unless the head already has its maximum length.
    private mutating func waitForLine(_ bytes: RawSpan, _ end: Int) -> Step {
        if bytes.byteCount >= limits.headMax {
            return fail(phase == .requestLine ? .targetTooLong : .headTooLarge)
        }
        scanned = end
        return .needMore
    }

    /// A line that is invalid at `at` counts only if it is complete, so that the result does not depend on how bytes
    /// arrive.
    @inline(never)
    private mutating func judge(_ fault: WireFault, _ at: Int, _ bytes: RawSpan, _ end: Int) -> Step {
        let lineFeed = bytes.find(UInt8(ascii: "\n"), from: min(at, end), to: end)
        return lineFeed == end ? waitForLine(bytes, end) : fail(fault)
    }
}

/// One field line, or the empty line after the last (RFC 9112 §5), in heads and trailers.
struct FieldLine {
    var nameStart = 0
    var nameEnd = 0
    var valueStart = 0
    var valueEnd = 0
    var isEmptyLine = false

    /// Parses the line at `start`. `end` is the end of the bytes or of what the limit allows.
    @inline(__always)
    mutating func parse(_ bytes: RawSpan, _ start: Int, _ end: Int) -> LineOutcome {
        var index = bytes.findNonToken(from: start, to: end)
        guard index < end else { return .partial }
        guard bytes.byte(index) == UInt8(ascii: ":"), index > start else {
            return withoutName(bytes, start, index, end)
        }
        nameStart = start
        nameEnd = index
        index &+= 1
        while index < end, isBlank(bytes.byte(index)) { index &+= 1 }
        valueStart = index
        index = bytes.findControl(from: index, to: end)
        guard index &+ 1 < end else {
            // A CR may be the last byte so far; anything else is judged when the line is complete.
            return index < end && bytes.byte(index) == UInt8(ascii: "\n") ? .bad(.bareLineFeed, index) : .partial
        }
        guard bytes.byte(index) == UInt8(ascii: "\r"), bytes.byte(index &+ 1) == UInt8(ascii: "\n") else {
            return Self.strayControl(bytes, index)
        }
        valueEnd = index
        while valueEnd > valueStart, isBlank(bytes.byte(valueEnd &- 1)) { valueEnd &-= 1 }
        isEmptyLine = false
        return .next(index &+ 2)
    }

    private static func strayControl(_ bytes: RawSpan, _ index: Int) -> LineOutcome {
        switch bytes.byte(index) {
        case UInt8(ascii: "\n"): .bad(.bareLineFeed, index)
        case UInt8(ascii: "\r"): .bad(.bareCarriageReturn, index)
        default: .bad(.controlByte, index)
        }
    }

    /// A line that does not begin with a name and a colon; `index` is its first byte that is not a token character.
    @inline(never)
    private mutating func withoutName(_ bytes: RawSpan, _ start: Int, _ index: Int, _ end: Int) -> LineOutcome {
        let byte = bytes.byte(index)
        if byte == UInt8(ascii: "\r"), index == start {
            guard index &+ 1 < end else { return .partial }
            guard bytes.byte(index &+ 1) == UInt8(ascii: "\n") else { return .bad(.bareCarriageReturn, index) }
            isEmptyLine = true
            return .next(index &+ 2)
        }
        if byte == UInt8(ascii: "\n") { return .bad(.bareLineFeed, index) }
        if isBlank(byte) { return .bad(index == start ? .obsoleteFolding : .spaceBeforeColon, index) }
        if byte == UInt8(ascii: ":") { return .bad(.emptyFieldName, index) }
        return .bad(.badFieldName, index)
    }
}

/// A request method (RFC 9110 §9). `other` is any other token: forward-auth judges requests with any method.
public enum Method: UInt8, Equatable, Hashable, Sendable, CaseIterable {
    case get, head, post, put, delete, options, patch, connect, trace, other

    /// Methods are case-sensitive: `get` is not `GET`.
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

    /// Distinguishes another version of HTTP (505) from an invalid version (400).
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

extension RequestParser {
    /// Splits a request target, all bytes of which are visible (RFC 9112 §3.2).
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
        // A request target has no fragment (RFC 9112 §3.2.1); servers treat one differently.
        let mark = bytes.find(UInt8(ascii: "?"), or: UInt8(ascii: "#"), from: start, to: end)
        request.path = WireRange(start, mark)
        guard mark < end else { return nil }
        guard bytes.find(UInt8(ascii: "#"), from: mark, to: end) == end else { return .badTarget }
        request.query = WireRange(mark &+ 1, end)
        return nil
    }

    /// `http://authority/path?query`; finishHead checks that the authority equals the Host field.
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
        // An empty path means "/" (RFC 9110 §4.2.3): point at a slash that exists, the second of "//".
        if request.path.isEmpty { request.path = WireRange(start &- 1, start) }
        return nil
    }
}
