extension RequestParser {
    /// Reads request line and fields. `nil` when the head is complete, and the phase says what follows.
    mutating func parseHead(_ bytes: RawSpan) -> Step? {
        let end = min(bytes.byteCount, limits.headMax)
        if scanned > 0 {
            // The current line had no end when it was looked at. Until its LF has come there is nothing to do.
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

    /// RFC 9112 §2.2: one empty line before a request is forgiven; some clients send it behind a body.
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
        // A TLS hello on a cleartext port is told from a request here, without waiting for a line end.
        guard isToken(first) else { return fail(first == UInt8(ascii: "\n") ? .bareLineFeed : .badMethod) }
        phase = .requestLine
        return nil
    }

    /// The current line has not ended: more bytes are needed, unless the head is already as long as it may be.
    private mutating func waitForLine(_ bytes: RawSpan, _ end: Int) -> Step {
        if bytes.byteCount >= limits.headMax {
            return fail(phase == .requestLine ? .targetTooLong : .headTooLarge)
        }
        scanned = end
        return .needMore
    }

    /// A line that is wrong at `at` counts only when it is complete, so that the answer does not depend on arrival.
    @inline(never)
    private mutating func judge(_ fault: WireFault, _ at: Int, _ bytes: RawSpan, _ end: Int) -> Step {
        let lineFeed = bytes.find(UInt8(ascii: "\n"), from: min(at, end), to: end)
        return lineFeed == end ? waitForLine(bytes, end) : fail(fault)
    }
}
