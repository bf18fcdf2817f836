import NIOCore
import NIOSSL
import NIOTLS

/// Collects what comes and hands it out as answers, on the connection's event loop.
final class AnswerReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    struct NoAnswer: Error {
        let received: String
    }

    private var received: [UInt8] = []
    private var isEnded = false
    private var waiting: (isHead: Bool, promise: EventLoopPromise<Answer?>)?
    private var reading: (mark: [UInt8], promise: EventLoopPromise<String?>)?
    private var ending: EventLoopPromise<[UInt8]>?
    private let secured: EventLoopPromise<Void>

    /// Long enough for a busy machine; reached only when an answer never comes.
    private static let patience = TimeAmount.seconds(45)

    init(secured: EventLoopPromise<Void>) {
        self.secured = secured
    }

    func next(isHead: Bool, on eventLoop: any EventLoop) -> EventLoopFuture<Answer?> {
        let promise = eventLoop.makePromise(of: Answer?.self)
        waiting = (isHead, promise)
        let late = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            promise.fail(NoAnswer(received: String(decoding: self.received, as: UTF8.self)))
        }
        promise.futureResult.whenComplete { _ in late.cancel() }
        serve()
        return promise.futureResult
    }

    /// What comes before a mark, which is handed out as well; nil when the other side has closed before that.
    func text(until mark: String, on eventLoop: any EventLoop) -> EventLoopFuture<String?> {
        let promise = eventLoop.makePromise(of: String?.self)
        reading = (Array(mark.utf8), promise)
        let late = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            promise.fail(NoAnswer(received: String(decoding: self.received, as: UTF8.self)))
        }
        promise.futureResult.whenComplete { _ in late.cancel() }
        serve()
        return promise.futureResult
    }

    /// All bytes that were not handed out, once the other side has closed.
    func rest(on eventLoop: any EventLoop) -> EventLoopFuture<[UInt8]> {
        let promise = eventLoop.makePromise(of: [UInt8].self)
        ending = promise
        let late = eventLoop.assumeIsolated().scheduleTask(in: Self.patience) {
            promise.fail(NoAnswer(received: "not closed: " + String(decoding: self.received, as: UTF8.self)))
        }
        promise.futureResult.whenComplete { _ in late.cancel() }
        serve()
        return promise.futureResult
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.append(contentsOf: unwrapInboundIn(data).readableBytesView)
        serve()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event { secured.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        secured.fail(error)
        // A peer that resets after it has closed its side is as closed as any.
        context.close(promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        isEnded = true
        secured.fail(ChannelError.eof)
        serve()
    }

    private func serve() {
        if let (isHead, promise) = waiting {
            do {
                if let answer = try Answer(reading: received, isHead: isHead) {
                    received.removeFirst(answer.bytes.count)
                    waiting = nil
                    promise.succeed(answer)
                } else if isEnded {
                    waiting = nil
                    guard received.isEmpty else { throw Answer.Malformed(what: "the answer is cut off") }
                    promise.succeed(nil)
                }
            } catch {
                waiting = nil
                promise.fail(error)
            }
        }
        if let (mark, promise) = reading {
            if let end = received.firstRange(of: mark)?.upperBound {
                reading = nil
                let text = String(decoding: received[..<(end - mark.count)], as: UTF8.self)
                received.removeFirst(end)
                promise.succeed(text)
            } else if isEnded {
                reading = nil
                promise.succeed(nil)
            }
        }
        if isEnded, let promise = ending {
            ending = nil
            promise.succeed(received)
            received = []
        }
    }
}
