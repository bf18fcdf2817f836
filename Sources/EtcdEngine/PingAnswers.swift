import NIOCore

// etcd's HTTP/2 server (that of grpc-go) sends a PING for nearly every request that it receives, to estimate the bandwidth.
// NIOHTTP2 allows 200 such frames in 30 seconds and then closes the connection with ENHANCE_YOUR_CALM, as a defence against
// floods, and neither side can be told otherwise. A node that writes would lose its connection every few seconds, with
// whatever is under way on it: measured as 2 to 3 lost watches a second.
//
// So PING frames are answered in front of NIOHTTP2, which does not see them. The peer is an engine that this node trusts,
// and each answer is as long as its question.

/// Answers the PING frames of an HTTP/2 connection (RFC 9113 §6.7), and passes everything else on.
final class PingAnswers: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let headerBytes = 9
    private static let pingType: UInt8 = 6
    private static let ackFlag: UInt8 = 1
    private static let pingBytes = 8

    /// What has arrived of the next frame's header, or of a PING.
    private var beginning: ByteBuffer?
    /// Bytes of the present frame that are still to come.
    private var left = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var input = unwrapInboundIn(data)
        if var before = beginning.take() {
            before.writeBuffer(&input)
            input = before
        }
        var passed = context.channel.allocator.buffer(capacity: input.readableBytes)
        while input.readableBytes > 0 {
            if left > 0 {
                guard var piece = input.readSlice(length: min(left, input.readableBytes)) else { break }
                left -= piece.readableBytes
                passed.writeBuffer(&piece)
                continue
            }
            guard let (type, flags, length) = Self.header(input) else {
                beginning = input
                break
            }
            guard type == Self.pingType, flags & Self.ackFlag == 0, length == Self.pingBytes else {
                left = Self.headerBytes + length
                continue
            }
            guard var frame = input.readSlice(length: Self.headerBytes + length) else {
                beginning = input
                break
            }
            frame.setInteger(Self.ackFlag, at: frame.readerIndex + 4)
            context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        }
        if passed.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(passed)) }
    }

    /// Type, flags and length of the frame with which some bytes begin; nil if there are too few.
    private static func header(_ bytes: ByteBuffer) -> (type: UInt8, flags: UInt8, length: Int)? {
        let start = bytes.readerIndex
        guard bytes.readableBytes >= headerBytes,
            let word = bytes.getInteger(at: start, as: UInt32.self),
            let flags = bytes.getInteger(at: start + 4, as: UInt8.self)
        else { return nil }
        return (UInt8(truncatingIfNeeded: word), flags, Int(word >> 8))
    }
}
