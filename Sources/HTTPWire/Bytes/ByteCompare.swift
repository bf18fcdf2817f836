extension RawSpan {
    /// Whether the bytes of `range` are those of `text`.
    @inline(__always)
    func equals(_ range: WireRange, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        var index = 0
        while index < range.count {
            if byte(range.start &+ index) != literalByte(text, index) { return false }
            index &+= 1
        }
        return true
    }

    /// Whether the bytes of `range` are those of `text` but for the case of ASCII letters. `text` is in lower case.
    @inline(__always)
    func equalsIgnoringCase(_ range: WireRange, _ text: StaticString) -> Bool {
        range.count == text.utf8CodeUnitCount && equalsFolded(range.start, text)
    }

    private func equalsFolded(_ start: Int, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        var index = 0
        while index < count {
            // Most clients spell names as we do: eight equal bytes need no folding.
            if index &+ 8 <= count, word(start &+ index) == literalWord(text, at: index) {
                index &+= 8
                continue
            }
            if lowercased(byte(start &+ index)) != literalByte(text, index) { return false }
            index &+= 1
        }
        return true
    }

    /// Whether two stretches hold the same bytes but for the case of ASCII letters.
    func equalsIgnoringCase(_ range: WireRange, _ other: WireRange) -> Bool {
        guard range.count == other.count else { return false }
        var index = 0
        while index < range.count {
            if lowercased(byte(range.start &+ index)) != lowercased(byte(other.start &+ index)) { return false }
            index &+= 1
        }
        return true
    }

    /// The stretch without spaces and tabs at its ends.
    @inline(__always)
    func trimmed(_ from: Int, _ end: Int) -> WireRange {
        var lower = from
        var upper = end
        while lower < upper, isBlank(byte(lower)) { lower &+= 1 }
        while lower < upper, isBlank(byte(upper &- 1)) { upper &-= 1 }
        return WireRange(lower, upper)
    }
}

@inline(__always)
func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

@inline(__always)
func lowercased(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
}

extension RawSpan {
    /// Whether these are the letters of a name in lower case, whatever their own case.
    public func isName(_ name: [UInt8]) -> Bool {
        guard byteCount == name.count else { return false }
        for index in 0..<byteCount {
            let byte = byte(index)
            guard ((0x41...0x5A).contains(byte) ? byte | 0x20 : byte) == name[index] else { return false }
        }
        return true
    }

    /// Whether these are the bytes of a literal.
    public func isEqual(_ text: StaticString) -> Bool {
        equals(WireRange(0, byteCount), text)
    }
}
