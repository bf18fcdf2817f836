extension JSONReader {
    /// The string whose opening quote is read next (RFC 8259 §7). Its characters, its escapes and its UTF-8 are checked.
    @inline(__always)
    mutating func string() throws(JSONFault) -> JSONText {
        let start = position &+ 1
        let stop = bytes.findJSONStop(from: start, to: bytes.byteCount)
        // Nearly every string ends at the first byte that is more than itself.
        guard stop < bytes.byteCount, bytes.byte(stop) == UInt8(ascii: "\"") else {
            return try string(from: start, stoppedAt: stop)
        }
        position = stop &+ 1
        return JSONText(range: WireRange(start, stop), decodedBytes: stop &- start)
    }

    /// A string whose first bytes, up to `stop`, stand for themselves.
    private mutating func string(from start: Int, stoppedAt stop: Int) throws(JSONFault) -> JSONText {
        let end = bytes.byteCount
        // What escapes take beyond what they stand for.
        var excess = 0
        position = stop
        while position < end {
            switch bytes.byte(position) {
            case UInt8(ascii: "\""):
                let range = WireRange(start, position)
                position &+= 1
                return JSONText(range: range, decodedBytes: range.count &- excess)
            case UInt8(ascii: "\\"):
                let escape = try bytes.jsonEscape(position, to: end)
                excess &+= escape.spelledBytes &- escape.decodedBytes
                position &+= escape.spelledBytes
            case 0x80...:
                let length = bytes.utf8Length(position, to: end)
                guard length > 0 else { throw .badUTF8 }
                position &+= length
                // Such characters seldom come alone.
                continue
            case 0..<0x20:
                throw .controlInString
            default:
                position = bytes.findJSONStop(from: position, to: end)
            }
        }
        throw .endsEarly
    }

    /// Walks over one value of any kind, and judges all of it.
    mutating func skipValue() throws(JSONFault) {
        let outside = depth
        while true {
            switch try next() {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                if try enter() {
                    if isInObject { _ = try name() }
                    continue
                }
            case UInt8(ascii: "\""): _ = try string()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try skipNumber()
            case UInt8(ascii: "t"): try skipLiteral("true")
            case UInt8(ascii: "f"): try skipLiteral("false")
            case UInt8(ascii: "n"): try skipLiteral("null")
            default: throw .unexpectedByte
            }
            // A value has ended, and with it perhaps some of those that hold it.
            while depth > outside {
                if try continues() { break }
            }
            if depth == outside { return }
            if isInObject { _ = try name() }
        }
    }

    /// `[ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ( "e" / "E" ) [ "-" / "+" ] 1*digit ]` (RFC 8259 §6), of any
    /// size: nobody computes with it.
    private mutating func skipNumber() throws(JSONFault) {
        skipByte(UInt8(ascii: "-"))
        if skipByte(UInt8(ascii: "0")) {
            if position < bytes.byteCount, isDigit(bytes.byte(position)) { throw .badNumber }
        } else {
            try skipDigits()
        }
        if skipByte(UInt8(ascii: ".")) { try skipDigits() }
        if skipByte(UInt8(ascii: "e")) || skipByte(UInt8(ascii: "E")) {
            if !skipByte(UInt8(ascii: "-")) { skipByte(UInt8(ascii: "+")) }
            try skipDigits()
        }
    }

    /// At least one digit.
    private mutating func skipDigits() throws(JSONFault) {
        let start = position
        while position < bytes.byteCount, isDigit(bytes.byte(position)) { position &+= 1 }
        guard position > start else { throw position < bytes.byteCount ? .badNumber : .endsEarly }
    }

    @discardableResult
    private mutating func skipByte(_ byte: UInt8) -> Bool {
        guard position < bytes.byteCount, bytes.byte(position) == byte else { return false }
        position &+= 1
        return true
    }

    private mutating func skipLiteral(_ text: StaticString) throws(JSONFault) {
        var index = 0
        while index < text.utf8CodeUnitCount {
            guard position < bytes.byteCount else { throw .endsEarly }
            guard skipByte(literalByte(text, index)) else { throw .badLiteral }
            index &+= 1
        }
    }
}
