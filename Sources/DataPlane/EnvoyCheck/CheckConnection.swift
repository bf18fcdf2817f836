import CMachine
import EnvoyAuthorization
import HTTPWire
import Listening
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOTLS
import Verification

/// One connection of gRPC: frames in, answers out, on its event loop, without a task or a lock.
///
/// A call is two frames in and three out, and is answered where its last one is read. So there is no channel for each of
/// them, which is what a stream costs otherwise: with a constant answer a call took 60 µs of processor time in grpc-swift-2
/// and 16 with a channel of NIOHTTP2's; here a whole check takes 13. NIOHTTP2 keeps the states of streams, the windows of
/// what is sent, compressed heads, and the peace against floods of frames. What a client may still send is what NIOHTTP2 says
/// is left of the connection's window, also of what it has passed over; it is topped up as it shrinks, and what calls under way
/// may hold of it has a bound of its own. So calls never wait for each other's end.
final class CheckConnection: ChannelInboundHandler, ServedConnection {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// A call whose message has not arrived whole.
    private struct Call {
        var message: ByteBuffer?
        var isHealth = false
        let began: Int64
    }

    private let loop: LoopState
    private let check: EnvoyCheck
    private var caller: Caller
    private var context: ChannelHandlerContext?
    private var calls: [HTTP2StreamID: Call] = [:]
    private var lastCall = HTTP2StreamID.rootStream
    /// Bytes of messages that are not whole.
    private var messageBytes = 0
    /// What it has reported to its loop: these messages, and answers that the client does not take.
    private(set) var heldBytes = 0
    /// Since when there is no call under way; nil while there is one.
    private var idleSince: Int64?
    /// Whether a call has come at all.
    private var isFresh = true
    private var isClosing = false
    private var blockedSince: Int64?

    init(loop: LoopState, policy: ListenerPolicy) {
        self.loop = loop
        check = EnvoyCheck(defaultPolicy: policy.checkPolicy, loop: loop)
        caller = Caller(policy: policy)
        idleSince = loop.clock.seconds
    }

    /// Makes a channel, behind its TLS if it has any, one of these connections.
    static func add(to channel: any Channel, loop: LoopState, policy: ListenerPolicy) throws {
        let operations = channel.pipeline.syncOperations
        // Reads no more while the client does not take its answers.
        try operations.addHandler(BackPressureHandler())
        try operations.addHandler(
            NIOHTTP2Handler(
                mode: .server, connectionConfiguration: CallLimits.connection, streamConfiguration: CallLimits.stream))
        try operations.addHandler(CheckConnection(loop: loop, policy: policy))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.connections.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        loop.connections.remove(self)
        self.context = nil
        report(heldBytes: 0)
    }

    func channelActive(context: ChannelHandlerContext) {
        caller.peer = context.remoteAddress.flatMap(PeerAddress.ip)
        if !caller.policy.isEncrypted { openWindow(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as TLSUserEvent:
            guard case .handshakeCompleted(let negotiated) = event else { break }
            loop.counts.handshakes.increment()
            // Whoever does not know that this is HTTP/2 does not mean it (RFC 9113 §3.2).
            guard negotiated == "h2" else { return context.close(promise: nil) }
            caller.certificateNames = PeerAddress.certificateNames(context)
            openWindow(context)
        case let event as StreamClosedEvent: forget(event.streamID)
        case let event as NIOHTTP2WindowUpdatedEvent where event.streamID == .rootStream:
            topUp(event.inboundWindowSize, context)
        case ChannelEvent.inputClosed as ChannelEvent:
            // Nothing more comes, so that no call can come to its end; what was answered goes out first.
            isClosing = true
            context.flush()
            context.close(promise: nil)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = Self.unwrapInboundIn(data)
        guard !isClosing else { return }
        switch frame.payload {
        case .headers(let head): receive(head, frame.streamID, context)
        case .data(let body): receive(body, frame.streamID, context)
        case .rstStream: forget(frame.streamID)
        default: break
        }
        settle()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        blockedSince = context.channel.isWritable ? nil : loop.clock.seconds
        settle()
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Of one call, which NIOHTTP2 has ended: the others go on.
        if error is NIOHTTP2Errors.StreamError || error is NIOHTTP2Errors.ContentLengthViolated { return }
        // A failed handshake, or frames that no client means; the other side has been told by NIOHTTP2.
        context.close(promise: nil)
    }

    // MARK: Calls

    private func receive(_ head: HTTP2Frame.FramePayload.Headers, _ id: HTTP2StreamID, _ context: ChannelHandlerContext)
    {
        if let call = calls.removeValue(forKey: id) {
            // Fields behind the message: they only end it, as an empty frame would.
            guard head.endStream else {
                calls[id] = call
                return
            }
            messageBytes -= call.message?.readableBytes ?? 0
            return finish(call, id, context)
        }
        isFresh = false
        idleSince = nil
        lastCall = max(lastCall, id)
        switch CallHead(head.headers) {
        case .check where head.endStream: fail(id, .internal, "the call has no message", isWhole: true, context)
        case .check where !caller.mayVerify(loop, .grpc):
            fail(id, .permissionDenied, JudgementText.callers, isWhole: false, context)
        case .check: calls[id] = Call(message: nil, began: loop.clock.seconds)
        case .health where head.endStream: fail(id, .internal, "the call has no message", isWhole: true, context)
        case .health: calls[id] = Call(message: nil, isHealth: true, began: loop.clock.seconds)
        case .grpc(let code, let reason): fail(id, code, reason, isWhole: head.endStream, context)
        case .http(let status): end(id, CallAnswer.refusal(status), isWhole: head.endStream, context)
        }
    }

    private func receive(_ body: HTTP2Frame.FramePayload.Data, _ id: HTTP2StreamID, _ context: ChannelHandlerContext) {
        // What is missing here is a call that was refused and whose client still sends.
        guard case .byteBuffer(var bytes) = body.data, var call = calls.removeValue(forKey: id) else { return }
        messageBytes -= call.message?.readableBytes ?? 0
        if body.endStream, call.message == nil {
            call.message = bytes
            return finish(call, id, context)
        }
        // A copy, for a few bytes must not keep all that was read with them.
        if call.message == nil { call.message = context.channel.allocator.buffer(capacity: bytes.readableBytes) }
        call.message?.writeBuffer(&bytes)
        if body.endStream { return finish(call, id, context) }
        if let fault = CallFrame.fault(call.message) { return refuse(fault, id, isWhole: false, context) }
        let count = call.message?.readableBytes ?? 0
        guard messageBytes + count <= CallLimits.heldBytesMax else {
            return fail(id, .unavailable, "too many messages are under way at once", isWhole: false, context)
        }
        messageBytes += count
        calls[id] = call
    }

    private func finish(_ call: Call, _ id: HTTP2StreamID, _ context: ChannelHandlerContext) {
        defer { if calls.isEmpty { idleSince = loop.clock.seconds } }
        guard let message = call.message else {
            return fail(id, .internal, "the call has no message", isWhole: true, context)
        }
        if let fault = CallFrame.fault(message) { return refuse(fault, id, isWhole: true, context) }
        guard CallFrame.isWhole(message) else {
            return fail(id, .internal, "the call ended within its message", isWhole: true, context)
        }
        loop.readClock()
        let start = cs_ticks()
        var out = context.channel.allocator.buffer(capacity: CallFrame.usualBytes)
        let bytes = message.readableBytesSpan
        let content = bytes.slice(CallFrame.content(bytes))
        let outcome = call.isHealth ? check.answerHealth(content, &out) : check.answer(content, &loop.scratch, &out)
        if !call.isHealth { loop.times.note(.grpc, since: start) }
        switch outcome {
        case .failed(let code, let reason): fail(id, code, reason, isWhole: true, context)
        case .answered: answer(out, id, isWhole: true, context)
        }
    }

    private func answer(_ message: ByteBuffer, _ id: HTTP2StreamID, isWhole: Bool, _ context: ChannelHandlerContext) {
        write(.headers(.init(headers: CallAnswer.head)), id, context)
        write(.data(.init(data: .byteBuffer(message))), id, context)
        write(.headers(.init(headers: CallAnswer.trailers, endStream: true)), id, context)
        guard !isWhole else { return }
        // Message and trailers first: NIOHTTP2 drops what it still holds of a stream that is reset.
        context.flush()
        write(.rstStream(.noError), id, context)
    }

    /// A request that is too large is denied and does not fail: Envoy may be told to let pass whatever fails, and a client
    /// could then choose that by sending more.
    private func refuse(
        _ fault: CallFrame.Fault, _ id: HTTP2StreamID, isWhole: Bool, _ context: ChannelHandlerContext
    ) {
        guard case .tooLarge = fault else { return fail(id, .internal, fault.reason, isWhole: isWhole, context) }
        var out = context.channel.allocator.buffer(capacity: CallFrame.usualBytes)
        check.refuse(413, fault.reason, &out)
        answer(out, id, isWhole: isWhole, context)
        if calls.isEmpty { idleSince = loop.clock.seconds }
    }

    private func fail(
        _ id: HTTP2StreamID, _ code: StatusCode, _ reason: StaticString, isWhole: Bool, _ context: ChannelHandlerContext
    ) {
        end(id, CallAnswer.failure(code, reason), isWhole: isWhole, context)
    }

    /// Ends a call by a head alone. One whose client still sends is told to stop, which is no fault of its (RFC 9113 §8.1).
    private func end(
        _ id: HTTP2StreamID, _ headers: HPACKHeaders, isWhole: Bool, _ context: ChannelHandlerContext
    ) {
        write(.headers(.init(headers: headers, endStream: true)), id, context)
        if !isWhole { write(.rstStream(.noError), id, context) }
        if calls.isEmpty { idleSince = loop.clock.seconds }
    }

    private func forget(_ id: HTTP2StreamID) {
        guard let call = calls.removeValue(forKey: id) else { return }
        messageBytes -= call.message?.readableBytes ?? 0
        if calls.isEmpty { idleSince = loop.clock.seconds }
    }

    /// It leaves with all that this read brings: NIOHTTP2 flushes when the channel has no more to read.
    private func write(
        _ payload: HTTP2Frame.FramePayload, _ id: HTTP2StreamID, _ context: ChannelHandlerContext
    ) {
        context.write(Self.wrapOutboundOut(HTTP2Frame(streamID: id, payload: payload)), promise: nil)
    }

    // MARK: Buffers

    private func settle() {
        var bytes = messageBytes
        if blockedSince != nil { bytes += (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }
        bytes = BufferBudget.occupied(by: bytes)
        if bytes != heldBytes { report(heldBytes: bytes) }
    }

    private func report(heldBytes bytes: Int) {
        let change = bytes - heldBytes
        heldBytes = bytes
        if change != 0 { loop.connections.note(heldBytes: change) }
    }

    /// All connections hold too much, and this one the most. Its calls fail as all trouble does; a client that does not take
    /// its answers has its connection closed.
    func giveUp() {
        guard let context else { return }
        guard blockedSince == nil else { return closeNow() }
        for id in calls.keys {
            fail(id, .unavailable, "too many messages are unfinished at once", isWhole: false, context)
        }
        calls.removeAll()
        messageBytes = 0
        idleSince = loop.clock.seconds
        context.flush()
        report(heldBytes: 0)
    }

    // MARK: Windows

    /// Lets a client send that much at once, over all its calls. It is also all that it can make this connection hold.
    private func openWindow(_ context: ChannelHandlerContext) {
        write(.windowUpdate(windowSizeIncrement: CallLimits.windowBytes - 65_535), .rootStream, context)
        context.flush()
    }

    private func topUp(_ left: Int?, _ context: ChannelHandlerContext) {
        guard let left, CallLimits.windowBytes - left >= CallLimits.windowBytes / 4 else { return }
        write(.windowUpdate(windowSizeIncrement: CallLimits.windowBytes - left), .rootStream, context)
    }

    // MARK: Time and end

    func checkDeadline() {
        guard let context else { return }
        settle()
        let settings = loop.services.settings
        if let blockedSince, loop.clock.seconds - blockedSince > settings.writeSeconds { return closeNow() }
        for (id, call) in calls where loop.clock.seconds - call.began > settings.bodySeconds {
            // Envoy gives up long before. It is forgotten when NIOHTTP2 says that the stream has closed.
            write(.rstStream(.cancel), id, context)
            forget(id)
        }
        context.flush()
        guard let idleSince else { return }
        let limit = isFresh ? settings.freshSeconds : settings.idleSeconds
        if loop.clock.seconds - idleSince > limit { closeIfIdle() }
    }

    func drain() {
        guard let context, !isClosing else { return }
        // New calls go elsewhere from now on; those that are on their way still count (RFC 9113 §6.8). Said past NIOHTTP2, which
        // would refuse them from here on.
        guard let below = try? context.pipeline.syncOperations.context(handlerType: BackPressureHandler.self) else {
            return
        }
        var frame = context.channel.allocator.buffer(capacity: CallAnswer.goAwayToAll.count)
        frame.writeBytes(CallAnswer.goAwayToAll)
        context.flush()
        below.writeAndFlush(NIOAny(frame), promise: nil)
    }

    func closeIfIdle() {
        guard calls.isEmpty, let context, !isClosing else { return }
        isClosing = true
        goAway(lastCall, context)
        context.close(promise: nil)
    }

    func closeNow() {
        context?.close(promise: nil)
    }

    private func goAway(_ last: HTTP2StreamID, _ context: ChannelHandlerContext) {
        write(.goAway(lastStreamID: last, errorCode: .noError, opaqueData: nil), .rootStream, context)
        context.flush()
    }
}
