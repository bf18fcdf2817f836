import CredentialModel
import Foundation
import HTTPTypes
import HTTPWire
import NIOCore
import NIOHTTPTypes

/// One connection of the control plane: bytes to request parts, response parts to bytes, and the clock.
///
/// What the bytes are is decided by ``RequestParser``, how an answer is framed by ``AnswerFraming``. One request at a time: what
/// a client sends behind one that is being answered waits here, so that the state below belongs to exactly one. Every deadline
/// is counted in seconds of its own timer and is absolute.
final class RequestConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = ByteBuffer

    /// The body did not come to its end: what has come must not be taken for all of it.
    struct CutOff: Error {}

    /// The routes want the body of the request that they have been given. Only they know whether its head is admitted,
    /// and so whether a client that waits for `100 Continue` gets it (RFC 9110 §10.1.1).
    struct BodyWanted: Sendable {}

    private enum Phase {
        /// Nothing has come yet, the TLS handshake included.
        case fresh
        /// Between requests.
        case idle
        case head
        case body
        /// The whole request is with the routes.
        case answering
        /// The last answer is on its way.
        case finishing
        /// It has been taken; the client is to close its side.
        case closing
    }

    /// The request that is being read or answered.
    private struct Asked {
        var framing: AnswerFraming
        /// Whether the connection goes on behind the answer.
        var keepAlive: Bool
        var hasEnded = false
        var isAnswered = false
        /// The client waits for `100 Continue`, and nothing of its body has come.
        var owesContinue = false
        /// Answered to the end before it has come to its own: what still comes of it is read and dropped, within the body's
        /// deadline, and then the connection goes on. A client that sends on while it is answered would see a close as a failure.
        var isDropped = false
    }

    private let isEncrypted: Bool
    private let share: ConnectionShare
    private var parser = RequestParser(limits: ControlPlaneLimits.wire)
    private var pending = ByteBuffer()
    private var asked: Asked?
    private var phase = Phase.fresh
    private var phaseBegan: Int64 = 0
    private var ticks: Int64 = 0
    private var clock: RepeatedTask?
    /// Writes that the client has not taken, and since when none was.
    private var untaken = 0
    private var untakenSince: Int64 = 0
    /// Since when there have been any, however slowly the client takes them.
    private var unreadSince: Int64 = 0
    /// The client sends no more.
    private var hasInputEnded = false
    /// The service is shutting down: the next answer is the last.
    private var isQuiescing = false
    /// Somebody wanted to read while too much waits.
    private var owesRead = false
    /// Parts were handed to the routes since they were last told that a burst is over.
    private var hasRead = false

    init(isEncrypted: Bool, share: ConnectionShare) {
        self.isEncrypted = isEncrypted
        self.share = share
    }

    // MARK: The channel

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
        cutOff(context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A failed handshake or a reset by the peer: nothing to answer, and the error's text may hold what was sent.
        cutOff(context)
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as ChannelEvent where event == .inputClosed: inputClosed(context)
        case is ChannelShouldQuiesceEvent:
            isQuiescing = true
            if phase == .idle || phase == .fresh { finish(context) }
        case is ConnectionShare.Eviction:
            cutOff(context)
            context.close(promise: nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnding else { return }
        var bytes = unwrapInboundIn(data)
        pending.discardReadBytes()
        if pending.readableBytes > 0 { pending.writeBuffer(&bytes) } else { pending = bytes }
        process(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        hasRead = false
        context.fireChannelReadComplete()
    }

    /// Reads no more than a little behind a request that is being answered.
    func read(context: ChannelHandlerContext) {
        if asked?.hasEnded == true, pending.readableBytes > ControlPlaneLimits.behindBytesMax {
            owesRead = true
        } else {
            context.read()
        }
    }

    /// From the routes' side: they are done with the connection, or were cancelled.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode != .input else { return context.close(mode: mode, promise: promise) }
        context.channel.closeFuture.cascade(to: promise)
        if !isEnding { finish(context) }
    }

    func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard event is BodyWanted else { return context.triggerUserOutboundEvent(event, promise: promise) }
        if !isEnding, asked?.owesContinue == true, asked?.isAnswered == false {
            asked?.owesContinue = false
            send(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"), context)
        }
        promise?.succeed()
    }

    // MARK: Requests

    private func process(_ context: ChannelHandlerContext) {
        while !isEnding, asked?.hasEnded != true {
            switch parser.parsePiece(pending.readableBytesSpan) {
            case .needMore:
                if asked != nil { enter(.body, context) } else if pending.readableBytes > 0 { enter(.head, context) }
                // Half a request is owed nothing.
                if hasInputEnded { inputClosed(context) }
                return deliver(context)
            case .head(let count, let expectsContinue):
                let head = requestHead()
                pending.moveReaderIndex(forwardBy: count)
                begin(head, context, expectsContinue: expectsContinue)
            case .body(let range, let count):
                let start = pending.readerIndex + range.bounds.lowerBound
                let piece = pending.getSlice(at: start, length: range.count)
                pending.moveReaderIndex(forwardBy: count)
                asked?.owesContinue = false
                if let piece, asked?.isDropped != true { hand(.body(piece), context) }
            case .end(let count):
                pending.moveReaderIndex(forwardBy: count)
                if let dropped = asked, dropped.isDropped {
                    guard dropped.keepAlive, !isQuiescing else { return finish(context) }
                    asked = nil
                    enter(.idle, context)
                    hand(.end(nil), context)
                    continue
                }
                asked?.hasEnded = true
                enter(.answering, context)
                hand(.end(nil), context)
            case .fault(let fault):
                // In the middle of a body the routes may have answered already.
                cutOff(context)
                finish(context, with: asked?.isAnswered == true ? [] : fault.refusal(at: Self.now))
            }
        }
        deliver(context)
    }

    private func begin(_ head: HTTPRequest?, _ context: ChannelHandlerContext, expectsContinue: Bool) {
        let framing = AnswerFraming(
            isHead: parser.request.method == .head, minorVersion: parser.request.minorVersion)
        asked = Asked(framing: framing, keepAlive: parser.request.keepAlive)
        enter(.body, context)
        guard let head else {
            // What the parser lets through as a method is one, and so this is not reached.
            return finish(context, with: WireFault.badMethod.refusal(at: Self.now))
        }
        asked?.owesContinue = expectsContinue
        hand(.head(head), context)
    }

    /// The head in the words of the routes, with `Expect`, which they act on. What concerns the connection alone stays
    /// here: whoever acted on `Upgrade` or `Connection` once more would end it, or leave it deaf.
    private func requestHead() -> HTTPRequest? {
        guard let method = HTTPRequest.Method(text(parser.request.methodName)) else { return nil }
        var target = text(parser.request.path)
        if let query = parser.request.query { target += "?" + text(query) }
        var head = HTTPRequest(method: method, scheme: nil, authority: nil, path: target)
        for index in 0..<parser.request.fieldCount {
            switch parser.request.field(at: index) {
            case .host: head.authority = text(parser.request.value(at: index))
            case .connection, .upgrade, .transferEncoding: continue
            default:
                guard let name = HTTPField.Name(text(parser.request.name(at: index))) else { continue }
                let value = parser.request.value(at: index)
                let start = pending.readerIndex + value.bounds.lowerBound
                head.headerFields.append(
                    HTTPField(name: name, value: pending.getBytes(at: start, length: value.count) ?? []))
            }
        }
        return head
    }

    private func text(_ range: WireRange) -> String {
        pending.getString(at: pending.readerIndex + range.bounds.lowerBound, length: range.count) ?? ""
    }

    private func hand(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        hasRead = true
        context.fireChannelRead(wrapInboundOut(part))
    }

    /// Parts lie in the routes' queue until a burst is over; outside of one we say so ourselves.
    private func deliver(_ context: ChannelHandlerContext) {
        guard hasRead else { return }
        hasRead = false
        context.fireChannelReadComplete()
    }

    /// Tells the routes that the rest of a body will not come, so that they do not take what has come for all of it.
    private func cutOff(_ context: ChannelHandlerContext) {
        guard let asked, !asked.hasEnded, !asked.isAnswered, !isEnding else { return }
        context.fireErrorCaught(CutOff())
    }

    /// The client sends no more. It gets what it is owed, and the connection ends.
    private func inputClosed(_ context: ChannelHandlerContext) {
        hasInputEnded = true
        switch phase {
        case .answering, .finishing: return
        case .closing: context.close(promise: nil)
        case .fresh, .idle, .head, .body:
            cutOff(context)
            finish(context)
        }
    }

    // MARK: Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isEnding, var asked, !asked.isDropped else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        var out = ByteBuffer()
        switch unwrapOutboundIn(data) {
        case .head(let head):
            // A client that was not told to go on may send its body all the same, or the next request: nobody can tell
            // the two apart, so that the connection ends.
            var keepAlive =
                asked.keepAlive && !isQuiescing && !asked.owesContinue
                && head.headerFields[.connection]?.lowercased() != "close"
            asked.framing.append(head, keepAlive: &keepAlive, to: &out)
            asked.keepAlive = keepAlive
            asked.isAnswered = head.status.kind != .informational
            self.asked = asked
            send(out, context, promise, flushes: false)
        case .body(let piece):
            asked.framing.append(piece, to: &out)
            send(out, context, promise, flushes: false)
        case .end:
            asked.framing.appendEnd(to: &out)
            self.asked = nil
            if !asked.hasEnded, !asked.owesContinue {
                asked.isDropped = true
                self.asked = asked
                send(out, context, promise, flushes: true)
            } else if asked.keepAlive {
                enter(.idle, context)
                send(out, context, promise, flushes: true)
                goOn(context)
            } else {
                send(out, context, promise, flushes: false)
                finish(context)
            }
        }
    }

    /// Turns to what the client has sent meanwhile. Not at once: the routes are still writing.
    private func goOn(_ context: ChannelHandlerContext) {
        guard pending.readableBytes > 0 || hasInputEnded || owesRead else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = bound.value
            handler.process(context)
            if handler.owesRead, !handler.isEnding {
                handler.owesRead = false
                handler.read(context: context)
            }
        }
    }

    /// Writes, and keeps count of what the client has not taken.
    private func send(
        _ bytes: ByteBuffer, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>? = nil,
        flushes: Bool = true
    ) {
        let written = promise ?? context.eventLoop.makePromise()
        if untaken == 0 { (untakenSince, unreadSince) = (ticks, ticks) }
        untaken += 1
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.untaken -= 1
            handler.untakenSince = handler.ticks
            if handler.untaken == 0 { handler.tell(context) }
        }
        context.write(wrapOutboundOut(bytes), promise: written)
        if flushes { context.flush() }
    }

    /// Sends what is left and closes: first the sending side, so that an answer is not lost to a reset while the client
    /// still sends; then, when the client has closed too or after a moment, all.
    private func finish(_ context: ChannelHandlerContext, with last: [UInt8] = []) {
        enter(.finishing, context)
        pending = ByteBuffer()
        if owesRead {
            owesRead = false
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

    // MARK: The clock

    private var isEnding: Bool { phase == .finishing || phase == .closing }

    private func enter(_ new: Phase, _ context: ChannelHandlerContext) {
        guard new != phase else { return }
        phase = new
        phaseBegan = ticks
        tell(context)
    }

    /// Tells the listener's share what this connection is at.
    private func tell(_ context: ChannelHandlerContext) {
        let standing: ConnectionShare.Standing =
            switch phase {
            case .fresh, .head, .closing: .unfinishedHead
            case .idle: .idle
            case .body: .unfinishedBody
            case .answering, .finishing: isUnread ? .unread : .answering
            }
        share.set(standing, of: context.channel, since: context.eventLoop.now)
    }

    /// The client is too slow to take what it was sent: it keeps no place from others.
    private var isUnread: Bool { untaken > 0 && ticks - unreadSince > ControlPlaneLimits.unreadSeconds }

    /// Once a second: ends a connection whose deadline has passed.
    private func tick(_ context: ChannelHandlerContext) {
        ticks += 1
        if isUnread { tell(context) }
        if untaken > 0, ticks - untakenSince > ControlPlaneLimits.writeSeconds {
            cutOff(context)
            return context.close(promise: nil)
        }
        let limit: Int64
        switch phase {
        case .fresh: limit = ControlPlaneLimits.freshSeconds
        case .idle: limit = ControlPlaneLimits.idleSeconds
        case .head: limit = ControlPlaneLimits.headSeconds
        case .body: limit = ControlPlaneLimits.bodySeconds
        case .answering: return
        case .finishing: limit = ControlPlaneLimits.writeSeconds
        case .closing: limit = ControlPlaneLimits.lingerSeconds
        }
        guard ticks - phaseBegan > limit else { return }
        if phase == .head || phase == .body, asked?.isAnswered != true {
            cutOff(context)
            finish(context, with: WireFault.lateRefusal(at: Self.now))
        } else {
            context.close(promise: nil)
        }
    }

    private static var now: Int64 { Int64(Date().timeIntervalSince1970) }
}
