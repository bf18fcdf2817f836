import Foundation
import HTTPTypes
import HTTPWire
import NIOCore
import NIOHTTPTypes

/// One connection of the control plane: turns bytes into request parts and response parts into bytes, and applies the
/// deadlines.
///
/// ``RequestParser`` decides what the bytes are, ``ResponseFraming`` how a response is framed, and ``ConnectionTimer``
/// when a deadline has passed. Requests are processed one at a time: what a client sends behind a request that is being
/// answered stays in the buffer, so the state below always belongs to exactly one request.
final class RequestConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = ByteBuffer

    /// The body ended early: the part that was received must not be taken for the whole (RFC 9112 §8).
    struct IncompleteBody: Error {}

    /// Sent by a route that is about to read the body. Only routes know whether a request is admitted by its head, and
    /// so whether a client that waits for `100 Continue` gets it (RFC 9110 §10.1.1).
    struct BodyWanted: Sendable {}

    /// The request that is being read or answered.
    private struct CurrentRequest {
        var framing: ResponseFraming
        /// Whether the connection stays open after the response.
        var keepAlive: Bool
        /// The whole request has been received.
        var hasEnded = false
        var isAnswered = false
        /// The client waits for `100 Continue`, and nothing of its body has been received.
        var expectsContinue = false
        /// The response was complete before the body: the rest of the body is read and dropped, within its deadline,
        /// and then the connection continues. To a client that is still sending, closing at once would look like a
        /// failure.
        var isDropped = false
    }

    private let isEncrypted: Bool
    private let limit: ConnectionLimit
    private var parser = RequestParser(limits: ControlPlaneLimits.wire)
    /// Received bytes that are not parsed yet.
    private var buffer = ByteBuffer()
    private var current: CurrentRequest?
    private var timer = ConnectionTimer()
    private var clock: RepeatedTask?
    /// The client sends no more.
    private var hasInputEnded = false
    /// The service is shutting down: the next response is the last.
    private var isQuiescing = false
    /// A read was requested while too much is buffered.
    private var hasDeferredRead = false
    /// Parts were forwarded since the routes were last told that a burst is complete.
    private var hasForwarded = false

    init(isEncrypted: Bool, limit: ConnectionLimit) {
        self.isEncrypted = isEncrypted
        self.limit = limit
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        clock = context.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            let (handler, context) = bound.value
            handler.tick(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        clock?.cancel()
        clock = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        reportIncompleteBody(context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A failed handshake or a reset: there is nothing to answer. Not logged, because the text of the error may hold
        // input.
        reportIncompleteBody(context)
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as ChannelEvent where event == .inputClosed: inputClosed(context)
        case is ChannelShouldQuiesceEvent:
            isQuiescing = true
            if timer.phase == .idle || timer.phase == .fresh { finish(context) }
        case is ConnectionLimit.Eviction:
            reportIncompleteBody(context)
            context.close(promise: nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !timer.isEnding else { return }
        var bytes = unwrapInboundIn(data)
        buffer.discardReadBytes()
        if buffer.readableBytes > 0 { buffer.writeBuffer(&bytes) } else { buffer = bytes }
        process(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        hasForwarded = false
        context.fireChannelReadComplete()
    }

    /// Limits how much is buffered behind a request that is being answered.
    func read(context: ChannelHandlerContext) {
        if current?.hasEnded == true, buffer.readableBytes > ControlPlaneLimits.pipelinedBytesMax {
            hasDeferredRead = true
        } else {
            context.read()
        }
    }

    /// The routes are done with the connection, or were cancelled.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode != .input else { return context.close(mode: mode, promise: promise) }
        context.channel.closeFuture.cascade(to: promise)
        if !timer.isEnding { finish(context) }
    }

    func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard event is BodyWanted else { return context.triggerUserOutboundEvent(event, promise: promise) }
        if !timer.isEnding, current?.expectsContinue == true, current?.isAnswered == false {
            current?.expectsContinue = false
            send(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"), context)
        }
        promise?.succeed()
    }

    // MARK: Requests

    private func process(_ context: ChannelHandlerContext) {
        while !timer.isEnding, current?.hasEnded != true {
            switch parser.parsePiece(buffer.readableBytesSpan) {
            case .needMore:
                if current != nil {
                    enter(.readingBody, context)
                } else if buffer.readableBytes > 0 {
                    enter(.readingHead, context)
                }
                // An incomplete request gets no response.
                if hasInputEnded { inputClosed(context) }
                return completeBurst(context)
            case .head(let count, let expectsContinue):
                let head = HTTPRequest(parser.request, in: buffer)
                buffer.moveReaderIndex(forwardBy: count)
                begin(head, context, expectsContinue: expectsContinue)
            case .body(let range, let count):
                let start = buffer.readerIndex + range.bounds.lowerBound
                let piece = buffer.getSlice(at: start, length: range.count)
                buffer.moveReaderIndex(forwardBy: count)
                current?.expectsContinue = false
                if let piece, current?.isDropped != true { forward(.body(piece), context) }
            case .end(let count):
                buffer.moveReaderIndex(forwardBy: count)
                if let dropped = current, dropped.isDropped {
                    guard dropped.keepAlive, !isQuiescing else { return finish(context) }
                    current = nil
                    enter(.idle, context)
                    forward(.end(nil), context)
                    continue
                }
                current?.hasEnded = true
                enter(.answering, context)
                forward(.end(nil), context)
            case .fault(let fault):
                // In the middle of a body the response may have been sent already.
                reportIncompleteBody(context)
                finish(context, with: current?.isAnswered == true ? [] : fault.refusal(at: Self.now))
            }
        }
        completeBurst(context)
    }

    private func begin(_ head: HTTPRequest?, _ context: ChannelHandlerContext, expectsContinue: Bool) {
        let framing = ResponseFraming(
            isHead: parser.request.method == .head, minorVersion: parser.request.minorVersion)
        current = CurrentRequest(framing: framing, keepAlive: parser.request.keepAlive)
        enter(.readingBody, context)
        guard let head else {
            // Not reached: the parser refuses a method that is not a token.
            return finish(context, with: WireFault.badMethod.refusal(at: Self.now))
        }
        current?.expectsContinue = expectsContinue
        forward(.head(head), context)
    }

    private func forward(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        hasForwarded = true
        context.fireChannelRead(wrapInboundOut(part))
    }

    /// Parts stay in the routes' queue until a read burst is complete. Outside of a burst of the channel, this handler
    /// has to complete one itself.
    private func completeBurst(_ context: ChannelHandlerContext) {
        guard hasForwarded else { return }
        hasForwarded = false
        context.fireChannelReadComplete()
    }

    /// Tells the routes that the rest of a body will not arrive, so that they do not process a part of it as the whole.
    private func reportIncompleteBody(_ context: ChannelHandlerContext) {
        guard let current, !current.hasEnded, !current.isAnswered, !timer.isEnding else { return }
        context.fireErrorCaught(IncompleteBody())
    }

    /// The client sends no more. It gets the responses to its complete requests, and the connection ends.
    private func inputClosed(_ context: ChannelHandlerContext) {
        hasInputEnded = true
        switch timer.phase {
        case .answering, .finishing: return
        case .closing: context.close(promise: nil)
        case .fresh, .idle, .readingHead, .readingBody:
            reportIncompleteBody(context)
            finish(context)
        }
    }

    // MARK: Responses

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !timer.isEnding, var current, !current.isDropped else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        var out = ByteBuffer()
        switch unwrapOutboundIn(data) {
        case .head(let head):
            // A client that was not told to continue may still send its body, or its next request. The two cannot be
            // told apart, so the connection ends.
            var keepAlive =
                current.keepAlive && !isQuiescing && !current.expectsContinue
                && head.headerFields[.connection]?.lowercased() != "close"
            current.framing.append(head, keepAlive: &keepAlive, to: &out)
            current.keepAlive = keepAlive
            current.isAnswered = head.status.kind != .informational
            self.current = current
            send(out, context, promise, flushes: false)
        case .body(let piece):
            current.framing.append(piece, to: &out)
            send(out, context, promise, flushes: false)
        case .end:
            current.framing.appendEnd(to: &out)
            self.current = nil
            if !current.hasEnded, !current.expectsContinue {
                current.isDropped = true
                self.current = current
                send(out, context, promise, flushes: true)
            } else if current.keepAlive {
                enter(.idle, context)
                send(out, context, promise, flushes: true)
                processLater(context)
            } else {
                send(out, context, promise, flushes: false)
                finish(context)
            }
        }
    }

    /// Processes what the client has sent meanwhile, in the next turn of the event loop: the routes are still writing.
    private func processLater(_ context: ChannelHandlerContext) {
        guard buffer.readableBytes > 0 || hasInputEnded || hasDeferredRead else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.process(context)
            if handler.hasDeferredRead, !handler.timer.isEnding {
                handler.hasDeferredRead = false
                handler.read(context: context)
            }
        }
    }

    /// Writes, and counts the write as pending until the client has accepted it.
    private func send(
        _ bytes: ByteBuffer, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>? = nil,
        flushes: Bool = true
    ) {
        let written = promise ?? context.eventLoop.makePromise()
        timer.writeBegan()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            if handler.timer.writeEnded() { handler.reportActivity(context) }
        }
        context.write(wrapOutboundOut(bytes), promise: written)
        if flushes { context.flush() }
    }

    /// Sends the rest and closes. The sending side closes first, so that a response is not lost to a reset while the
    /// client is still sending; the rest closes when the client has closed too, or after a short time.
    private func finish(_ context: ChannelHandlerContext, with last: [UInt8] = []) {
        enter(.finishing, context)
        buffer = ByteBuffer()
        if hasDeferredRead {
            hasDeferredRead = false
            context.read()
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: last))).whenComplete { _ in
            let (handler, context) = bound.value
            handler.enter(.closing, context)
            context.close(
                mode: handler.isEncrypted || handler.hasInputEnded ? .all : .output, promise: nil)
        }
    }

    // MARK: Deadlines

    private func enter(_ phase: ConnectionTimer.Phase, _ context: ChannelHandlerContext) {
        if timer.enter(phase) { reportActivity(context) }
    }

    private func reportActivity(_ context: ChannelHandlerContext) {
        limit.set(timer.activity, of: context.channel, since: context.eventLoop.now)
    }

    /// Once a second: ends the connection if a deadline has passed.
    private func tick(_ context: ChannelHandlerContext) {
        let expiry = timer.tick()
        if timer.isSlowReader { reportActivity(context) }
        guard let expiry else { return }
        reportIncompleteBody(context)
        if expiry == .request, current?.isAnswered != true {
            finish(context, with: WireFault.lateRefusal(at: Self.now))
        } else {
            context.close(promise: nil)
        }
    }

    /// Seconds since the Unix epoch, for the Date field.
    private static var now: Int64 { Int64(Date().timeIntervalSince1970) }
}
