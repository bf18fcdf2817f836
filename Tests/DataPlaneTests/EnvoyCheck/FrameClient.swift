import Foundation
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL

/// A client of HTTP/2 that sends exactly the frames that it is told, for what no client of gRPC does.
final class FrameClient: Sendable {
    private let channel: any Channel
    private let frames: AsyncStream<HTTP2Frame>

    static let path = "/envoy.service.auth.v3.Authorization/Check"

    private init(_ channel: any Channel, _ frames: AsyncStream<HTTP2Frame>) {
        self.channel = channel
        self.frames = frames
    }

    /// - Parameter tls: what is spoken below, to a port of the loopback instead of a Unix socket.
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

    /// The head of a call, in which these fields are others.
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

    /// The same in one write, before anything of what is answered can be heard.
    func sendAtOnce(_ calls: [(id: Int, payload: HTTP2Frame.FramePayload)]) {
        for call in calls {
            channel.write(HTTP2Frame(streamID: HTTP2StreamID(call.id), payload: call.payload), promise: nil)
        }
        channel.flush()
    }

    /// The statuses of gRPC of so many calls, by their streams.
    func statuses(_ count: Int) async -> [Int: String] {
        var statuses: [Int: String] = [:]
        while statuses.count < count, let frame = await next() {
            if case .headers(let head) = frame.payload, let status = head.headers.first(name: "grpc-status") {
                statuses[Int(frame.streamID)] = status
            }
        }
        return statuses
    }

    /// What comes next that is no acknowledgement or window; nil at the end of the connection.
    func next() async -> HTTP2Frame? {
        for await frame in frames {
            switch frame.payload {
            case .headers, .data, .rstStream, .goAway: return frame
            default: continue
            }
        }
        return nil
    }

    /// The settings that the other side begins with.
    func settings() async -> [HTTP2Setting] {
        for await frame in frames {
            if case .settings(.settings(let settings)) = frame.payload { return settings }
        }
        return []
    }

    /// The next head's fields.
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

/// A message behind its prefix.
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
