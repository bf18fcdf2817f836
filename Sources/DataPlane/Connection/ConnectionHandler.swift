import CredentialModel
import HTTPWire
import Listening
import NIOCore
import NIOSSL
import NIOTLS
import Verification

/// One connection: bytes in, answers out, on its event loop, without a task or a lock.
///
/// ``Conversation`` says what the bytes are and what the answer is; this class only moves bytes and watches the clock. All
/// answers of one read burst leave in one write.
final class ConnectionHandler: ChannelInboundHandler, RemovableChannelHandler, ServedConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// Nothing has come yet, the TLS handshake included.
        case fresh
        /// Between requests.
        case idle
        case head
        case body
        /// A request for changes waits for one.
        case waiting
        /// The last answer is on its way.
        case finishing
        /// It has been taken; the client is to close its side.
        case closing
    }

    private let loop: LoopState
    private let policy: ListenerPolicy
    private var conversation: Conversation
    private var phase = Phase.fresh
    private var phaseBegan: Int64
    /// Since when the client does not take its answers; nothing is read meanwhile, and the phase keeps its own deadline.
    private var pausedSince: Int64?
    private var context: ChannelHandlerContext?
    /// The request that waits, in that phase only.
    private var wait: ChangesWait?
    /// Reading was stopped while a request waits, because the client has sent too much behind it.
    private var isHeldBack = false
    /// What it has reported to its loop.
    private(set) var heldBytes = 0
    /// Whether the channel takes more; it says so when that changes, and asking it for each burst costs more.
    private var isWritable = true

    /// Bytes of answers that may wait before reading stops.
    private static let outBytesMax = 262_144
    /// Bytes that a client may send behind a request that waits before reading stops.
    private static let behindBytesMax = 65_536
    /// Room of a buffer that is kept though little of it is used.
    private static let sparseBytesMax = 4_096
    /// Seconds to wait for a client to close its side after the last answer.
    private static let lingerSeconds: Int64 = 2

    init(loop: LoopState, policy: ListenerPolicy, allocator: ByteBufferAllocator) {
        self.loop = loop
        self.policy = policy
        conversation = Conversation(policy: policy, allocator: allocator)
        phaseBegan = loop.ticks
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        endWait()
        loop.remove(self)
        self.context = nil
        report(heldBytes: 0)
    }

    func channelActive(context: ChannelHandlerContext) {
        conversation.caller.peer = context.remoteAddress.flatMap(PeerAddress.ip)
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event {
            loop.counts.handshakes.increment()
            conversation.caller.certificateNames = PeerAddress.certificateNames(context)
        }
        if let event = event as? ChannelEvent, event == .inputClosed { inputClosed(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = Self.unwrapInboundIn(data)
        if isEnding { return }
        loop.readClock()
        if pausedSince != nil || phase == .waiting {
            // Reading may have been turned off, but a read loop under way may still bring a few buffers.
            conversation.keep(&bytes)
            if phase == .waiting { holdBack(context) }
        } else if conversation.pending != nil {
            conversation.keep(&bytes)
            drainPending(context)
        } else {
            process(&bytes, context)
            if bytes.readableBytes > 0, !isEnding { conversation.keep(&bytes) }
        }
        // What is kept of it was copied.
        if !policy.isEncrypted, ReadingBuffers.isLarge(bytes) { loop.largeBuffer.giveBack(bytes) }
        settle()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard conversation.out.readableBytes > 0 else { return }
        // Under TLS the end of what the client sends comes without notice and ends the connection: nothing may wait.
        if policy.isEncrypted {
            flush(context)
            pauseIfSlow(context)
        } else {
            loop.flushSoon(self, on: context.eventLoop)
        }
    }

    /// Sends what the burst has brought, when all connections that were ready have been read.
    func flushBurst() {
        guard let context else { return }
        flush(context)
        pauseIfSlow(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        guard pausedSince != nil, !isEnding, isWritable else { return }
        pausedSince = nil
        loop.readClock()
        if phase == .waiting { loop.waiters.look(at: self) } else { drainPending(context) }
        // The request that it was held back behind has been answered while the client took nothing.
        if phase != .waiting { isHeldBack = false }
        flush(context)
        pauseIfSlow(context)
        settle()
        if pausedSince == nil, !isHeldBack { _ = context.channel.setOption(.autoRead, value: true) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A failed handshake or a reset by the peer: nothing to answer, and the error's text may hold what was sent.
        context.close(promise: nil)
    }

    // MARK: Requests

    private func drainPending(_ context: ChannelHandlerContext) {
        guard var bytes = conversation.pending else { return }
        conversation.pending = nil
        process(&bytes, context)
        guard bytes.readableBytes > 0, !isEnding else { return }
        bytes.discardReadBytes()
        // A few bytes must not keep the room of all that came before them.
        if bytes.storageCapacity > max(Self.sparseBytesMax, 2 * bytes.readableBytes) {
            conversation.keep(&bytes)
        } else {
            conversation.pending = bytes
        }
    }

    private func process(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) {
        while bytes.readableBytes > 0 {
            switch conversation.step(&bytes, loop) {
            case .needsMore(let isBody):
                // Its caller is known by now, where its head says who that is.
                let now: Phase = isBody ? .body : .head
                if phase != now { enter(now) }
                return
            case .continued:
                enter(.body)
            case .ended:
                return finish(context)
            case .waits(let new):
                wait = new
                enter(.waiting)
                new.dueTicks = loop.ticks &+ new.patienceSeconds
                return loop.waiters.add(self, on: context.eventLoop)
            case .answered:
                enter(.idle)
                if conversation.out.readableBytes > Self.outBytesMax {
                    flush(context)
                    pauseIfSlow(context)
                    if pausedSince != nil { return }
                }
            }
        }
    }

    // MARK: Waiting

    /// Whether the request that waits wants to be told of births.
    var wantsIssued: Bool { wait?.asked.issued ?? false }

    /// Whether the request that waits has not been looked at up to a journal number.
    func isBehind(_ number: UInt64) -> Bool { wait.map { $0.next < number } ?? false }

    /// Goes on with the request that waits.
    /// - Returns: whether it has to be looked at again soon.
    func goOn(_ occasion: ChangesWait.Occasion) -> Bool {
        // While the client does not take what it was sent, there is no use in more.
        guard let context, let wait, pausedSince == nil else { return false }
        defer { settle() }
        loop.readClock()
        switch conversation.goOn(wait, occasion, loop) {
        case .waits:
            if case .due = occasion { wait.dueTicks = loop.ticks &+ wait.patienceSeconds }
            flush(context)
            pauseIfSlow(context)
            return wait.hasMore && pausedSince == nil
        case .answered:
            endWait()
            enter(.idle)
            drainPending(context)
            flush(context)
            pauseIfSlow(context)
            if isHeldBack, phase != .waiting, pausedSince == nil, !isEnding {
                isHeldBack = false
                _ = context.channel.setOption(.autoRead, value: true)
            }
        case .ended, .needsMore, .continued:
            finish(context)
        }
        return false
    }

    /// Reads no more than a little behind a request that waits. Behind a stream nothing is answered: it is thrown away.
    private func holdBack(_ context: ChannelHandlerContext) {
        if wait?.asked.isStream == true { conversation.pending = nil }
        guard !isHeldBack, conversation.pending?.readableBytes ?? 0 > Self.behindBytesMax else { return }
        isHeldBack = true
        _ = context.channel.setOption(.autoRead, value: false)
    }

    private func endWait() {
        guard wait != nil else { return }
        loop.waiters.remove(self)
        wait = nil
    }

    // MARK: Output and end

    private func flush(_ context: ChannelHandlerContext) {
        // Taken once: each touch of the conversation is looked after at run time.
        let out = conversation.out
        guard out.readableBytes > 0 else { return }
        context.writeAndFlush(Self.wrapOutboundOut(consume out), promise: nil)
        conversation.out.clearSent()
    }

    /// Stops reading while the client has not taken what it was sent: its answers must not pile up here.
    private func pauseIfSlow(_ context: ChannelHandlerContext) {
        guard !isWritable, pausedSince == nil, !isEnding else { return }
        pausedSince = loop.ticks
        _ = context.channel.setOption(.autoRead, value: false)
    }

    /// Sends what is left and closes: first the sending side, so that an answer is not lost to a reset while the client
    /// still sends; then, when the client has closed too or after a moment, all.
    private func finish(_ context: ChannelHandlerContext) {
        endWait()
        enter(.finishing)
        conversation.pending = nil
        let isEncrypted = policy.isEncrypted
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(Self.wrapOutboundOut(conversation.out)).whenComplete { _ in
            let (handler, context) = bound.value
            handler.enter(.closing)
            context.close(mode: isEncrypted ? .all : .output, promise: nil)
        }
        conversation.out.clear()
    }

    /// The client sends no more. It gets what it is owed, and the connection ends.
    private func inputClosed(_ context: ChannelHandlerContext) {
        if phase == .waiting { _ = goOn(.ending) }
        if !isEnding { finish(context) }
    }

    // MARK: Buffers

    /// Reports what is held now, if that has changed: on the usual path, where each read brings whole requests and the client
    /// takes their answers, it never does.
    private func settle() {
        var bytes = conversation.heldBytes
        // The channel's own buffer counts while the client does not take its answers.
        if !isWritable || phase == .finishing { bytes += unsentBytes }
        bytes = BufferBudget.occupied(by: bytes)
        if bytes != heldBytes { report(heldBytes: bytes) }
    }

    private func report(heldBytes bytes: Int) {
        let change = bytes - heldBytes
        heldBytes = bytes
        if change != 0 { loop.note(heldBytes: change) }
    }

    private var unsentBytes: Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// All connections hold too much, and this one the most. A request that has not come whole is refused; a client that does
    /// not take its answers, or that sends behind a request that waits, has its connection closed.
    func giveUp() {
        guard let context else { return }
        let isUnfinished = !isEnding && pausedSince == nil && (phase == .head || phase == .body)
        let isIdle = pausedSince == nil && (phase == .idle || phase == .fresh)
        conversation.pending = nil
        if isUnfinished {
            conversation.refuseForRoom(loop)
            finish(context)
        } else if !isIdle {
            context.close(promise: nil)
        }
        conversation.releaseBuffers()
        report(heldBytes: 0)
    }

    private var isEnding: Bool { phase == .finishing || phase == .closing }

    private func enter(_ new: Phase) {
        phase = new
        phaseBegan = loop.ticks
    }

    /// Called once a second.
    func checkDeadline() {
        let settings = loop.settings
        let limit =
            switch phase {
            case .fresh: settings.freshSeconds
            case .idle: settings.idleSeconds
            case .head: settings.headSeconds
            case .body: settings.bodySeconds
            case .waiting: Int64.max
            case .finishing: settings.writeSeconds
            case .closing: Self.lingerSeconds
            }
        guard let context else { return }
        if phase == .idle, loop.ticks > phaseBegan, conversation.pending == nil { conversation.releaseBuffers() }
        settle()
        if let pausedSince, !isEnding {
            if loop.ticks - pausedSince > settings.writeSeconds { context.close(promise: nil) }
            return
        }
        if let wait {
            // Each second, so that a caller who has lost the right does not wait any longer.
            if goOn(loop.ticks >= wait.dueTicks ? .due : .changed) { loop.waiters.look(at: self) }
            return
        }
        guard loop.ticks - phaseBegan > limit else { return }
        if phase == .head || phase == .body {
            conversation.refuseLate(loop)
            finish(context)
        } else {
            context.close(promise: nil)
        }
    }

    /// Each answer says that it is the connection's last.
    func drain() {}

    /// The service is shutting down: others close with their next answer.
    func closeIfIdle() {
        if phase == .waiting { _ = goOn(.ending) }
        // An answer may still wait in the channel: it goes out first.
        if phase == .idle || phase == .fresh, let context { finish(context) }
    }

    func closeNow() {
        context?.close(promise: nil)
    }
}
