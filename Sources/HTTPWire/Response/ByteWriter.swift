/// Appends to the room that is left in a connection's output buffer, and never beyond.
///
/// What does not fit sets ``overflowed``; nothing is written from then on, so the caller looks once at the end and
/// throws the attempt away.
@safe
public struct ByteWriter: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private let capacity: Int
    /// Bytes written so far.
    public private(set) var written = 0
    /// Whether something did not fit.
    public private(set) var overflowed = false

    /// A writer over `memory`, which must stay valid and must not be used by anything else while this writer lives.
    @unsafe
    public init(_ memory: UnsafeMutableRawBufferPointer) {
        // SAFETY: the pointer is only kept; the caller vouches for its life.
        unsafe self.memory = memory
        capacity = memory.count
    }

    /// Bytes that still fit.
    public var room: Int { overflowed ? 0 : capacity &- written }

    /// Appends one byte.
    @inline(__always)
    public mutating func append(byte: UInt8) {
        guard reserve(1) else { return }
        put(byte, at: written)
        written &+= 1
    }

    /// Appends a literal.
    public mutating func append(_ text: StaticString) {
        // SAFETY: literals live for ever, and this is the literal's own length.
        unsafe copy(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends bytes as they are.
    public mutating func append(_ bytes: RawSpan) {
        // SAFETY: the pointer does not leave the closure.
        unsafe bytes.withUnsafeBytes { unsafe copy($0) }
    }

    /// Appends once more what was written at `range`.
    public mutating func append(again range: Range<Int>) {
        guard range.lowerBound >= 0, range.upperBound <= written else { return }
        // SAFETY: the range lies within what has been written, checked above, and so before what is written now.
        unsafe copy(UnsafeRawBufferPointer(rebasing: memory[range]))
    }

    /// Appends a number in decimal digits.
    public mutating func append(decimal value: UInt64) {
        append(value, radix: 10, width: Self.decimalDigits(value))
    }

    /// Appends a number as 11 base62 digits, zero-padded: the way credential ids are spelled.
    public mutating func append(base62 value: UInt64) {
        append(value, radix: 62, width: 11)
    }

    /// Takes back everything behind the first `count` bytes, unless something did not fit.
    public mutating func rewind(to count: Int) {
        if count >= 0, count <= written { written = count }
    }

    /// How many decimal digits a number has.
    public static func decimalDigits(_ value: UInt64) -> Int {
        var digits = 1
        var rest = value / 10
        while rest > 0 {
            digits &+= 1
            rest /= 10
        }
        return digits
    }

    /// Gives the attempt up: what was to be written cannot be.
    mutating func overflow() { overflowed = true }

    /// Takes `count` bytes out from behind `offset`; what follows them moves up.
    mutating func remove(_ count: Int, at offset: Int) {
        // SAFETY: only the address is read.
        guard !overflowed, count > 0, offset >= 0, offset <= written &- count, let base = unsafe memory.baseAddress
        else { return }
        // SAFETY: both stretches lie within the `written` bytes, as was just checked, and moving allows that they overlap.
        unsafe (base + offset).copyMemory(from: base + offset + count, byteCount: written &- offset &- count)
        written &-= count
    }

    /// Overwrites a byte that was written before.
    mutating func overwrite(at offset: Int, byte: UInt8) {
        guard !overflowed, offset >= 0, offset < written else { return }
        put(byte, at: offset)
    }

    /// Overwrites bytes that were written before, right-aligned and padded with spaces; see ``LengthSlot``.
    mutating func overwrite(at offset: Int, width: Int, decimal value: UInt64) {
        guard !overflowed, offset >= 0, width <= written, offset <= written &- width else { return }
        var rest = value
        var index = offset &+ width
        while index > offset {
            index &-= 1
            put(rest > 0 || index == offset &+ width &- 1 ? UInt8(ascii: "0") &+ UInt8(rest % 10) : 0x20, at: index)
            rest /= 10
        }
    }

    /// The last byte written, if any.
    var last: UInt8? {
        guard written > 0 else { return nil }
        // SAFETY: `written` bytes lie in the memory, and there is at least one.
        return unsafe memory[written &- 1]
    }

    /// Inlined for each radix: dividing by a number that the compiler knows takes a multiplication.
    @inline(__always)
    private mutating func append(_ value: UInt64, radix: UInt64, width: Int) {
        guard reserve(width) else { return }
        var rest = value
        var index = written &+ width
        while index > written {
            index &-= 1
            put(digit(UInt8(truncatingIfNeeded: rest % radix)), at: index)
            rest /= radix
        }
        written &+= width
    }

    /// Order 0-9A-Za-z. By sums, as random digits would be mispredicted by branches.
    @inline(__always)
    private func digit(_ value: UInt8) -> UInt8 {
        let upper: UInt8 = value > 9 ? UInt8(ascii: "A") &- UInt8(ascii: "9") &- 1 : 0
        let lower: UInt8 = value > 35 ? UInt8(ascii: "a") &- UInt8(ascii: "Z") &- 1 : 0
        return UInt8(ascii: "0") &+ value &+ upper &+ lower
    }

    private mutating func copy(_ bytes: UnsafeRawBufferPointer) {
        let count = bytes.count
        // SAFETY: only the address is read.
        guard count > 0, reserve(count), let base = unsafe memory.baseAddress, let source = bytes.baseAddress else {
            return
        }
        // SAFETY: `reserve` has seen that so many bytes fit behind `written`, and source and target are different
        // memory, because nothing else may use the target.
        unsafe (base + written).copyMemory(from: source, byteCount: count)
        written &+= count
    }

    @inline(__always)
    private func put(_ byte: UInt8, at offset: Int) {
        // SAFETY: callers have reserved the place, or have written it before.
        unsafe memory[offset] = byte
    }

    @inline(__always)
    private mutating func reserve(_ count: Int) -> Bool {
        guard !overflowed, capacity &- written >= count else {
            overflowed = true
            return false
        }
        return true
    }
}
