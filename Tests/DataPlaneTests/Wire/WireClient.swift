import NIOCore
import NIOPosix
import NIOSSL

/// A client that sends the bytes it is given and nothing else.
final class WireClient: Sendable {
    let channel: any Channel
    private let reader: NIOLoopBound<AnswerReader>

    struct Closed: Error {}

    private init(_ channel: any Channel, _ reader: NIOLoopBound<AnswerReader>) {
        self.channel = channel
        self.reader = reader
    }

    deinit { channel.close(promise: nil) }

    /// Connects to `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`, and returns when TLS, if any, is agreed.
    /// - Parameter reads: false leaves everything in the system's buffers until ``startReading()``.
    static func connect(
        _ address: String, tls: NIOSSLContext? = nil, reads: Bool = true
    ) async throws -> WireClient {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let secured = eventLoop.makePromise(of: Void.self)
        if tls == nil { secured.succeed() }
        let made = eventLoop.makePromise(of: NIOLoopBound<AnswerReader>.self)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: nil))
                    }
                    let reader = AnswerReader(secured: secured)
                    made.succeed(NIOLoopBound(reader, eventLoop: channel.eventLoop))
                    try channel.pipeline.syncOperations.addHandler(reader)
                }
            }
        do {
            let channel: any Channel
            if address.hasPrefix("unix:") {
                channel = try await bootstrap.connect(unixDomainSocketPath: String(address.dropFirst(5))).get()
            } else {
                let port = Int(address.split(separator: ":").last ?? "") ?? 0
                channel = try await bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .connect(host: "127.0.0.1", port: port).get()
            }
            try await secured.futureResult.get()
            return WireClient(channel, try await made.futureResult.get())
        } catch {
            secured.fail(error)
            made.fail(error)
            throw error
        }
    }

    /// Sends bytes; returns when the system has taken them.
    func send(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    /// The next answer; nil when the other side closed instead.
    func nextAnswer(isHead: Bool = false) async throws -> Answer? {
        let reader = reader
        return try await channel.eventLoop.flatSubmit {
            reader.value.next(isHead: isHead, on: reader.eventLoop)
        }.get()
    }

    func answer(isHead: Bool = false) async throws -> Answer {
        guard let answer = try await nextAnswer(isHead: isHead) else { throw Closed() }
        return answer
    }

    /// Sends a request and waits for its answer.
    func ask(_ request: String, isHead: Bool = false) async throws -> Answer {
        try await send(request)
        return try await answer(isHead: isHead)
    }

    /// What comes before a mark, which is taken away with it.
    func text(until mark: String) async throws -> String {
        let reader = reader
        let text = try await channel.eventLoop.flatSubmit { reader.value.text(until: mark, on: reader.eventLoop) }.get()
        guard let text else { throw Closed() }
        return text
    }

    /// Waits until the other side closes; returns what was not yet handed out.
    @discardableResult
    func rest() async throws -> [UInt8] {
        let reader = reader
        return try await channel.eventLoop.flatSubmit { reader.value.rest(on: reader.eventLoop) }.get()
    }

    func startReading() async throws {
        try await channel.setOption(.autoRead, value: true).get()
    }

    /// Closes the sending side only.
    func endSending() async throws { try await channel.close(mode: .output) }

    func close() async throws {
        try? await channel.close()
    }
}
