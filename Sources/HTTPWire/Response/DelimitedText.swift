/// Room for the count of bytes that protocol buffers put in front of a field; known only when the field is written.
public struct DelimitedSlot: Equatable, Sendable {
    /// Three bytes of seven bits: counts below 2 MiB.
    static let width = 3
    fileprivate let offset: Int
}

extension ByteWriter {
    /// Appends a number of seven bits a byte, the lowest first.
    public mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(byte: UInt8(truncatingIfNeeded: rest))
    }

    /// Begins a field whose bytes are counted.
    public mutating func beginDelimited() -> DelimitedSlot {
        let slot = DelimitedSlot(offset: written)
        append("\0\0\0")
        return slot
    }

    /// Ends it: writes the count in as few bytes as it takes, and moves the field up to it. One of 2 MiB does not fit.
    public mutating func endDelimited(_ slot: DelimitedSlot) {
        let count = written &- slot.offset &- DelimitedSlot.width
        guard count >= 0, count < 1 << 21 else { return overflow() }
        let width = count < 1 << 7 ? 1 : count < 1 << 14 ? 2 : 3
        for index in 0..<width {
            let more: UInt8 = index &+ 1 < width ? 0x80 : 0
            overwrite(at: slot.offset &+ index, byte: UInt8(truncatingIfNeeded: count >> (7 &* index)) & 0x7F | more)
        }
        remove(DelimitedSlot.width &- width, at: slot.offset &+ width)
    }
}
