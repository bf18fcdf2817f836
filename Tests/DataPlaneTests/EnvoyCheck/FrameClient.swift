import Foundation
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL

/// An HTTP/2 client that sends exactly the given frames, for what no gRPC client does.
final class FrameClient: Sendable {
    private let channel: any Channel
    private let frames: AsyncStream<HTTP2Frame>

    static let path = "/envoy.service.auth.v3.Authorization/Check"

    private init(_ channel: any Channel, _ frames: AsyncStream<HTTP2Frame>) {
        self.channel = channel
        self.frames = frames
    }

    /// - Parameter tls: the TLS configuration for a port on loopback, instead of a Unix socket.
    static func connect(_ listener: String, tls: NIOSSLContext? = nil) async throws -> FrameClient {
        let (frames, continuation) = AsyncStream<HTTP2Frame>.makeStream()
        let bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: nil))
                    }
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOHTTP2Handler(mode: .client), FrameCollector(continuation))
                }
            }
        guard tls != nil else {
            let path = String(listener.dropFirst("grpc+unix:".count))
            return FrameClient(try await bootstrap.connect(unixDomainSocketPath: path).get(), frames)
        }
        let port = Int(listener.split(separator: ":").last ?? "") ?? 0
        return FrameClient(try await bootstrap.connect(host: "127.0.0.1", port: port).get(), frames)
    }

    /// The headers of a call, with these replaced.
    static func head(_ others: KeyValuePairs<String, String> = [:], adding: Bool = false) -> HPACKHeaders {
        let others = Dictionary(uniqueKeysWithValues: others.map { ($0, $1) })
        var head = HPACKHeaders()
        for (name, value) in [
            (":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", path),
            ("content-type", "application/grpc"), ("te", "trailers"), ("grpc-encoding", ""),
        ] {
            let value = others[name] ?? value
            if !value.isEmpty { head.add(name: name, value: value) }
        }
        if adding { for (name, value) in others { head.add(name: name, value: value) } }
        return head
    }

    /// Sends the parts of one call.
    func send(_ id: Int, _ payloads: HTTP2Frame.FramePayload...) async throws {
        for payload in payloads {
            try await channel.writeAndFlush(HTTP2Frame(streamID: HTTP2StreamID(id), payload: payload)).get()
        }
    }

    /// Sends parts of one or more calls in one write, before any response can be read.
    func sendAtOnce(_ calls: [(id: Int, payload: HTTP2Frame.FramePayload)]) {
        for call in calls {
            channel.write(HTTP2Frame(streamID: HTTP2StreamID(call.id), payload: call.payload), promise: nil)
        }
        channel.flush()
    }

    /// The gRPC statuses of a number of calls, by stream.
    func statuses(_ count: Int) async -> [Int: String] {
        var statuses: [Int: String] = [:]
        while statuses.count < count, let frame = await next() {
            if case .headers(let head) = frame.payload, let status = head.headers.first(name: "grpc-status") {
                statuses[Int(frame.streamID)] = status
            }
        }
        return statuses
    }

    /// The next frame that is not an acknowledgement or window update; nil at the end of the connection.
    func next() async -> HTTP2Frame? {
        for await frame in frames {
            switch frame.payload {
            case .headers, .data, .rstStream, .goAway: return frame
            default: continue
            }
        }
        return nil
    }

    /// The initial settings of the peer.
    func settings() async -> [HTTP2Setting] {
        for await frame in frames {
            if case .settings(.settings(let settings)) = frame.payload { return settings }
        }
        return []
    }

    /// The next headers.
    func nextHead() async -> HPACKHeaders? {
        while let frame = await next() {
            if case .headers(let head) = frame.payload { return head.headers }
        }
        return nil
    }

    func close() async throws { try await channel.close() }
}

extension HTTP2Frame.FramePayload {
    static func head(_ headers: HPACKHeaders, ends: Bool = false) -> Self {
        .headers(.init(headers: headers, endStream: ends))
    }

    static func bytes(_ bytes: [UInt8], ends: Bool = true) -> Self {
        .data(.init(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: ends))
    }
}

/// A message after its prefix.
func framed(_ message: [UInt8], flag: UInt8 = 0, length: Int? = nil) -> [UInt8] {
    let count = length ?? message.count
    return [flag] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } + message
}

private final class FrameCollector: ChannelInboundHandler, Sendable {
    typealias InboundIn = HTTP2Frame
    private let continuation: AsyncStream<HTTP2Frame>.Continuation

    init(_ continuation: AsyncStream<HTTP2Frame>.Continuation) { self.continuation = continuation }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(Self.unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) { continuation.finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// A client that writes raw frames to a Unix socket and has no state, for what NIOHTTP2 refuses to send.
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

    /// Sends a complete call: its headers and its message.
    func call(_ id: Int, _ head: HPACKHeaders, _ message: [UInt8]) async throws {
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
        var block = ByteBuffer()
        // New for each call, so that it does not refer to the state of earlier ones.
        try encoder.encode(headers: head, to: &block)
        try await send(Self.frame(1, 4, id, Array(block.readableBytesView)) + Self.frame(0, 1, id, message))
    }

    /// Whether a stream ends with trailers and not with a reset; nil if the connection ends before.
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
