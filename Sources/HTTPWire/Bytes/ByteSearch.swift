// Searches look at sixteen bytes at a time. Near the end of the span they look at its last sixteen and forget those
// already seen; only spans shorter than that are walked byte by byte. A test may claim a lane too often, never too
// seldom: the byte that a vector points at is always tested again alone.

extension RawSpan {
    /// Offset of the first `byte` in `from..<end`, or `end`.
    @inline(__always)
    func find(_ byte: UInt8, from: Int, to end: Int) -> Int {
        first(OneByte(byte: byte), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` that is one of two, or `end`.
    @inline(__always)
    func find(_ one: UInt8, or other: UInt8, from: Int, to end: Int) -> Int {
        first(TwoBytes(one: one, other: other), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` that is no token character, or `end`.
    @inline(__always)
    func findNonToken(from: Int, to end: Int) -> Int {
        first(NoToken(), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` that may not stand in a field value, or `end`: controls and DEL,
    /// but not the tab. The CR that ends a line is such a byte, so one pass both checks a value and finds its end.
    @inline(__always)
    func findControl(from: Int, to end: Int) -> Int {
        first(ControlByte(), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` outside 0x21…0x7E, or `end`.
    @inline(__always)
    func findInvisible(from: Int, to end: Int) -> Int {
        first(InvisibleByte(), from: from, to: end)
    }

    /// Whether `from..<end` holds a byte that makes form text more than itself: `%`, `+`, or one above 0x7F.
    @inline(__always)
    func hasFormCoding(from: Int, to end: Int) -> Bool {
        first(FormCoding(), from: from, to: end) < end
    }

    /// Offset of the first byte in `from..<end` that ends a JSON string or is more than itself in one, or `end`: quotes,
    /// backslashes, controls and bytes above 0x7F (RFC 8259 §7).
    @inline(__always)
    func findJSONStop(from: Int, to end: Int) -> Int {
        first(JSONStop(), from: from, to: end)
    }

    @inline(__always)
    private func first<Test: ByteTest>(_ test: Test, from: Int, to limit: Int) -> Int {
        // Checked once: every offset from here on lies between `from` and the end of the span.
        let end = min(limit, byteCount)
        precondition(from >= 0)
        var index = from
        while index < end, index &+ 16 <= byteCount {
            let lane = firstLane(lanes(test, index))
            index &+= lane
            if lane == 16 { continue }
            if index >= end { return end }
            // SAFETY: index is below end, which is at most the span's own.
            if test.matches(unsafe unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)) { return index }
            index &+= 1
        }
        return index < end ? firstInTail(test, from: index, to: end) : end
    }

    /// For the last up to fifteen bytes of the span.
    @inline(__always)
    private func firstInTail<Test: ByteTest>(_ test: Test, from: Int, to end: Int) -> Int {
        var index = from
        if byteCount >= 16 {
            let base = byteCount &- 16
            index &+= firstLane(lanes(test, base), behind: index &- base)
        }
        while index < end {
            // SAFETY: index is below end, which is at most the span's own.
            if test.matches(unsafe unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)) { return index }
            index &+= 1
        }
        return end
    }

    @inline(__always)
    private func lanes<Test: ByteTest>(_ test: Test, _ offset: Int) -> SIMD2<UInt64> {
        // SAFETY: callers have seen that sixteen bytes lie behind the offset; any sixteen bytes are a vector of them.
        let bytes = unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: SIMD16<UInt8>.self)
        // SAFETY: a mask is sixteen bytes of 0x00 or 0xFF, and so are two words.
        return unsafe unsafeBitCast(test.lanes(bytes), to: SIMD2<UInt64>.self)
    }
}

private typealias Lanes = SIMDMask<SIMD16<Int8>>

/// Index of the first lane that is set, or 16.
@inline(__always)
private func firstLane(_ lanes: SIMD2<UInt64>) -> Int {
    if lanes[0] | lanes[1] == 0 { return 16 }
    let low = UInt64(littleEndian: lanes[0])
    return (low != 0 ? low.trailingZeroBitCount : 64 &+ UInt64(littleEndian: lanes[1]).trailingZeroBitCount) &>> 3
}

/// Index of the first lane that is set behind the `count` first ones (1 to 15), counted from there; or 16 or more.
@inline(__always)
private func firstLane(_ lanes: SIMD2<UInt64>, behind count: Int) -> Int {
    let low = UInt64(littleEndian: lanes[0])
    let high = UInt64(littleEndian: lanes[1])
    // Swift's shifts are smart: by 64 or more they shift everything out, by less than nothing the other way.
    let shifted = low >> (count &* 8) | high << (64 &- count &* 8)
    if shifted != 0 { return shifted.trailingZeroBitCount &>> 3 }
    return 8 &+ (high >> (count &* 8)).trailingZeroBitCount &>> 3
}

private protocol ByteTest {
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes
    func matches(_ byte: UInt8) -> Bool
}

private struct OneByte: ByteTest {
    let byte: UInt8

    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes { bytes .== SIMD16(repeating: byte) }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { byte == self.byte }
}

private struct TwoBytes: ByteTest {
    let one: UInt8
    let other: UInt8

    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes {
        (bytes .== SIMD16(repeating: one)) .| (bytes .== SIMD16(repeating: other))
    }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { byte == one || byte == other }
}

/// Claims what is neither a letter nor `-`: almost all field names are letters and dashes.
private struct NoToken: ByteTest {
    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes {
        let fromA = (bytes | SIMD16(repeating: 0x20)) &- SIMD16(repeating: UInt8(ascii: "a"))
        return (fromA .> SIMD16(repeating: 25)) .& (bytes .!= SIMD16(repeating: UInt8(ascii: "-")))
    }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { !isToken(byte) }
}

/// Claims tabs, too.
private struct ControlByte: ByteTest {
    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes {
        (bytes .< SIMD16(repeating: 0x20)) .| (bytes .== SIMD16(repeating: 0x7F))
    }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { byte < 0x20 && byte != UInt8(ascii: "\t") || byte == 0x7F }
}

private struct InvisibleByte: ByteTest {
    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes { bytes &- SIMD16(repeating: 0x21) .> SIMD16(repeating: 0x5D) }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { byte < 0x21 || byte > 0x7E }
}

private struct FormCoding: ByteTest {
    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes {
        (bytes .== SIMD16(repeating: UInt8(ascii: "%"))) .| (bytes .== SIMD16(repeating: UInt8(ascii: "+")))
            .| (bytes .> SIMD16(repeating: 0x7F))
    }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "%") || byte == UInt8(ascii: "+") || byte > 0x7F }
}

private struct JSONStop: ByteTest {
    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes {
        (bytes .== SIMD16(repeating: UInt8(ascii: "\""))) .| (bytes .== SIMD16(repeating: UInt8(ascii: "\\")))
            .| (bytes &- SIMD16(repeating: 0x20) .> SIMD16(repeating: 0x5F))
    }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { !ByteClass.has(byte, ByteClass.plainJSON) }
}
