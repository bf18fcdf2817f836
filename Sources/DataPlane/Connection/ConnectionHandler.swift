import CredentialModel
import HTTPWire
import Listening
import NIOCore
import NIOSSL
import NIOTLS
import Verification

/// One connection: bytes in, answers out, on its event loop, without a task or a lock.
///
/// ``ConnectionMachine`` says what is to be done; this class does it on the channel. All answers of one read burst leave in one
/// write.
final class ConnectionHandler: ChannelInboundHandler, RemovableChannelHandler, ServedConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let loop: LoopState
    private let policy: ListenerPolicy
    private var machine: ConnectionMachine
    private var context: ChannelHandlerContext?
    /// What it has reported to its loop.
    private(set) var heldBytes = 0
    private var isReading = true

    init(loop: LoopState, policy: ListenerPolicy, allocator: ByteBufferAllocator) {
        self.loop = loop
        self.policy = policy
        machine = ConnectionMachine(Conversation(policy: policy, allocator: allocator), at: loop.clock.seconds)
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
        let actions = machine.received(&bytes, loop)
        // What is kept of it was copied.
        if !policy.isEncrypted, ReadingBuffers.isLarge(bytes) { loop.largeBuffer.giveBack(bytes) }
        perform(actions, context)
        settle(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard machine.conversation.out.readableBytes > 0 else { return }
        // Under TLS the end of what the client sends comes without notice and ends the connection: nothing may wait.
        if policy.isEncrypted { perform(.send, context) } else { loop.connections.flushSoon(self, on: context.eventLoop) }
    }

    /// Sends what the burst has brought, when all connections that were ready have been read.
    func flushBurst() {
        if let context { perform(.send, context) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        loop.readClock()
        perform(machine.writabilityChanged(context.channel.isWritable, loop), context)
        settle(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A failed handshake or a reset by the peer: nothing to answer, and the error's text may hold what was sent.
        context.close(promise: nil)
    }

    // MARK: What its loop asks

    /// Goes on with the request that waits.
    /// - Returns: whether it has to be looked at again soon.
    func goOn(_ occasion: ChangesWait.Occasion) -> Bool {
        guard let context else { return false }
        loop.readClock()
        var actions = machine.goOn(occasion, loop)
        let isToBeLookedAt = actions.remove(.look) != nil
        perform(actions, context)
        settle(context)
        return isToBeLookedAt && machine.wantsToRead
    }

    /// Called once a second.
    func checkDeadline() {
        guard let context else { return }
        perform(machine.tick(loop), context)
        settle(context)
    }

    func giveUp() {
        guard let context else { return }
        perform(machine.giveUp(loop), context)
        machine.conversation.releaseBuffers()
        report(heldBytes: 0)
    }

    /// Each answer says that it is the connection's last.
    func drain() {}

    func closeIfIdle() {
        if let context { perform(machine.closeIfIdle(loop), context) }
    }

    func closeNow() {
        context?.close(promise: nil)
    }

    // MARK: Doing it

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
            if actions.contains(.look) { loop.waiters.look(at: self) }
            if actions.contains(.finish) { finish(context) }
            if actions.contains(.close) { context.close(promise: nil) }
            actions = actions.contains(.proceed) ? machine.proceed(loop) : []
        } while !actions.isEmpty
    }

    private func send(_ context: ChannelHandlerContext) {
        // Taken once: each touch of the machine is looked after at run time.
        let out = machine.conversation.out
        if out.readableBytes > 0 {
            context.writeAndFlush(Self.wrapOutboundOut(consume out), promise: nil)
            machine.conversation.out.clearSent()
        }
        read(machine.sent(at: loop.clock.seconds), context)
    }

    /// Sends what is left and closes: first the sending side, so that an answer is not lost to a reset while the client
    /// still sends; then, when the client has closed too or after a moment, all.
    private func finish(_ context: ChannelHandlerContext) {
        let isEncrypted = policy.isEncrypted
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

    /// Reads or does not, and reports what is held now, if that has changed: on the usual path, where each read brings whole
    /// requests and the client takes their answers, neither ever changes.
    private func settle(_ context: ChannelHandlerContext) {
        let standing = machine.standing
        read(standing.wantsToRead, context)
        var bytes = standing.heldBytes
        // The channel's own buffer counts while the client does not take its answers.
        if standing.awaitsClient { bytes += unsentBytes }
        bytes = BufferBudget.occupied(by: bytes)
        if bytes != heldBytes { report(heldBytes: bytes) }
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
