import NIOCore
import NIOPosix
import Synchronization

/// Forwards connections to a port, until it is made silent: then it accepts bytes and sends none, and no connection
/// ends. Responses to verifications can be held back.
final class StoppableProxy: Sendable {
    private struct State {
        var port: Int
        var isSilent = false
        var holdsAnswers = false
        var held: [(channel: any Channel, bytes: ByteBuffer)] = []
        var open: [any Channel] = []
    }

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let state: Mutex<State>
    private let listener: any Channel

    var port: Int { listener.localAddress?.port ?? 0 }
    /// Parts of responses that are held back.
    var heldCount: Int { state.withLock { $0.held.count } }

    init(to port: Int) async throws {
        state = Mutex(State(port: port))
        let box = Box()
        let group = group
        listener = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: true)
            .childChannelInitializer { channel in
                guard let proxy = box.proxy.withLock({ $0 }) else { return channel.close() }
                return proxy.accept(channel)
            }
            .bind(host: "127.0.0.1", port: 0).get()
        box.proxy.withLock { $0 = self }
    }

    private final class Box: Sendable {
        let proxy = Mutex<StoppableProxy?>(nil)
    }

    private func accept(_ channel: any Channel) -> EventLoopFuture<Void> {
        let port = state.withLock {
            $0.open.append(channel)
            return $0.port
        }
        let front = Side(proxy: self)
        let back = Side(proxy: self, isAnswering: true)
        return ClientBootstrap(group: channel.eventLoop)
            .channelInitializer { other in
                other.eventLoop.makeCompletedFuture { try other.pipeline.syncOperations.addHandler(back) }
            }
            .connect(host: "127.0.0.1", port: port)
            .flatMapThrowing { other in
                self.state.withLock { $0.open.append(other) }
                front.other.withLock { $0 = other }
                back.other.withLock { $0 = channel }
                back.asker.withLock { $0 = front }
                try channel.pipeline.syncOperations.addHandler(front)
            }
    }

    func goSilent() { state.withLock { $0.isSilent = true } }

    func holdAnswers() { state.withLock { $0.holdsAnswers = true } }

    func releaseAnswers() {
        let held = state.withLock { state in
            state.holdsAnswers = false
            defer { state.held = [] }
            return state.held
        }
        for (channel, bytes) in held { channel.writeAndFlush(bytes, promise: nil) }
    }

    /// Closes all connections; new ones go to another port.
    func lead(to port: Int) {
        let open = state.withLock { state in
            state.port = port
            defer { state.open = [] }
            return state.open
        }
        for channel in open { channel.close(promise: nil) }
    }

    func end() async throws {
        try? await listener.close()
        lead(to: 0)
        try await group.shutdownGracefully()
    }

    /// Bytes of one direction.
    private final class Side: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        let proxy: StoppableProxy
        let isAnswering: Bool
        let other = Mutex<(any Channel)?>(nil)
        let asker = Mutex<Side?>(nil)
        let isQuestion = Mutex(false)

        init(proxy: StoppableProxy, isAnswering: Bool = false) {
            self.proxy = proxy
            self.isAnswering = isAnswering
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            guard let other = other.withLock({ $0 }) else { return }
            if !isAnswering, bytes.getString(at: bytes.readerIndex, length: min(5, bytes.readableBytes)) == "POST " {
                isQuestion.withLock { $0 = true }
            }
            let answersQuestion = isAnswering && (asker.withLock { $0 }?.isQuestion.withLock { $0 } ?? false)
            let passes = proxy.state.withLock { state in
                if state.isSilent { return false }
                guard state.holdsAnswers, answersQuestion else { return true }
                state.held.append((other, bytes))
                return false
            }
            if passes { other.writeAndFlush(bytes, promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) {
            guard !proxy.state.withLock({ $0.isSilent }) else { return }
            other.withLock { $0 }?.close(promise: nil)
        }
    }
}

func withProxy<Value>(to port: Int, _ body: (StoppableProxy) async throws -> Value) async throws -> Value {
    let proxy = try await StoppableProxy(to: port)
    let result: Result<Value, any Error>
    do { result = .success(try await body(proxy)) } catch { result = .failure(error) }
    try await proxy.end()
    return try result.get()
}
