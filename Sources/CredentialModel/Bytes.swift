/// Bounds-checked loads of plain integers.
///
/// The standard library marks every load from a raw span as unsafe, because the type could be any. Integers have no
/// invalid bit patterns and the offset is checked, so these are safe.
extension RawSpan {
    /// The byte at `offset`.
    @inlinable @inline(__always)
    public func byte(at offset: Int) -> UInt8 {
        // SAFETY: checked against the span's bounds; every bit pattern is a UInt8.
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// The two bytes at `offset`, native order, any alignment.
    @inlinable @inline(__always)
    public func word16(at offset: Int) -> UInt16 {
        // SAFETY: checked against the span's bounds; every bit pattern is a UInt16.
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
    }

    /// The four bytes at `offset`, native order, any alignment.
    @inlinable @inline(__always)
    public func word32(at offset: Int) -> UInt32 {
        // SAFETY: checked against the span's bounds; every bit pattern is a UInt32.
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }

    /// The eight bytes at `offset`, native order, any alignment.
    @inlinable @inline(__always)
    public func word64(at offset: Int) -> UInt64 {
        // SAFETY: checked against the span's bounds; every bit pattern is a UInt64.
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// Up to eight bytes at `offset` as ``word64(at:)``, with zeros beyond the end.
    @inlinable @inline(__always)
    public func paddedWord64(at offset: Int) -> UInt64 {
        if offset &+ 8 <= byteCount { return word64(at: offset) }
        if offset >= byteCount { return 0 }
        if byteCount >= 8 { return word64(at: byteCount &- 8) >> UInt64(8 &* (offset &+ 8 &- byteCount)) }
        var word: UInt64 = 0
        var index = byteCount
        while index > offset {
            index &-= 1
            word = word << 8 | UInt64(byte(at: index))
        }
        return word
    }

    /// A copy of the bytes. Allocates: not for the hot path.
    public func copied() -> [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(byteCount)
        for offset in 0..<byteCount { copy.append(byte(at: offset)) }
        return copy
    }

    /// Whether both spans hold the same bytes. Not constant-time: for public values only.
    public func elementsEqual(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        for offset in 0..<byteCount where byte(at: offset) != other.byte(at: offset) { return false }
        return true
    }
}

extension Array where Element == UInt8 {
    /// Appends an integer in native byte order.
    public mutating func append(word16 value: UInt16) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    /// Appends an integer in native byte order.
    public mutating func append(word32 value: UInt32) {
        append(word16: UInt16(truncatingIfNeeded: value))
        append(word16: UInt16(truncatingIfNeeded: value >> 16))
    }

    /// Appends an integer in native byte order.
    public mutating func append(word64 value: UInt64) {
        append(word32: UInt32(truncatingIfNeeded: value))
        append(word32: UInt32(truncatingIfNeeded: value >> 32))
    }

    /// Appends an integer in big-endian order, so that byte order is numeric order.
    public mutating func append(bigEndian value: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) { append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }
}

extension Array where Element == UInt8 {
    /// The array's bytes, for as long as the array is borrowed.
    @inlinable
    public var octets: RawSpan {
        @_lifetime(borrow self)
        get {
            let elements = span
            // SAFETY: unsafe only for types with padding; UInt8 has none. The result depends on `self` as declared.
            let bytes = unsafe elements.bytes
            return unsafe _overrideLifetime(bytes, borrowing: self)
        }
    }
}
