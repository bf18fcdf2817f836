/// A range of bytes, as offsets into the span that was parsed.
///
/// Parsers return ranges instead of spans, so that a result can outlive the call and takes eight bytes. A range has a
/// meaning only together with the span in which it was found.
public struct WireRange: Equatable, Hashable, Sendable {
    /// Offset of the first byte.
    public let lower: UInt32
    /// Offset one past the last byte.
    public let upper: UInt32

    /// The range from `lower` up to, but not including, `upper`. Offsets that do not fit, or are out of order,
    /// give an empty range.
    @inlinable
    public init(_ lower: Int, _ upper: Int) {
        let fits = lower >= 0 && lower <= upper && upper <= Int(UInt32.max)
        self.lower = fits ? UInt32(truncatingIfNeeded: lower) : 0
        self.upper = fits ? UInt32(truncatingIfNeeded: upper) : 0
    }

    /// The empty range at offset 0.
    @inlinable
    public init() {
        lower = 0
        upper = 0
    }

    /// Number of bytes.
    @inlinable
    public var count: Int { Int(upper) &- Int(lower) }

    /// Whether it is empty.
    @inlinable
    public var isEmpty: Bool { lower == upper }

    /// The indices of this range, for `RawSpan.extracting(_:)`.
    @inlinable
    public var bounds: Range<Int> { Int(lower)..<Int(upper) }

    @inlinable
    var start: Int { Int(lower) }

    @inlinable
    var end: Int { Int(upper) }
}

extension RawSpan {
    /// The bytes of `range`, which must have been found in this span.
    @inlinable
    @_lifetime(copy self)
    public func slice(_ range: WireRange) -> RawSpan {
        extracting(range.bounds)
    }
}

/// Checked reads of raw bytes. A wrong offset traps and never reads outside of the span; the fuzzer shows that there is
/// none. Only the searches read unchecked: they check their bounds once.
extension RawSpan {
    @inline(__always)
    func byte(_ offset: Int) -> UInt8 {
        precondition(UInt(bitPattern: offset) < UInt(bitPattern: byteCount))
        // SAFETY: every bit pattern is a UInt8, and the offset was just checked.
        return unsafe unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
    }

    /// Eight bytes, the first one lowest. Needs `offset + 8 <= byteCount`.
    @inline(__always)
    func word(_ offset: Int) -> UInt64 {
        // SAFETY: every bit pattern is a UInt64, the load needs no alignment, and the callee checks the offset.
        UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// Up to eight bytes as a word, the first one lowest, with zeros above. `count` must not be negative.
    @inline(__always)
    func shortWord(_ offset: Int, count: Int) -> UInt64 {
        if count >= 8 { return word(offset) }
        // One load and a mask are faster than a loop, if eight bytes follow the offset.
        if offset &+ 8 <= byteCount {
            return word(offset) & ((1 << UInt64(truncatingIfNeeded: count &* 8)) &- 1)
        }
        var result: UInt64 = 0
        var index = 0
        while index < count {
            result |= UInt64(byte(offset &+ index)) << UInt64(truncatingIfNeeded: index &* 8)
            index &+= 1
        }
        return result
    }
}

/// The bytes of a literal of at most eight characters as a word, the first one lowest: folded by the compiler.
@inline(__always)
func literalWord(_ text: StaticString) -> UInt64 {
    var result: UInt64 = 0
    var index = 0
    while index < text.utf8CodeUnitCount, index < 8 {
        // SAFETY: the index is below the literal's length, and literals are never freed.
        result |= UInt64(unsafe text.utf8Start[index]) << UInt64(truncatingIfNeeded: index &* 8)
        index &+= 1
    }
    return result
}

/// Eight bytes of a literal, the first one lowest; 0 if fewer follow the index.
@inline(__always)
func literalWord(_ text: StaticString, at index: Int) -> UInt64 {
    guard index >= 0, index &+ 8 <= text.utf8CodeUnitCount else { return 0 }
    // SAFETY: eight bytes follow the index, as was just checked, and literals are never freed.
    return unsafe UInt64(
        littleEndian: UnsafeRawPointer(text.utf8Start).loadUnaligned(fromByteOffset: index, as: UInt64.self))
}

/// One byte of a literal, or 0 past its end.
@inline(__always)
func literalByte(_ text: StaticString, _ index: Int) -> UInt8 {
    guard index >= 0, index < text.utf8CodeUnitCount else { return 0 }
    // SAFETY: the index was just checked against the literal's length, and literals are never freed.
    return unsafe text.utf8Start[index]
}

extension RawSpan {
    /// Whether the bytes of `range` equal `text`.
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

    /// Whether the bytes of `range` equal `text`, which is in lower case, ignoring the case of ASCII letters.
    @inline(__always)
    func equalsIgnoringCase(_ range: WireRange, _ text: StaticString) -> Bool {
        range.count == text.utf8CodeUnitCount && equalsFolded(range.start, text)
    }

    private func equalsFolded(_ start: Int, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        var index = 0
        while index < count {
            // Most clients spell names in lower case: eight equal bytes need no folding.
            if index &+ 8 <= count, word(start &+ index) == literalWord(text, at: index) {
                index &+= 8
                continue
            }
            if lowercased(byte(start &+ index)) != literalByte(text, index) { return false }
            index &+= 1
        }
        return true
    }

    /// Whether two ranges hold the same bytes, ignoring the case of ASCII letters.
    func equalsIgnoringCase(_ range: WireRange, _ other: WireRange) -> Bool {
        guard range.count == other.count else { return false }
        var index = 0
        while index < range.count {
            if lowercased(byte(range.start &+ index)) != lowercased(byte(other.start &+ index)) { return false }
            index &+= 1
        }
        return true
    }

    /// The range without leading and trailing spaces and tabs.
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
    /// Whether the bytes equal a name in lower case, ignoring the case of ASCII letters.
    public func isName(_ name: [UInt8]) -> Bool {
        guard byteCount == name.count else { return false }
        for index in 0..<byteCount where lowercased(byte(index)) != name[index] { return false }
        return true
    }

    /// Whether the bytes equal a literal.
    public func isEqual(_ text: StaticString) -> Bool {
        equals(WireRange(0, byteCount), text)
    }
}
