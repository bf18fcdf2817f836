/// One field line, or the empty line behind the last (RFC 9112 §5). Used for heads and trailers alike.
struct FieldLine {
    var nameStart = 0
    var nameEnd = 0
    var valueStart = 0
    var valueEnd = 0
    var isEmptyLine = false

    /// Reads the line at `start`. `end` is where bytes, or the room for them, run out.
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
            // A CR may be the last byte there is; anything else is judged once the line has ended.
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

    /// A line that does not begin with a name and a colon; `index` is at its first byte that is no token.
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
