import HTTPWire
import NIOCore

/// What one connection says and is told: bytes in, answers out, without a channel or a clock.
///
/// One value, so that who touches what is known when this is compiled; see ``RequestScratch``.
struct Conversation: ~Copyable {
    /// What some bytes have come to.
    enum Step {
        /// The rest of a head or a body is missing.
        case needsMore(isBody: Bool)
        /// The client was told to go on with its body.
        case continued
        /// A request was answered; the connection goes on.
        case answered
        /// The answer, or more of it, is to come when there is something to tell.
        case waits(ChangesWait)
        /// The last answer is written.
        case ended
    }

    let router: Router
    var caller: Caller
    /// Answers that have not been sent.
    var out: ByteBuffer
    /// What has come of a request that is not whole, or behind one that waits.
    var pending: ByteBuffer?
    private var parser = RequestParser(limits: Route.limits)
    /// Whether the body that is awaited may be kept: its caller is known, or can only be known by it.
    private var isAdmitted = false
    /// Room for answers that every connection has.
    private static let usualBytes = 4_096

    init(policy: ListenerPolicy, allocator: ByteBufferAllocator) {
        router = Router(policy: policy)
        caller = Caller(policy: policy)
        out = allocator.buffer(capacity: 2_048)
    }

    /// Reads at most one request from the front of `bytes` and answers it.
    mutating func step(_ bytes: inout ByteBuffer, _ loop: LoopState) -> Step {
        switch parser.parse(bytes.readableBytesSpan) {
        case .needMore:
            guard parser.isReadingBody else { return .needsMore(isBody: false) }
            guard admit(bytes.readableBytesSpan, loop) else { return .ended }
            return .needsMore(isBody: true)
        case .continueExpected:
            guard admit(bytes.readableBytesSpan, loop) else { return .ended }
            _ = out.appendAnswer { $0.appendContinue() }
            return .continued
        case .fault(let fault):
            router.refuse(fault, loop, &out)
            return .ended
        case .request(let count):
            isAdmitted = false
            let keepAlive = parser.request.keepAlive && !loop.connections.isDraining
            let wait = Self.answer(
                bytes.readableBytesSpan, parser, router, keepAlive: keepAlive, &caller, loop, &out)
            bytes.moveReaderIndex(forwardBy: count)
            if let wait { return .waits(wait) }
            return keepAlive ? .answered : .ended
        }
    }

    /// Goes on with a request that waits.
    mutating func goOn(_ wait: ChangesWait, _ occasion: ChangesWait.Occasion, _ loop: LoopState) -> Step {
        wait.goOn(occasion, &caller, loop, &loop.scratch, &out)
    }

    /// The request did not arrive in time.
    mutating func refuseLate(_ loop: LoopState) {
        _ = out.appendAnswer { $0.problem(408, "the request did not arrive in time", .last, loop, fields: { _ in }) }
    }

    /// The request is not kept any longer: all connections together hold too much. 503 and not 413: this request is not too
    /// large by itself, and may be sent again in a moment.
    mutating func refuseForRoom(_ loop: LoopState) {
        out.appendRefusal(.unavailable("too many requests are unfinished at once"), .last, loop)
    }

    /// Bytes of buffers beyond what every connection has.
    var heldBytes: Int {
        let room = out.storageCapacity
        return parser.decodedCapacity + (room > Self.usualBytes ? room : 0) + (pending?.storageCapacity ?? 0)
    }

    /// Copies what has come behind what waits: the buffer itself is needed for the next read.
    mutating func keep(_ bytes: inout ByteBuffer) {
        if pending == nil { pending = ByteBufferAllocator().buffer(capacity: bytes.readableBytes) }
        pending?.writeBuffer(&bytes)
    }

    /// Gives back what large requests and answers have left. Nothing is being read or answered.
    mutating func releaseBuffers() {
        parser.releaseBody()
        if out.readableBytes == 0, out.storageCapacity > Self.usualBytes { out = ByteBuffer() }
    }

    /// Looks at a head whose body has not come whole: whether that is worth waiting for. Once for each request.
    /// - Returns: false when the request is refused; the answer is written.
    private mutating func admit(_ bytes: RawSpan, _ loop: LoopState) -> Bool {
        if !isAdmitted { isAdmitted = Self.admit(bytes, parser, router, &caller, loop, &out) }
        return isAdmitted
    }

    // By parts: while one of them is changed, the request that lies in another one is read.

    private static func admit(
        _ bytes: RawSpan, _ parser: borrowing RequestParser, _ router: Router, _ caller: inout Caller,
        _ loop: LoopState, _ out: inout ByteBuffer
    ) -> Bool {
        let context = RequestContext(parser.receivedHead(in: bytes), keepAlive: false, router.policy, loop)
        return router.admit(context, &caller, &loop.scratch, &out)
    }

    private static func answer(
        _ bytes: RawSpan, _ parser: borrowing RequestParser, _ router: Router, keepAlive: Bool,
        _ caller: inout Caller, _ loop: LoopState, _ out: inout ByteBuffer
    ) -> ChangesWait? {
        let context = RequestContext(parser.received(in: bytes), keepAlive: keepAlive, router.policy, loop)
        return router.answer(context, &caller, &loop.scratch, &out)
    }
}
