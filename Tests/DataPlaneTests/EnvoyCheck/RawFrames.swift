import NIOCore
import NIOHPACK
import NIOPosix

/// A client that puts the bytes of frames on a Unix socket and knows no state: for what NIOHTTP2's refuses to send.
final class RawFrames: Sendable {
    private let channel: any Channel
    private let bytes: AsyncStream<ByteBuffer>

    private init(_ channel: any Channel, _ bytes: AsyncStream<ByteBuffer>) {
        self.channel = channel
        self.bytes = bytes
    }

    static func connect(_ listener: String) async throws -> RawFrames {
        let (bytes, continuation) = AsyncStream<ByteBuffer>.makeStream()
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { $0.pipeline.addHandler(ByteCollector(continuation)) }
            .connect(unixDomainSocketPath: String(listener.dropFirst("grpc+unix:".count))).get()
        let client = RawFrames(channel, bytes)
        try await client.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, []))
        return client
    }

    /// Sends a whole call: its head and its message.
    func call(_ id: Int, _ head: HPACKHeaders, _ message: [UInt8]) async throws {
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
        var block = ByteBuffer()
        // New for each call: it refers to nothing that earlier ones left behind.
        try encoder.encode(headers: head, to: &block)
        try await send(Self.frame(1, 4, id, Array(block.readableBytesView)) + Self.frame(0, 1, id, message))
    }

    /// Whether a stream comes to its end, by trailers and not by a reset; nil if the connection ends before.
    func ending(of id: Int, seen: (UInt8) async throws -> Void = { _ in }) async throws -> Bool? {
        var pending: [UInt8] = []
        for await piece in bytes {
            pending += Array(piece.readableBytesView)
            while pending.count >= 9 {
                let length = Int(pending[0]) << 16 | Int(pending[1]) << 8 | Int(pending[2])
                guard pending.count >= 9 + length else { break }
                let (kind, flags) = (pending[3], pending[4])
                let stream = pending[5..<9].reduce(0) { $0 << 8 | Int($1) }
                pending.removeFirst(9 + length)
                try await seen(kind)
                if stream == id, kind == 1, flags & 1 == 1 { return true }
                if stream == id, kind == 3 { return false }
            }
        }
        return nil
    }

    private func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

    private static func frame(_ kind: UInt8, _ flags: UInt8, _ id: Int, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), kind, flags]
            + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: id >> $0) } + content
    }
}

private final class ByteCollector: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let continuation: AsyncStream<ByteBuffer>.Continuation

    init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(Self.unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
}
