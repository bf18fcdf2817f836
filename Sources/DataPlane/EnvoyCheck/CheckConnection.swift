import CMachine
import EnvoyAuthorization
import HTTPWire
import Listening
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOTLS
import Verification

/// One gRPC connection on its event loop, without tasks or locks.
///
/// A call is two frames in and three out, and is answered when its last frame is read. There is no channel for each
/// stream, which is what dominates otherwise: with a constant response a call took 60 µs of processor time in
/// grpc-swift-2 and 16 with a channel of NIOHTTP2; here a complete check takes 13. NIOHTTP2 keeps the states of
/// streams, the send windows, compressed headers, and the protection against floods of frames. The receive window of
/// the connection is what NIOHTTP2 reports, including skipped data; it is replenished as it shrinks, and the bytes that
/// incomplete calls may hold of it have their own limit. So calls never wait for one another.
final class CheckConnection: ChannelInboundHandler, ServedConnection {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// A call whose message is incomplete.
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
    /// Bytes of incomplete messages.
    private var messageBytes = 0
    /// The bytes last reported to the loop: these messages, and responses that the client does not read.
    private(set) var heldBytes = 0
    /// The second since which there is no call; nil while there is one.
    private var idleSince: Int64?
    /// Whether there has been no call yet.
    private var isFresh = true
    private var isClosing = false
    private var blockedSince: Int64?

    init(loop: LoopState, listener: ListenerConfiguration) {
        self.loop = loop
        check = EnvoyCheck(defaultPolicy: listener.checkPolicy, loop: loop)
        caller = Caller(listener: listener)
        idleSince = loop.clock.seconds
    }

    /// Adds the handlers to a channel, after those of TLS.
    static func add(to channel: any Channel, loop: LoopState, listener: ListenerConfiguration) throws {
        let operations = channel.pipeline.syncOperations
        // Stops reading while the client does not read its responses.
        try operations.addHandler(BackPressureHandler())
        try operations.addHandler(
            NIOHTTP2Handler(
                mode: .server, connectionConfiguration: CallLimits.connection, streamConfiguration: CallLimits.stream))
        try operations.addHandler(CheckConnection(loop: loop, listener: listener))
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
        if !caller.listener.isEncrypted { openWindow(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as TLSUserEvent:
            guard case .handshakeCompleted(let negotiated) = event else { break }
            loop.counts.handshakes.increment()
            // A client that did not negotiate HTTP/2 is not a gRPC client (RFC 9113 §3.2).
            guard negotiated == "h2" else { return context.close(promise: nil) }
            caller.certificateNames = PeerAddress.certificateNames(context)
            openWindow(context)
        case let event as StreamClosedEvent: forget(event.streamID)
        case let event as NIOHTTP2WindowUpdatedEvent where event.streamID == .rootStream:
            topUp(event.inboundWindowSize, context)
        case ChannelEvent.inputClosed as ChannelEvent:
            // No incomplete call can become complete; responses are written first.
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
        // An error of one stream, which NIOHTTP2 has ended: the others continue.
        if error is NIOHTTP2Errors.StreamError || error is NIOHTTP2Errors.ContentLengthViolated { return }
        // A failed handshake, or a protocol error, which NIOHTTP2 has reported to the client.
        context.close(promise: nil)
    }

    // MARK: Calls

    private func receive(_ head: HTTP2Frame.FramePayload.Headers, _ id: HTTP2StreamID, _ context: ChannelHandlerContext)
    {
        if let call = calls.removeValue(forKey: id) {
            // Trailers: they only end the call, as an empty frame would.
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
            loop.beginRecord()
            if loop.endRecord() {
                loop.access.finish(.grpc, peer: caller.peer, status: 403, since: cs_ticks(), nil)
            }
            fail(id, .permissionDenied, JudgementText.callers, isWhole: false, context)
        case .check: calls[id] = Call(message: nil, began: loop.clock.seconds)
        case .health where head.endStream: fail(id, .internal, "the call has no message", isWhole: true, context)
        case .health: calls[id] = Call(message: nil, isHealth: true, began: loop.clock.seconds)
        case .grpc(let code, let reason): fail(id, code, reason, isWhole: head.endStream, context)
        case .http(let status): end(id, CallAnswer.refusal(status), isWhole: head.endStream, context)
        }
    }

    private func receive(_ body: HTTP2Frame.FramePayload.Data, _ id: HTTP2StreamID, _ context: ChannelHandlerContext) {
        // An unknown stream is a refused call whose client still sends.
        guard case .byteBuffer(var bytes) = body.data, var call = calls.removeValue(forKey: id) else { return }
        messageBytes -= call.message?.readableBytes ?? 0
        if body.endStream, call.message == nil {
            call.message = bytes
            return finish(call, id, context)
        }
        // A copy: a few bytes must not keep the whole read buffer.
        if call.message == nil { call.message = context.channel.allocator.buffer(capacity: bytes.readableBytes) }
        call.message?.writeBuffer(&bytes)
        if body.endStream { return finish(call, id, context) }
        if let fault = CallFrame.fault(call.message) { return refuse(fault, id, isWhole: false, context) }
        let count = call.message?.readableBytes ?? 0
        guard messageBytes + count <= CallLimits.heldBytesMax else {
            return fail(id, .unavailable, "too many incomplete messages at once", isWhole: false, context)
        }
        messageBytes += count
        calls[id] = call
    }

    /// Keeps a call until this node has what other nodes have acknowledged.
    private func ask(_ call: Call, _ id: HTTP2StreamID, _ context: ChannelHandlerContext) {
        messageBytes += call.message?.readableBytes ?? 0
        calls[id] = call
        loop.questions?.ask(on: context.eventLoop) { hearing in
            guard let context = self.context, let call = self.calls.removeValue(forKey: id) else { return }
            self.messageBytes -= call.message?.readableBytes ?? 0
            self.finish(call, id, context, hearing)
            context.flush()
            self.settle()
        }
    }

    private func finish(
        _ call: Call, _ id: HTTP2StreamID, _ context: ChannelHandlerContext,
        _ hearing: FleetQuestions.Hearing = .notAsked
    ) {
        defer { if calls.isEmpty { idleSince = loop.clock.seconds } }
        guard let message = call.message else {
            return fail(id, .internal, "the call has no message", isWhole: true, context)
        }
        if let fault = CallFrame.fault(message) { return refuse(fault, id, isWhole: true, context) }
        guard CallFrame.isWhole(message) else {
            return fail(id, .internal, "the call ended within its message", isWhole: true, context)
        }
        loop.readClock()
        loop.questions?.begin(hearing)
        let start = cs_ticks()
        loop.beginRecord()
        var out = context.channel.allocator.buffer(capacity: CallFrame.usualBytes)
        let bytes = message.readableBytesSpan
        let content = bytes.slice(CallFrame.content(bytes))
        let outcome = call.isHealth ? check.answerHealth(content, &out) : check.answer(content, &loop.scratch, &out)
        if loop.questions?.mustAsk == true { return ask(call, id, context) }
        if !call.isHealth {
            loop.times.note(.grpc, since: start)
            if loop.endRecord() { loop.access.finish(.grpc, peer: caller.peer, status: nil, since: start, nil) }
        }
        switch outcome {
        case .failed(let code, let reason): fail(id, code, reason, isWhole: true, context)
        case .answered: send(out, id, isWhole: true, context)
        }
    }

    private func send(_ message: ByteBuffer, _ id: HTTP2StreamID, isWhole: Bool, _ context: ChannelHandlerContext) {
        write(.headers(.init(headers: CallAnswer.head)), id, context)
        write(.data(.init(data: .byteBuffer(message))), id, context)
        write(.headers(.init(headers: CallAnswer.trailers, endStream: true)), id, context)
        guard !isWhole else { return }
        // Message and trailers first: NIOHTTP2 discards pending data of a stream that is reset.
        context.flush()
        write(.rstStream(.noError), id, context)
    }

    /// A request that is too large is denied and does not fail: Envoy may be configured to allow requests whose check
    /// fails, and a client could then bypass the check by sending more.
    private func refuse(
        _ fault: CallFrame.Fault, _ id: HTTP2StreamID, isWhole: Bool, _ context: ChannelHandlerContext
    ) {
        guard case .tooLarge = fault else { return fail(id, .internal, fault.reason, isWhole: isWhole, context) }
        var out = context.channel.allocator.buffer(capacity: CallFrame.usualBytes)
        check.refuse(413, fault.reason, &out)
        send(out, id, isWhole: isWhole, context)
        if calls.isEmpty { idleSince = loop.clock.seconds }
    }

    private func fail(
        _ id: HTTP2StreamID, _ code: StatusCode, _ reason: StaticString, isWhole: Bool, _ context: ChannelHandlerContext
    ) {
        end(id, CallAnswer.failure(code, reason), isWhole: isWhole, context)
    }

    /// Ends a call with headers only. If the client still sends, it is told to stop, which is not an error (RFC 9113
    /// §8.1).
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

    /// NIOHTTP2 flushes when the channel has no more to read.
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

    /// The memory budget is exceeded, and this connection holds most. Its calls fail as if the store could not answer;
    /// if the client does not read its responses, the connection is closed.
    func shed() {
        guard let context else { return }
        guard blockedSince == nil else { return closeNow() }
        for id in calls.keys {
            fail(id, .unavailable, "too many incomplete messages at once", isWhole: false, context)
        }
        calls.removeAll()
        messageBytes = 0
        idleSince = loop.clock.seconds
        context.flush()
        report(heldBytes: 0)
    }

    // MARK: Windows

    /// Opens the receive window of the connection. It also bounds what a client can make this connection hold.
    private func openWindow(_ context: ChannelHandlerContext) {
        write(.windowUpdate(windowSizeIncrement: CallLimits.windowBytes - 65_535), .rootStream, context)
        context.flush()
    }

    private func topUp(_ left: Int?, _ context: ChannelHandlerContext) {
        guard let left, CallLimits.windowBytes - left >= CallLimits.windowBytes / 4 else { return }
        write(.windowUpdate(windowSizeIncrement: CallLimits.windowBytes - left), .rootStream, context)
    }

    // MARK: Deadlines and shutdown

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
        // The client should send new calls elsewhere; calls in flight still count (RFC 9113 §6.8). Written without
        // NIOHTTP2, which would refuse them from now on.
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
