import CredentialModel
import HTTPWire

/// Why bytes are no message.
public enum ProtobufFault: Error, Equatable, Sendable {
    /// They end within a field.
    case truncated
    /// A number has more than ten bytes, a field has number 0, or its type is none.
    case malformed
}

/// Walks the fields of one message in place, as protocol buffers encode them: nothing is copied, and what nobody asks for
/// is passed over.
///
/// Groups, which went out of use long before the messages read here came up, are malformed. Nothing here recurs: a message
/// within a message is walked by a cursor of its own, made by who knows that there is one.
///
/// - SeeAlso: https://protobuf.dev/programming-guides/encoding/
struct ProtobufCursor {
    /// One field.
    struct Field {
        let number: UInt64
        /// Its bytes, where they are counted; nothing for numbers.
        let bytes: WireRange
        /// Whether it has bytes that are counted: a text, a message, a map's entry.
        let isDelimited: Bool
    }

    private var position: Int
    private let end: Int

    init(_ range: WireRange) {
        position = range.bounds.lowerBound
        end = range.bounds.upperBound
    }

    mutating func next(in bytes: RawSpan) throws(ProtobufFault) -> Field? {
        guard position < end else { return nil }
        let key = try varint(in: bytes)
        let number = key >> 3
        guard number > 0 else { throw .malformed }
        switch key & 7 {
        case 0:
            _ = try varint(in: bytes)
            return Field(number: number, bytes: WireRange(), isDelimited: false)
        case 1: try skip(8)
        case 5: try skip(4)
        case 2:
            let count = try varint(in: bytes)
            let start = position
            try skip(count)
            return Field(number: number, bytes: WireRange(start, position), isDelimited: true)
        default: throw .malformed
        }
        return Field(number: number, bytes: WireRange(), isDelimited: false)
    }

    private mutating func skip(_ count: UInt64) throws(ProtobufFault) {
        guard count <= UInt64(end &- position) else { throw .truncated }
        position &+= Int(truncatingIfNeeded: count)
    }

    /// Seven bits a byte, the lowest first, in at most ten bytes.
    @inline(__always)
    private mutating func varint(in bytes: RawSpan) throws(ProtobufFault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            guard position < end else { throw .truncated }
            let byte = bytes.byte(at: position)
            position &+= 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
        throw .malformed
    }
}
