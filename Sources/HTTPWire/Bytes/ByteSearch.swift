// Searches test sixteen bytes at a time. Near the end of the span they load its last sixteen bytes and ignore those
// already tested; only spans shorter than that are searched byte by byte. The vector test may have false positives but
// no false negatives: a byte that it reports is tested again by itself.

extension RawSpan {
    /// Offset of the first `byte` in `from..<end`, or `end`.
    @inline(__always)
    func find(_ byte: UInt8, from: Int, to end: Int) -> Int {
        first(OneByte(byte: byte), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` that equals one of two, or `end`.
    @inline(__always)
    func find(_ one: UInt8, or other: UInt8, from: Int, to end: Int) -> Int {
        first(TwoBytes(one: one, other: other), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` that is not a token character, or `end`.
    @inline(__always)
    func findNonToken(from: Int, to end: Int) -> Int {
        first(NoToken(), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` that is not allowed in a field value, or `end`: control characters
    /// other than the tab, and DEL. The CR that ends a line is one, so one pass both validates a value and finds its
    /// end.
    @inline(__always)
    func findControl(from: Int, to end: Int) -> Int {
        first(ControlByte(), from: from, to: end)
    }

    /// Offset of the first byte in `from..<end` outside 0x21…0x7E, or `end`.
    @inline(__always)
    func findInvisible(from: Int, to end: Int) -> Int {
        first(InvisibleByte(), from: from, to: end)
    }

    /// Whether `from..<end` holds a byte that form decoding has to look at: `%`, `+`, or one above 0x7F.
    @inline(__always)
    func hasFormCoding(from: Int, to end: Int) -> Bool {
        first(FormCoding(), from: from, to: end) < end
    }

    /// Offset of the first byte in `from..<end` that ends a JSON string, or that has to be decoded or validated in one,
    /// or `end`: quotes, backslashes, control characters and bytes above 0x7F (RFC 8259 §7).
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

    /// The last bytes of the span, fewer than sixteen.
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
        // SAFETY: callers have checked that sixteen bytes follow the offset; any sixteen bytes are a valid vector.
        let bytes = unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: SIMD16<UInt8>.self)
        // SAFETY: a mask has the size of two words, of which every bit pattern is valid.
        return unsafe unsafeBitCast(test.lanes(bytes), to: SIMD2<UInt64>.self)
    }
}

private typealias Lanes = SIMDMask<SIMD16<Int8>>

/// Index of the first lane that is set; 16 if there is none.
@inline(__always)
private func firstLane(_ lanes: SIMD2<UInt64>) -> Int {
    if lanes[0] | lanes[1] == 0 { return 16 }
    let low = UInt64(littleEndian: lanes[0])
    return (low != 0 ? low.trailingZeroBitCount : 64 &+ UInt64(littleEndian: lanes[1]).trailingZeroBitCount) &>> 3
}

/// Index of the first lane that is set after the first `count` lanes (1 to 15), counted from there; 16 or more if there
/// is none.
@inline(__always)
private func firstLane(_ lanes: SIMD2<UInt64>, behind count: Int) -> Int {
    let low = UInt64(littleEndian: lanes[0])
    let high = UInt64(littleEndian: lanes[1])
    // Smart shifts: a shift by 64 or more gives 0, and a negative one shifts in the other direction.
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

/// The vector test reports everything but letters and `-`, of which nearly all field names consist.
private struct NoToken: ByteTest {
    @inline(__always)
    func lanes(_ bytes: SIMD16<UInt8>) -> Lanes {
        let fromA = (bytes | SIMD16(repeating: 0x20)) &- SIMD16(repeating: UInt8(ascii: "a"))
        return (fromA .> SIMD16(repeating: 25)) .& (bytes .!= SIMD16(repeating: UInt8(ascii: "-")))
    }
    @inline(__always)
    func matches(_ byte: UInt8) -> Bool { !isToken(byte) }
}

/// The vector test reports tabs as well.
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
