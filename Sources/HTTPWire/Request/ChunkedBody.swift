// Chunked bodies (RFC 9112 §7.1) are put together in storage of the parser, bounded by the path's body limit. The
// encoded form stays in the connection's buffer until the message is complete, so what framing adds is bounded too:
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
            let digit = hexValue(bytes.byte(index))
            if digit == 255 { break }
            guard index &- position < 16 else { return fail(.badChunk) }
            // Saturates far above every limit instead of wrapping around to a small number.
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
            // SAFETY: the pointer does not leave the closure, and the array copies what it points to.
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

    /// Trailers are checked like fields and dropped. None that means something here may hide in one (RFC 9110 §6.5.1).
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

/// `;name`, `;name=token` or `;name="quoted"`, any number, without the whitespace that RFC 9112 §7.1.1 calls bad.
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

/// Offset behind the token at `start`; `nil` if there is none.
func tokenEnd(_ bytes: RawSpan, _ start: Int, _ end: Int) -> Int? {
    let index = bytes.findNonToken(from: start, to: end)
    return index > start ? index : nil
}

/// Offset behind the quoted string at `start` (RFC 9110 §5.6.4, ASCII only); `nil` if there is none.
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
