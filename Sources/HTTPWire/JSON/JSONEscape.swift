/// One escape in a JSON string (RFC 8259 §7).
struct JSONEscape {
    /// What it stands for.
    let scalar: Unicode.Scalar
    /// Bytes that it is spelled with: always more than its scalar takes in UTF-8.
    let spelledBytes: Int

    /// Bytes that its scalar takes in UTF-8.
    var decodedBytes: Int { UTF8.width(scalar) }
}

extension RawSpan {
    /// The escape whose backslash lies at `index`, before `end`.
    func jsonEscape(_ index: Int, to end: Int) throws(JSONFault) -> JSONEscape {
        guard end &- index >= 2 else { throw .endsEarly }
        let scalar: Unicode.Scalar
        switch byte(index &+ 1) {
        case UInt8(ascii: "\""): scalar = "\""
        case UInt8(ascii: "\\"): scalar = "\\"
        case UInt8(ascii: "/"): scalar = "/"
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{C}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        case UInt8(ascii: "u"): return try unicodeEscape(index, to: end)
        default: throw .badEscape
        }
        return JSONEscape(scalar: scalar, spelledBytes: 2)
    }

    /// `\uXXXX`, or two of them that are a surrogate pair.
    private func unicodeEscape(_ index: Int, to end: Int) throws(JSONFault) -> JSONEscape {
        let first = try codeUnit(index &+ 2, to: end)
        // Only a surrogate is a code unit and no scalar.
        if let scalar = Unicode.Scalar(first) { return JSONEscape(scalar: scalar, spelledBytes: 6) }
        guard first < 0xDC00 else { throw .loneSurrogate }
        guard end &- index >= 7 else { throw .endsEarly }
        guard byte(index &+ 6) == UInt8(ascii: "\\") else { throw .loneSurrogate }
        guard end &- index >= 8 else { throw .endsEarly }
        guard byte(index &+ 7) == UInt8(ascii: "u") else { throw .loneSurrogate }
        let second = try codeUnit(index &+ 8, to: end)
        guard second & 0xFC00 == 0xDC00,
            let scalar = Unicode.Scalar(0x1_0000 &+ ((first & 0x3FF) &<< 10 | second & 0x3FF))
        else { throw .loneSurrogate }
        return JSONEscape(scalar: scalar, spelledBytes: 12)
    }

    /// The number that four hexadecimal digits at `index` spell.
    private func codeUnit(_ index: Int, to end: Int) throws(JSONFault) -> UInt32 {
        var unit: UInt32 = 0
        var offset = index
        while offset < index &+ 4 {
            guard offset < end else { throw .endsEarly }
            let digit = hexValue(byte(offset))
            guard digit != 255 else { throw .badEscape }
            unit = unit &<< 4 | UInt32(digit)
            offset &+= 1
        }
        return unit
    }
}
