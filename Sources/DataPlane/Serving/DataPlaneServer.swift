import CMachine
public import CredentialStore
public import ForwardAuth
public import Listening
public import Logging
import NIOCore
public import NIOPosix
import NIOSSL
public import ServiceLifecycle
import Verification

/// The data plane: listeners, event loops and connections, from start to shutdown.
public final class DataPlaneServer: Service {
    private let store: CredentialStore
    private let settings: DataPlaneSettings
    private let listeners: [(address: ListenerAddress, isHealthOnly: Bool)]
    private let identity: TLSIdentity?
    private let group: MultiThreadedEventLoopGroup
    private let readiness: ServiceStatus
    private let logger: Logger
    private let onListening: @Sendable ([String]) -> Void
    let loops: [LoopState]
    private let loopsByEventLoop: [ObjectIdentifier: LoopState]
    /// Connections of all listeners but that for probes.
    private let shares: ConnectionShares
    /// Connections of the listener for probes, counted separately: a flood elsewhere must not make the node look dead.
    private let probes: ConnectionShares
    private let budget: BufferBudget

    /// - Parameters:
    ///   - listeners: addresses that serve introspection and forward-auth.
    ///   - health: the address that serves only probes and metrics, in cleartext and without authentication.
    ///   - identity: required by https listeners.
    ///   - accessLog: gets the lines of requests.
    ///   - exposition: returns the text of `/metrics` on the health listener, in the format of Prometheus.
    ///   - onListening: called once, with the final addresses, when all listeners accept connections.
    /// - Throws: ``StoreFailure`` if the store has no free reader slots.
    public init(
        store: CredentialStore, settings: DataPlaneSettings, listeners: [ListenerAddress], health: ListenerAddress?,
        identity: TLSIdentity?, group: MultiThreadedEventLoopGroup, readiness: ServiceStatus, logger: Logger,
        accessLog: AccessLog = AccessLog { _ in true }, exposition: @escaping @Sendable () -> String = { "" },
        onListening: @escaping @Sendable ([String]) -> Void
    ) throws(StoreFailure) {
        self.store = store
        self.settings = settings
        self.listeners = listeners.map { ($0, false) } + (health.map { [($0, true)] } ?? [])
        shares = ConnectionShares(total: settings.connectionsMax, listeners: listeners.count)
        probes = ConnectionShares(total: settings.probesMax, listeners: 1)
        self.identity = identity
        self.group = group
        self.readiness = readiness
        self.logger = logger
        self.onListening = onListening
        let eventLoopCount = group.makeIterator().reduce(0) { count, _ in count + 1 }
        budget = BufferBudget(bytesMax: settings.bufferBytesMax, loops: eventLoopCount)
        var loops: [LoopState] = []
        var byEventLoop: [ObjectIdentifier: LoopState] = [:]
        let services = DataPlaneServices(
            store: store, settings: settings, readiness: readiness, logger: logger, accessLog: accessLog,
            exposition: exposition)
        for eventLoop in group.makeIterator() {
            let state = try LoopState(services, budget: budget)
            loops.append(state)
            byEventLoop[ObjectIdentifier(eventLoop)] = state
        }
        self.loops = loops
        loopsByEventLoop = byEventLoop
        budget.onExceeded { [weak self] in
            guard let self else { return }
            for (eventLoop, loop) in eventLoops() { eventLoop.execute { loop.connections.shedIfNotified() } }
        }
    }

    /// Replaces the policies, on each event loop from its next pass on.
    public func use(_ policies: PolicySet) {
        for (eventLoop, loop) in eventLoops() { eventLoop.execute { loop.policies = policies } }
    }

    /// Changes which requests have a line in the access log, on each event loop from its next pass on.
    public func use(_ sampling: AccessLog.Sampling) {
        for (eventLoop, loop) in eventLoops() { eventLoop.execute { loop.use(sampling) } }
    }

    var bufferedBytes: Int { budget.usedBytes }
    var openConnections: Int { shares.count }

    /// Serves until a graceful shutdown is requested and complete.
    public func run() async throws {
        var channels: [any Channel] = []
        do {
            for (number, listener) in listeners.enumerated() {
                let configuration = ListenerConfiguration(listener.address, isHealthOnly: listener.isHealthOnly)
                channels.append(try await bind(configuration, number: number))
            }
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
        let clocks = startClocks()
        let trimming = Task { await trim() }
        defer { trimming.cancel() }
        onListening(zip(listeners, channels).map { Self.name($0.0.address, $0.1) })
        try? await gracefulShutdown()
        readiness.become(.draining)
        for (eventLoop, loop) in eventLoops() { eventLoop.execute { loop.connections.drain() } }
        try? await Task.sleep(for: .seconds(settings.graceSeconds))
        for channel in channels { try? await channel.close() }
        for (address, _) in listeners {
            if case .unix(let path) = address.transport { UnixSocketFile.remove(path) }
        }
        await drain()
        for clock in clocks { clock.cancel() }
        for (eventLoop, loop) in eventLoops() { try? await eventLoop.submit { loop.access.handOver() }.get() }
    }

    /// Makes the allocator return memory to the system during and after a flood of incomplete requests. Not on an event
    /// loop: it locks each arena.
    private func trim() async {
        var left = 0
        while !Task.isCancelled {
            // Less often in normal operation: each check allocates.
            try? await Task.sleep(for: left > 0 ? .milliseconds(250) : .seconds(1))
            if budget.takeExceeded() { left = Self.trimsAfterFlood }
            guard left > 0 else { continue }
            left -= 1
            cs_return_free_memory()
        }
    }

    /// 15 seconds, longer than the last of its connections lives.
    private static let trimsAfterFlood = 60

    private func eventLoops() -> [(any EventLoop, LoopState)] {
        group.makeIterator().compactMap { eventLoop in
            loopsByEventLoop[ObjectIdentifier(eventLoop)].map { (eventLoop, $0) }
        }
    }

    private func startClocks() -> [RepeatedTask] {
        eventLoops().map { eventLoop, loop in
            eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in loop.tick() }
        }
    }

    /// Closes idle connections, waits for responses on the others, and finally closes all.
    private func drain() async {
        for (eventLoop, loop) in eventLoops() { eventLoop.execute { loop.connections.closeIdle() } }
        var left = settings.drainSeconds * 10
        while shares.count + probes.count > 0, left > 0 {
            left -= 1
            try? await Task.sleep(for: .milliseconds(100))
        }
        for (eventLoop, loop) in eventLoops() { eventLoop.execute { loop.connections.closeAll() } }
    }

    /// - Parameter number: the index of the listener, for its share of connections.
    private func bind(_ listener: ListenerConfiguration, number: Int) async throws -> any Channel {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelInitializer { [logger] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptGate(listener: listener.address.description, logger: logger))
                }
            }
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // See ReadingBuffers.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            // A client that sends a request and closes its sending side still gets the response.
            .childChannelOption(.allowRemoteHalfClosure, value: !listener.isEncrypted)
            .childChannelInitializer { [self] channel in accept(channel, listener, number: number) }
        switch listener.address.transport {
        case .http(let host, let port), .https(let host, let port):
            return try await bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .bind(host: host, port: port).get()
        case .unix(let path):
            // Removing the socket file of a running process would cut off its clients silently.
            if try UnixSocketFile.isListening(path) { throw UnixSocketFile.inUse(path) }
            try UnixSocketFile.removeStale(path)
            let channel = try await bootstrap.bind(unixDomainSocketPath: path).get()
            do {
                try UnixSocketFile.secure(path, mode: listener.address.mode, group: listener.address.group)
            } catch {
                try? await channel.close()
                throw error
            }
            return channel
        }
    }

    private func accept(
        _ channel: any Channel, _ listener: ListenerConfiguration, number: Int
    ) -> EventLoopFuture<Void> {
        let (shares, number) = listener.isHealthOnly ? (probes, 0) : (shares, number)
        guard let loop = loopsByEventLoop[ObjectIdentifier(channel.eventLoop)],
            // An https listener does not serve without a certificate.
            !listener.isEncrypted || identity != nil,
            shares.take(number)
        else { return channel.close() }
        channel.closeFuture.whenComplete { _ in shares.release(number) }
        return channel.eventLoop.makeCompletedFuture {
            let isShared = !listener.isEncrypted && !listener.isGRPC
            try channel.syncOptions?.setOption(
                .recvAllocator, value: ReadingBuffers(sharing: isShared ? loop.largeBuffer : nil))
            if listener.isEncrypted, let identity {
                let context = listener.isGRPC ? identity.http2Context : identity.context
                try channel.pipeline.syncOperations.addHandler(
                    listener.isGRPC ? ProtocolGuard(spoken: ["h2"]) : .http1)
                try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
            }
            if listener.isGRPC { return try CheckConnection.add(to: channel, loop: loop, listener: listener) }
            try channel.pipeline.syncOperations.addHandler(
                ConnectionHandler(loop: loop, listener: listener, allocator: channel.allocator))
        }
    }

    /// An address with the actual port.
    private static func name(_ address: ListenerAddress, _ channel: any Channel) -> String {
        let port = channel.localAddress?.port ?? 0
        switch address.transport {
        case .http(let host, _): return "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .https(let host, _):
            return "\(address.isGRPC ? "grpcs" : "https")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .unix(let path): return "\(address.isGRPC ? "grpc+unix" : "unix"):\(path)"
        }
    }
}

/// The services that all event loops share.
final class DataPlaneServices: Sendable {
    let store: CredentialStore
    let settings: DataPlaneSettings
    let readiness: ServiceStatus
    let logger: Logger
    let accessLog: AccessLog
    let challenges: Challenges
    /// `iss` in responses; nil to omit it.
    let issuer: [UInt8]?
    /// Returns the text for Prometheus.
    let exposition: @Sendable () -> String

    init(
        store: CredentialStore, settings: DataPlaneSettings, readiness: ServiceStatus, logger: Logger,
        accessLog: AccessLog, exposition: @escaping @Sendable () -> String
    ) {
        (self.store, self.settings, self.readiness, self.logger) = (store, settings, readiness, logger)
        self.accessLog = accessLog
        self.exposition = exposition
        challenges = Challenges(settings)
        issuer = settings.issuer.map { Array($0.utf8) }
    }
}
