/// One line of an answer's head.
struct HeadLine {
    enum Field: Equatable {
        case contentLength(Int)
        case closes
        case other
    }

    let start: Int
    /// The first colon, or `end` without one.
    let colon: Int
    /// Where the carriage return is.
    let end: Int

    /// Where the next line begins.
    var next: Int { end + 2 }

    /// Nil when the line's end has not come yet.
    init?(_ bytes: Span<UInt8>, from start: Int) throws(Malformation) {
        var index = start
        var colon: Int?
        while true {
            // Heads are most of what is read, and nearly all of them passes here: letters need one comparison.
            while index < bytes.count, bytes[index] > 0x3A || bytes[index].isTextBelowColon { index += 1 }
            guard index < bytes.count else { return nil }
            switch bytes[index] {
            case 0x3A: colon = colon ?? index
            // Tabs may stand in a value; nothing else below a space may stand anywhere.
            case 0x09: break
            case 0x0D:
                guard index + 1 < bytes.count else { return nil }
                guard bytes[index + 1] == 0x0A else { throw .lineEnd }
                self.start = start
                self.colon = colon ?? index
                end = index
                return
            default: throw .controlByte
            }
            index += 1
        }
    }

    /// Reads the fields that frame the answer; the others only have to be fields.
    func field(_ bytes: Span<UInt8>) throws(Malformation) -> Field {
        guard colon < end, colon > start, bytes[start] > 0x20, bytes[colon - 1] > 0x20 else { throw .field }
        switch colon - start {
        case 14 where bytes.hasWord("content-length", at: start): return .contentLength(try number(bytes))
        case 17 where bytes.hasWord("transfer-encoding", at: start): throw .transferEncoding
        case 10 where bytes.hasWord("connection", at: start): return valueIsClose(bytes) ? .closes : .other
        default: return .other
        }
    }

    /// The value without spaces around it.
    private func value(_ bytes: Span<UInt8>) -> Range<Int> {
        var range = colon + 1..<end
        while let first = range.first, bytes.isBlank(first) { range = first + 1..<range.upperBound }
        while let last = range.last, bytes.isBlank(last) { range = range.lowerBound..<last }
        return range
    }

    private func number(_ bytes: Span<UInt8>) throws(Malformation) -> Int {
        let digits = value(bytes)
        // Nine digits cannot overflow.
        guard (1...9).contains(digits.count) else { throw .length }
        var number = 0
        for index in digits {
            guard (0x30...0x39).contains(bytes[index]) else { throw .length }
            number = number * 10 + Int(bytes[index] - 0x30)
        }
        return number
    }

    private func valueIsClose(_ bytes: Span<UInt8>) -> Bool {
        let range = value(bytes)
        return range.count == 5 && bytes.hasWord("close", at: range.lowerBound)
    }
}

extension UInt8 {
    /// Spaces, digits and punctuation.
    fileprivate var isTextBelowColon: Bool { (0x20..<0x3A).contains(self) }
}

extension Span<UInt8> {
    /// A space or a tab.
    fileprivate func isBlank(_ index: Int) -> Bool { self[index] == 0x20 || self[index] == 0x09 }
}
