/// Reads of raw bytes. Each checks its offset: a wrong one would stop the program, never read beside the span, and the
/// fuzzer's task is to show that there is none. Only the searches read otherwise: they check their bounds once.
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
        // SAFETY: every bit pattern is a UInt64, no alignment is asked for, and the callee checks the offset.
        UInt64(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The first up to eight bytes of a stretch as a word, zeros above. `count` must not be negative.
    @inline(__always)
    func shortWord(_ offset: Int, count: Int) -> UInt64 {
        if count >= 8 { return word(offset) }
        // A longer load and a mask beat a loop, wherever eight bytes lie behind the offset.
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
        // SAFETY: the index is below the literal's length, and literals live for ever.
        result |= UInt64(unsafe text.utf8Start[index]) << UInt64(truncatingIfNeeded: index &* 8)
        index &+= 1
    }
    return result
}

/// Eight bytes of a literal, the first one lowest; 0 when there are not so many.
@inline(__always)
func literalWord(_ text: StaticString, at index: Int) -> UInt64 {
    guard index >= 0, index &+ 8 <= text.utf8CodeUnitCount else { return 0 }
    // SAFETY: eight bytes lie behind the index, as was just checked, and literals live for ever.
    return unsafe UInt64(
        littleEndian: UnsafeRawPointer(text.utf8Start).loadUnaligned(fromByteOffset: index, as: UInt64.self))
}

/// One byte of a literal, or 0 behind its end.
@inline(__always)
func literalByte(_ text: StaticString, _ index: Int) -> UInt8 {
    guard index >= 0, index < text.utf8CodeUnitCount else { return 0 }
    // SAFETY: the index was just checked against the literal's length, and literals live for ever.
    return unsafe text.utf8Start[index]
}
