import CredentialModel
import HTTPWire
import Listening
import NIOCore
import NIOSSL
import NIOTLS
import Verification

/// One HTTP connection on its event loop, without tasks or locks.
///
/// ``ConnectionMachine`` decides; this class performs its actions on the channel. All responses of one read burst are
/// written together.
final class ConnectionHandler: ChannelInboundHandler, RemovableChannelHandler, ServedConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let loop: LoopState
    private let listener: ListenerConfiguration
    private var machine: ConnectionMachine
    private var context: ChannelHandlerContext?
    /// The bytes last reported to the loop.
    private(set) var heldBytes = 0
    private var isReading = true

    init(loop: LoopState, listener: ListenerConfiguration, allocator: ByteBufferAllocator) {
        self.loop = loop
        self.listener = listener
        machine = ConnectionMachine(Conversation(listener: listener, allocator: allocator), at: loop.clock.seconds)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.connections.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        loop.waiters.remove(self)
        loop.connections.remove(self)
        self.context = nil
        report(heldBytes: 0)
    }

    func channelActive(context: ChannelHandlerContext) {
        machine.conversation.caller.peer = context.remoteAddress.flatMap(PeerAddress.ip)
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event {
            loop.counts.handshakes.increment()
            machine.conversation.caller.certificateNames = PeerAddress.certificateNames(context)
        }
        if let event = event as? ChannelEvent, event == .inputClosed { perform(machine.inputClosed(loop), context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = Self.unwrapInboundIn(data)
        loop.readClock()
        let (actions, standing) = machine.received(&bytes, loop)
        // Kept bytes were copied.
        if !listener.isEncrypted, ReadingBuffers.isLarge(bytes) { loop.largeBuffer.giveBack(bytes) }
        if actions.isEmpty {
            settle(standing, context)
        } else {
            perform(actions, context)
            settle(context)
        }
        if standing.hasAnswers, !listener.isEncrypted { loop.connections.flushSoon(self, on: context.eventLoop) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Under TLS the client's end arrives without notice and closes the connection: nothing may wait.
        if listener.isEncrypted { perform(.send, context) }
    }

    /// Sends the responses of the burst, when all readable connections have been read.
    func flushBurst() {
        if let context { perform(.send, context) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        loop.readClock()
        perform(machine.writabilityChanged(context.channel.isWritable, loop), context)
        settle(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A failed handshake or a reset by the peer: there is nothing to answer, and the text of the error may contain
        // received data.
        context.close(promise: nil)
    }

    // MARK: Calls by the event loop

    /// Checks whether the waiting request can be answered.
    /// - Returns: whether it has to be checked again soon.
    func resume(_ occasion: ChangesWait.Occasion) -> Bool {
        guard let context else { return false }
        loop.readClock()
        var actions = machine.resume(occasion, loop)
        let needsRecheck = actions.remove(.recheck) != nil
        perform(actions, context)
        settle(context)
        return needsRecheck && machine.wantsToRead
    }

    /// Called once a second.
    func checkDeadline() {
        guard let context else { return }
        perform(machine.tick(loop), context)
        settle(context)
    }

    func shed() {
        guard let context else { return }
        perform(machine.shed(loop), context)
        machine.conversation.releaseBuffers()
        report(heldBytes: 0)
    }

    /// Every response closes the connection from now on.
    func drain() {}

    func closeIfIdle() {
        if let context { perform(machine.closeIfIdle(loop), context) }
    }

    func closeNow() {
        context?.close(promise: nil)
    }

    // MARK: Performing actions

    @inline(__always)
    private func perform(_ actions: ConnectionMachine.Actions, _ context: ChannelHandlerContext) {
        if actions == .send {
            send(context)
        } else if !actions.isEmpty {
            performAll(actions, context)
        }
    }

    @inline(never)
    private func performAll(_ actions: ConnectionMachine.Actions, _ context: ChannelHandlerContext) {
        var actions = actions
        repeat {
            if actions.contains(.endWait) { loop.waiters.remove(self) }
            if actions.contains(.beginWait), let wait = machine.wait {
                loop.waiters.add(self, wait, on: context.eventLoop)
            }
            if actions.contains(.send) { send(context) }
            if actions.contains(.recheck) { loop.waiters.check(self) }
            if actions.contains(.ask) { ask(context) }
            if actions.contains(.finish) { finish(context) }
            if actions.contains(.close) { context.close(promise: nil) }
            actions = actions.contains(.proceed) ? machine.proceed(loop) : []
        } while !actions.isEmpty
    }

    private func ask(_ context: ChannelHandlerContext) {
        loop.questions?.ask(on: context.eventLoop) { hearing in
            guard let context = self.context else { return }
            self.loop.readClock()
            self.perform(self.machine.heard(hearing, self.loop), context)
            self.settle(context)
        }
    }

    private func send(_ context: ChannelHandlerContext) {
        // Taken once: each access to the machine is checked at run time.
        let out = machine.conversation.out
        if out.readableBytes > 0 {
            context.writeAndFlush(Self.wrapOutboundOut(consume out), promise: nil)
        }
        read(machine.sent(loop), context)
    }

    /// Sends the rest and closes: first the sending side, so that a response is not lost to a reset while the client
    /// still sends; then, when the client has closed too or after a delay, the whole connection.
    private func finish(_ context: ChannelHandlerContext) {
        let isEncrypted = listener.isEncrypted
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(Self.wrapOutboundOut(machine.conversation.out)).whenComplete { _ in
            let (handler, context) = bound.value
            handler.machine.finished(at: handler.loop.clock.seconds)
            context.close(mode: isEncrypted ? .all : .output, promise: nil)
        }
        machine.conversation.out.clear()
    }

    private func read(_ isWanted: Bool, _ context: ChannelHandlerContext) {
        guard isWanted != isReading else { return }
        isReading = isWanted
        _ = context.channel.setOption(.autoRead, value: isWanted)
    }

    // MARK: Buffers

    /// Turns reading on or off, and reports the held bytes, if either has changed: on the usual path, where each read
    /// contains complete requests and the client reads its responses, neither ever does.
    @inline(__always)
    private func settle(_ standing: ConnectionMachine.Standing, _ context: ChannelHandlerContext) {
        read(standing.wantsToRead, context)
        var bytes = standing.heldBytes
        // The buffer of the channel counts while the client does not read its responses.
        if standing.awaitsClient { bytes += unsentBytes }
        bytes = BufferBudget.occupied(by: bytes)
        if bytes != heldBytes { report(heldBytes: bytes) }
    }

    private func settle(_ context: ChannelHandlerContext) {
        settle(machine.standing, context)
    }

    private func report(heldBytes bytes: Int) {
        let change = bytes - heldBytes
        heldBytes = bytes
        if change != 0 { loop.connections.note(heldBytes: change) }
    }

    private var unsentBytes: Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }
}

/// The buffers that a channel reads into: 4 KiB, which it keeps, and 16 KiB after a read that has filled them.
///
/// With its own allocators SwiftNIO keeps, for the lifetime of a channel, as many buffers as it may read at once, each
/// as large as was last needed: four of 64 KiB are 2.5 GB for ten thousand connections. It keeps a single one, the
/// first, if it reads once at a time (`maxMessagesPerRead`) and the allocator names no next size.
///
/// All cleartext connections of an event loop share one large buffer: ``ConnectionHandler`` copies what it keeps and
/// returns the buffer. If another handler reads first (TLS, HTTP/2), it is allocated for each read.
struct ReadingBuffers: RecvByteBufferAllocator {
    private static let usualBytes = 4_096
    private static let largeBytes = 16_384
    /// Small reads after a large one before the small buffer is used again: bursts of requests arrive alternately as a
    /// large read and a small rest.
    private static let smallReadsMax: UInt8 = 16

    private let shared: LargeBuffer?
    private var isLarge = false
    private var smallReads: UInt8 = 0

    /// - Parameter shared: that of the event loop; nil if it would not be returned.
    init(sharing shared: LargeBuffer?) { self.shared = shared }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard isLarge else { return allocator.buffer(capacity: Self.usualBytes) }
        return shared?.take() ?? allocator.buffer(capacity: Self.largeBytes)
    }

    func nextBufferSize() -> Int? { nil }

    /// - Returns: whether the next read uses another buffer than the one that the channel keeps.
    mutating func record(actualReadBytes: Int) -> Bool {
        smallReads = actualReadBytes >= Self.usualBytes ? 0 : smallReads &+ 1
        if smallReads == 0 {
            isLarge = true
        } else if shared == nil || smallReads >= Self.smallReadsMax {
            (isLarge, smallReads) = (false, 1)
        }
        return isLarge
    }

    /// Whether this is a large buffer.
    static func isLarge(_ buffer: ByteBuffer) -> Bool { buffer.storageCapacity >= largeBytes }
}

/// The large buffer of an event loop, used for one read at a time. Only the loop's thread uses it.
final class LargeBuffer: @unchecked Sendable {
    private var buffer: ByteBuffer?

    /// nil while it is in use.
    func take() -> ByteBuffer? {
        var taken = buffer.take()
        taken?.clear()
        return taken
    }

    /// Returns it, or another one in its place; its content is no longer needed.
    func giveBack(_ read: ByteBuffer) { buffer = read }
}

/// What the transport knows of the peer.
enum PeerAddress {
    /// The address of a TCP peer; nil for a Unix socket.
    static func ip(_ address: SocketAddress) -> IPAddress? {
        address.ipAddress.flatMap { IPAddress($0) }
    }

    /// The subject alternative names of a client certificate that was verified against the configured authority.
    ///
    /// The type of a name is part of it, and visible in its form: a URI has a colon, an e-mail address an at sign and
    /// no colon, a DNS name neither. A name in the form of another type is ignored, so that a certificate with the
    /// *URI* `gw.example` is not that of the client with this DNS name.
    static func certificateNames(_ context: ChannelHandlerContext) -> [String] {
        guard let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate() else { return [] }
        // The package offers no other access to these names; the underscore marks it as subject to change.
        return certificate._subjectAlternativeNames().compactMap { name in
            let contents = Array(name.contents)
            let (hasColon, hasAt) = (contents.contains(0x3A), contents.contains(0x40))
            let isSpelledAsItsType =
                switch name.nameType {
                case .dnsName: !hasColon && !hasAt
                case .email: !hasColon && hasAt
                case .uri: hasColon
                default: false
                }
            // A name that is not UTF-8 belongs to no client.
            return isSpelledAsItsType ? String(validating: contents, as: UTF8.self) : nil
        }
    }
}
