import NetworkAddress

extension RequestParser {
    /// Checks the fields together: host, framing, expectation, persistence of the connection. Sets the phase of the
    /// body.
    mutating func finishHead(_ bytes: RawSpan) -> WireFault? {
        if let fault = checkHost(bytes) { return fault }
        let length: Int
        switch bodyLength(bytes) {
        case .success(let value): length = value
        case .failure(let fault): return fault
        }
        let start = position
        scanned = 0
        request.bodyRange = WireRange(start, start &+ length)
        request.keepAlive = wantsKeepAlive(bytes)
        if request.isChunked {
            phase = .chunkSize
            bodyMax = limits.bodyMax(for: request.path, in: bytes)
            decoded.removeAll(keepingCapacity: true)
        } else {
            phase = .body
            if length > 0, length > limits.bodyMax(for: request.path, in: bytes) { return .bodyTooLarge }
        }
        if let fault = checkExpectation(bytes, hasBody: length > 0 || request.isChunked) { return fault }
        // A head is remembered only if its fields alone decide what follows: no chunks, no `100 Continue` to send.
        if !request.isChunked, !owesContinue { lastHead.remember(bytes, count: start) }
        return nil
    }

    private func checkHost(_ bytes: RawSpan) -> WireFault? {
        let count = request.count(.host)
        guard count <= 1 else { return .repeatedHost }
        guard let host = request.value(.host) else {
            if request.minorVersion > 0 { return .missingHost }
            return request.authority.isEmpty ? nil : .authorityMismatch
        }
        guard isHost(host, in: bytes) else { return .badHost }
        if !request.authority.isEmpty, !bytes.equalsIgnoringCase(request.authority, host) { return .authorityMismatch }
        return nil
    }

    /// RFC 9112 §6.3, stricter: anything ambiguous is a fault.
    private mutating func bodyLength(_ bytes: RawSpan) -> Result<Int, WireFault> {
        let lengths = request.count(.contentLength)
        if let coding = request.value(.transferEncoding) {
            if endsInTab(coding, bytes) { return .failure(.badTransferEncoding) }
            if request.minorVersion == 0 { return .failure(.codingInOldVersion) }
            if lengths > 0 { return .failure(.codingWithLength) }
            if request.count(.transferEncoding) > 1 { return .failure(.badTransferEncoding) }
            if bytes.equalsIgnoringCase(coding, "chunked") {
                request.isChunked = true
                return .success(0)
            }
            return .failure(endsInChunked(coding, bytes) ? .unknownTransferCoding : .badTransferEncoding)
        }
        guard let value = request.value(.contentLength) else { return .success(0) }
        if lengths > 1 { return .failure(.repeatedLength) }
        guard !endsInTab(value, bytes), let length = plainNumber(value, bytes) else { return .failure(.badLength) }
        // All limits are far below 2^31, and offsets must fit into 32 bits.
        guard length < 1 << 31 else { return .failure(.bodyTooLarge) }
        return .success(length)
    }

    /// Whether a tab precedes the line end of a value. That is legal, but llhttp refuses it in the fields that frame a
    /// message, where no parser may accept more than another.
    private func endsInTab(_ value: WireRange, _ bytes: RawSpan) -> Bool {
        var index = value.end
        while bytes.byte(index) == UInt8(ascii: " ") { index &+= 1 }
        return bytes.byte(index) == UInt8(ascii: "\t")
    }

    /// Whether `chunked` is the last of several codings: then the framing is clear, and only the coding is unknown.
    private func endsInChunked(_ value: WireRange, _ bytes: RawSpan) -> Bool {
        var start = value.end
        while start > value.start, bytes.byte(start &- 1) != UInt8(ascii: ",") { start &-= 1 }
        guard start > value.start else { return false }
        return bytes.equalsIgnoringCase(bytes.trimmed(start, value.end), "chunked")
    }

    /// Digits only, and below 2^63.
    private func plainNumber(_ value: WireRange, _ bytes: RawSpan) -> Int? {
        guard !value.isEmpty else { return nil }
        var result = 0
        guard value.count > 18 else {
            // Eighteen digits stay below 2^63.
            for index in value.bounds {
                let byte = bytes.byte(index)
                guard isDigit(byte) else { return nil }
                result = result &* 10 &+ Int(byte &- UInt8(ascii: "0"))
            }
            return result
        }
        var index = value.start
        while index < value.end {
            let byte = bytes.byte(index)
            guard isDigit(byte) else { return nil }
            let (product, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(byte &- UInt8(ascii: "0")))
            guard !overflow, !carry else { return nil }
            result = sum
            index &+= 1
        }
        return result
    }

    private mutating func checkExpectation(_ bytes: RawSpan, hasBody: Bool) -> WireFault? {
        // RFC 9110 §10.1.1: an expectation of an HTTP/1.0 client is ignored.
        guard let value = request.value(.expect), request.minorVersion > 0 else { return nil }
        guard request.count(.expect) == 1, bytes.equalsIgnoringCase(value, "100-continue") else {
            return .unmetExpectation
        }
        owesContinue = hasBody
        return nil
    }

    /// RFC 9112 §9.3: `close` has precedence; HTTP/1.0 needs `keep-alive`.
    private func wantsKeepAlive(_ bytes: RawSpan) -> Bool {
        var keepAlive = request.minorVersion > 0
        var index = request.index(of: .connection)
        while let current = index {
            let value = request.value(at: current)
            var start = value.start
            while start < value.end {
                let comma = bytes.find(UInt8(ascii: ","), from: start, to: value.end)
                let option = bytes.trimmed(start, comma)
                if bytes.equalsIgnoringCase(option, "close") { return false }
                if bytes.equalsIgnoringCase(option, "keep-alive") { keepAlive = true }
                start = comma &+ 1
            }
            index = request.index(of: .connection, after: current)
        }
        return keepAlive
    }
}

/// Whether `range` is a valid Host value: empty, or a name, an IPv4 address or a bracketed IP literal, with an optional
/// port (RFC 9110 §7.2, RFC 3986 §3.2.2). Percent-encoding and sub-delimiters are legal but never used, and are
/// refused, as is user information.
func isHost(_ range: WireRange, in bytes: RawSpan) -> Bool {
    var index = range.start
    // A target without authority has an empty Host (RFC 9112 §3.2); some clients send one on Unix sockets.
    guard index < range.end else { return true }
    if bytes.byte(index) == UInt8(ascii: "[") {
        index &+= 1
        let start = index
        while index < range.end, ByteClass.has(bytes.byte(index), ByteClass.literal) { index &+= 1 }
        guard index > start, index < range.end, bytes.byte(index) == UInt8(ascii: "]") else { return false }
        index &+= 1
    } else {
        let start = index
        while index < range.end, ByteClass.has(bytes.byte(index), ByteClass.host) { index &+= 1 }
        guard index > start else { return false }
    }
    guard index < range.end else { return true }
    guard bytes.byte(index) == UInt8(ascii: ":") else { return false }
    index &+= 1
    // "host:" with an empty port is legal. A port has at most five digits.
    guard range.end &- index <= 5 else { return false }
    while index < range.end {
        guard isDigit(bytes.byte(index)) else { return false }
        index &+= 1
    }
    return true
}

// MARK: Chunked bodies
//
// Chunked bodies (RFC 9112 §7.1) are decoded into storage of the parser, bounded by the limit of the path. The encoded
// form stays in the connection's buffer until the message is complete, so the overhead of framing is bounded too:
// chunks of one byte each would otherwise fill that buffer with five times the body.

extension RequestParser {
    mutating func parseChunks(_ bytes: RawSpan) -> Step {
        while true {
            let step: Step?
            switch phase {
            case .chunkSize: step = parseChunkSize(bytes)
            case .chunkData: step = takeChunkData(bytes)
            case .chunkEnd: step = parseChunkEnd(bytes)
            default: return parseTrailers(bytes)
            }
            if let step { return step }
        }
    }

    mutating func parseChunkSize(_ bytes: RawSpan) -> Step? {
        let end = min(bytes.byteCount, position &+ limits.chunkLineBytesMax)
        let lineFeed = bytes.find(UInt8(ascii: "\n"), from: min(max(position, scanned), end), to: end)
        guard lineFeed < end else {
            if bytes.byteCount &- position >= limits.chunkLineBytesMax { return fail(.chunkLineTooLong) }
            scanned = end
            return wait()
        }
        guard lineFeed > position, bytes.byte(lineFeed &- 1) == UInt8(ascii: "\r") else { return fail(.bareLineFeed) }
        let lineEnd = lineFeed &- 1
        var index = position
        var size = 0
        while index < lineEnd {
            let digit = Hexadecimal.value(bytes.byte(index))
            if digit == 255 { break }
            guard index &- position < 16 else { return fail(.badChunk) }
            // Saturates far above every limit instead of overflowing to a small number.
            size = min(size, 1 << 32) &* 16 &+ Int(digit)
            index &+= 1
        }
        guard index > position, areChunkExtensions(bytes, index, lineEnd) else { return fail(.badChunk) }
        let taken = handedOut &+ decoded.count
        guard size <= bodyMax &- taken else { return fail(.bodyTooLarge) }
        position = lineFeed &+ 1
        scanned = 0
        let overhead = passed &+ position &- request.bodyRange.start &- taken
        guard overhead <= bodyMax &+ limits.chunkOverheadBytesMax else { return fail(.bodyTooLarge) }
        chunkLeft = size
        phase = size > 0 ? .chunkData : .trailers
        if size == 0 {
            trailerStart = position
            trailerCount = 0
        }
        return nil
    }

    private mutating func takeChunkData(_ bytes: RawSpan) -> Step? {
        let count = min(bytes.byteCount &- position, chunkLeft)
        if count > 0 {
            let piece = bytes.extracting(position..<(position &+ count))
            // SAFETY: the pointer does not leave the closure, and the array copies the bytes.
            unsafe piece.withUnsafeBytes { unsafe decoded.append(contentsOf: $0) }
            position &+= count
            chunkLeft &-= count
        }
        guard chunkLeft == 0 else { return wait() }
        phase = .chunkEnd
        return nil
    }

    mutating func parseChunkEnd(_ bytes: RawSpan) -> Step? {
        guard position < bytes.byteCount else { return wait() }
        guard bytes.byte(position) == UInt8(ascii: "\r") else { return fail(.badChunk) }
        guard position &+ 1 < bytes.byteCount else { return wait() }
        guard bytes.byte(position &+ 1) == UInt8(ascii: "\n") else { return fail(.badChunk) }
        position &+= 2
        phase = .chunkSize
        return nil
    }

    /// Trailers are checked like fields and discarded. A field that has a meaning here is not allowed in one (RFC 9110
    /// §6.5.1).
    mutating func parseTrailers(_ bytes: RawSpan) -> Step {
        let end = min(bytes.byteCount, trailerStart &+ limits.trailerBytesMax)
        if scanned > 0 {
            let lineFeed = bytes.find(UInt8(ascii: "\n"), from: min(scanned, end), to: end)
            if lineFeed == end { return waitForTrailer(bytes, end) }
        }
        var line = FieldLine()
        while true {
            switch line.parse(bytes, position, end) {
            case .next(let next):
                position = next
                if line.isEmptyLine {
                    phase = .complete
                    request.bodyRange = WireRange(request.bodyRange.start, next)
                    return .request(consumedBytes: next)
                }
                let known = KnownField.recognise(bytes, line.nameStart, line.nameEnd &- line.nameStart)
                guard known == .unknown else { return fail(.forbiddenTrailer) }
                trailerCount &+= 1
                guard trailerCount <= limits.trailersMax else { return fail(.trailersTooLarge) }
            case .partial:
                return waitForTrailer(bytes, end)
            case .bad(let fault, let at):
                let lineFeed = bytes.find(UInt8(ascii: "\n"), from: min(at, end), to: end)
                return lineFeed == end ? waitForTrailer(bytes, end) : fail(fault)
            }
        }
    }

    private mutating func waitForTrailer(_ bytes: RawSpan, _ end: Int) -> Step {
        if bytes.byteCount &- trailerStart >= limits.trailerBytesMax { return fail(.trailersTooLarge) }
        scanned = end
        return wait()
    }
}

/// `;name`, `;name=token` or `;name="quoted"`, any number, without the whitespace that RFC 9112 §7.1.1 calls bad
/// whitespace.
private func areChunkExtensions(_ bytes: RawSpan, _ from: Int, _ end: Int) -> Bool {
    var index = from
    while index < end {
        guard bytes.byte(index) == UInt8(ascii: ";") else { return false }
        guard let nameEnd = tokenEnd(bytes, index &+ 1, end) else { return false }
        index = nameEnd
        guard index < end, bytes.byte(index) == UInt8(ascii: "=") else { continue }
        index &+= 1
        guard let valueEnd = tokenEnd(bytes, index, end) ?? quotedEnd(bytes, index, end) else { return false }
        index = valueEnd
    }
    return true
}

/// Offset after the token at `start`; `nil` if there is none.
func tokenEnd(_ bytes: RawSpan, _ start: Int, _ end: Int) -> Int? {
    let index = bytes.findNonToken(from: start, to: end)
    return index > start ? index : nil
}

/// Offset after the quoted string at `start` (RFC 9110 §5.6.4, ASCII only); `nil` if there is none.
func quotedEnd(_ bytes: RawSpan, _ start: Int, _ end: Int) -> Int? {
    guard start < end, bytes.byte(start) == UInt8(ascii: "\"") else { return nil }
    var index = start &+ 1
    while index < end {
        var byte = bytes.byte(index)
        if byte == UInt8(ascii: "\"") { return index &+ 1 }
        if byte == UInt8(ascii: "\\") {
            index &+= 1
            guard index < end else { return nil }
            byte = bytes.byte(index)
        }
        guard byte == 0x20 || ByteClass.has(byte, ByteClass.visible) else { return nil }
        index &+= 1
    }
    return nil
}
