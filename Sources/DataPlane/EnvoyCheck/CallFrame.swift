import EnvoyAuthorization
import HTTPWire
import NIOCore

/// The five bytes in front of each message: whether it is compressed, and how long it is.
enum CallFrame {
    static let prefixBytes = 5
    /// Room that most answers fit into.
    static let usualBytes = 2_048

    /// What is wrong with a message.
    enum Fault {
        case compressed, several
        /// It describes a request, but one that is larger than what is read here.
        case tooLarge

        var reason: StaticString {
            switch self {
            case .compressed: "the message is compressed, and no encoding was named"
            case .several: "the call has more than one message"
            case .tooLarge: "the request and its body are larger than 4 MiB"
            }
        }
    }

    /// What is wrong with a message so far, whole or not.
    static func fault(_ message: ByteBuffer?) -> Fault? {
        guard let message, let flag = message.getInteger(at: message.readerIndex, as: UInt8.self) else { return nil }
        guard flag == 0 else { return .compressed }
        guard let length = length(message) else { return nil }
        if length > CallLimits.messageBytesMax { return .tooLarge }
        return message.readableBytes - prefixBytes > length ? .several : nil
    }

    static func isWhole(_ message: ByteBuffer) -> Bool {
        length(message).map { message.readableBytes - prefixBytes == $0 } ?? false
    }

    /// Where the message itself lies.
    static func content(_ bytes: RawSpan) -> WireRange { WireRange(prefixBytes, bytes.byteCount) }

    /// Writes a message behind its prefix. If it does not fit, nothing is written.
    /// - Returns: whether it fits.
    static func write(into out: inout ByteBuffer, _ body: (inout ByteWriter) -> Void) -> Bool {
        let start = out.writerIndex
        out.writeRepeatingByte(0, count: prefixBytes)
        guard out.appendAnswer(body) else {
            out.moveWriterIndex(to: start)
            return false
        }
        out.setInteger(UInt32(clamping: out.writerIndex - start - prefixBytes), at: start + 1)
        return true
    }

    private static func length(_ message: ByteBuffer) -> Int? {
        message.getInteger(at: message.readerIndex + 1, as: UInt32.self).map { Int($0) }
    }
}
