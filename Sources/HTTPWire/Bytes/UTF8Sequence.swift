extension RawSpan {
    /// Length of the UTF-8 sequence that begins at `index` and ends before `end`; 0 if there is none. Overlong forms,
    /// surrogates and values above U+10FFFF are none (RFC 3629 §4).
    @inline(__always)
    func utf8Length(_ index: Int, to end: Int) -> Int {
        let first = byte(index)
        return first < 0x80 ? 1 : multibyteLength(first, index, end)
    }

    private func multibyteLength(_ first: UInt8, _ index: Int, _ end: Int) -> Int {
        let length: Int
        // What the second byte may be; the later ones are 0x80…0xBF always.
        var lowest: UInt8 = 0x80
        var highest: UInt8 = 0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, lowest) = (3, 0xA0)
        case 0xED: (length, highest) = (3, 0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, lowest) = (4, 0x90)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, highest) = (4, 0x8F)
        default: return 0
        }
        guard end &- index >= length else { return 0 }
        guard (lowest...highest).contains(byte(index &+ 1)) else { return 0 }
        var offset = 2
        while offset < length {
            guard byte(index &+ offset) & 0xC0 == 0x80 else { return 0 }
            offset &+= 1
        }
        return length
    }

    /// Whether all of it is UTF-8.
    public var isUTF8: Bool { isUTF8(from: 0, to: byteCount) }

    /// Whether `from..<end` is UTF-8.
    func isUTF8(from: Int, to end: Int) -> Bool {
        var index = from
        while index < end {
            let length = utf8Length(index, to: end)
            guard length > 0 else { return false }
            index &+= length
        }
        return true
    }
}
