import HTTPWire
import NIOCore

/// The protocol of one connection: bytes in, responses out, without a channel or a clock.
///
/// One value, so that exclusive access is checked at compile time; see ``RequestScratch``.
struct Conversation: ~Copyable {
    /// The result of one step.
    enum Step {
        /// A head or a body is incomplete.
        case needsMore(isBody: Bool)
        /// `100 Continue` was written.
        case continued
        /// A request was answered; the connection stays open.
        case answered
        /// The response, or more of it, follows when there is a change.
        case waits(ChangesWait)
        /// It is answered when this node knows whether it has heard of everything; its bytes are not consumed.
        case asks
        /// The last response was written.
        case ended
    }

    let router: Router
    var caller: Caller
    /// Responses that have not been sent.
    var out: ByteBuffer
    /// Bytes of an incomplete request, or after a waiting request.
    var pending: ByteBuffer?
    private var parser = RequestParser(limits: Route.limits)
    /// Whether the body may be buffered: the caller is known, or can only be identified by the body.
    private var isAdmitted = false
    /// `100 Continue` is due when the caller is admitted.
    private var owesContinue = false
    /// What this node knows of other nodes, for the request that is answered next.
    var hearing = FleetQuestions.Hearing.notAsked
    /// Capacity for responses that every connection keeps.
    private static let usualBytes = 4_096

    init(listener: ListenerConfiguration, allocator: ByteBufferAllocator) {
        router = Router(listener: listener)
        caller = Caller(listener: listener)
        out = allocator.buffer(capacity: 2_048)
    }

    /// Parses at most one request from the front of `bytes` and answers it.
    mutating func step(_ bytes: inout ByteBuffer, _ loop: LoopState) -> Step {
        switch parser.parse(bytes.readableBytesSpan) {
        case .needMore:
            guard parser.isReadingBody else { return .needsMore(isBody: false) }
            return admit(bytes.readableBytesSpan, loop) ?? .needsMore(isBody: true)
        case .continueExpected:
            owesContinue = true
            return admit(bytes.readableBytesSpan, loop) ?? .continued
        case .fault(let fault):
            router.refuse(fault, loop, &out)
            router.recordRefusal(fault.status, caller, loop)
            return .ended
        case .request(let count):
            (isAdmitted, owesContinue) = (false, false)
            let written = out.writerIndex
            loop.questions?.begin(hearing)
            let keepAlive = parser.request.keepAlive && !loop.connections.isDraining
            let wait = Self.answerRequest(
                bytes.readableBytesSpan, parser, router, keepAlive: keepAlive, &caller, loop, &out)
            if loop.questions?.mustAsk == true {
                out.moveWriterIndex(to: written)
                return .asks
            }
            hearing = .notAsked
            bytes.moveReaderIndex(forwardBy: count)
            if let wait { return .waits(wait) }
            return keepAlive ? .answered : .ended
        }
    }

    /// Checks whether a waiting request can be answered.
    mutating func resume(_ wait: ChangesWait, _ occasion: ChangesWait.Occasion, _ loop: LoopState) -> Step {
        wait.resume(occasion, &caller, loop, &loop.scratch, &out)
    }

    /// Refuses a request that did not arrive in time.
    mutating func refuseLate(_ loop: LoopState) {
        _ = out.appendAnswer { $0.problem(408, WireFault.lateReason, .last, loop, fields: { _ in }) }
        router.recordRefusal(408, caller, loop)
    }

    /// Refuses an incomplete request because the memory budget is exceeded. 503 and not 413: the request itself is not
    /// too large, and can be retried in a moment.
    mutating func refuseForRoom(_ loop: LoopState) {
        out.appendRefusal(.unavailable("too many requests are unfinished at once"), .last, loop)
        router.recordRefusal(503, caller, loop)
    }

    /// Bytes of buffers beyond what every connection has.
    var heldBytes: Int {
        let room = out.storageCapacity
        return parser.decodedCapacity + (room > Self.usualBytes ? room : 0) + (pending?.storageCapacity ?? 0)
    }

    /// Appends a copy: the buffer itself is reused for the next read.
    mutating func keep(_ bytes: inout ByteBuffer) {
        if pending == nil { pending = ByteBufferAllocator().buffer(capacity: bytes.readableBytes) }
        pending?.writeBuffer(&bytes)
    }

    /// Frees the memory of large requests and responses. Called when nothing is being read or answered.
    mutating func releaseBuffers() {
        parser.releaseBody()
        if out.readableBytes == 0, out.storageCapacity > Self.usualBytes { out = ByteBuffer() }
    }

    /// Decides from the head whether the body may be buffered. Once for each request.
    /// - Returns: how the request ends or waits if it is not admitted; `continued` if the client has been told to go on.
    private mutating func admit(_ bytes: RawSpan, _ loop: LoopState) -> Step? {
        if !isAdmitted {
            let written = out.writerIndex
            loop.questions?.begin(hearing)
            isAdmitted = Self.admit(bytes, parser, router, &caller, loop, &out)
            if loop.questions?.mustAsk == true {
                out.moveWriterIndex(to: written)
                isAdmitted = false
                return .asks
            }
        }
        guard isAdmitted else { return .ended }
        guard owesContinue else { return nil }
        owesContinue = false
        _ = out.appendAnswer { $0.appendContinue() }
        return .continued
    }

    // With separate parameters: one part is modified while another one holds the request that is read.

    private static func admit(
        _ bytes: RawSpan, _ parser: borrowing RequestParser, _ router: Router, _ caller: inout Caller,
        _ loop: LoopState, _ out: inout ByteBuffer
    ) -> Bool {
        let context = RequestContext(parser.receivedHead(in: bytes), keepAlive: false, router.listener, loop)
        return router.admit(context, &caller, &loop.scratch, &out)
    }

    private static func answerRequest(
        _ bytes: RawSpan, _ parser: borrowing RequestParser, _ router: Router, keepAlive: Bool,
        _ caller: inout Caller, _ loop: LoopState, _ out: inout ByteBuffer
    ) -> ChangesWait? {
        let context = RequestContext(parser.received(in: bytes), keepAlive: keepAlive, router.listener, loop)
        return router.answer(context, &caller, &loop.scratch, &out)
    }
}

extension ByteBuffer {
    /// Capacity for most responses, in bytes.
    private static let usualBytes = 2_048
    /// Capacity for every response on one credential: 32 audiences of 512 bytes, 4 KiB of scopes, a URI of 12 KiB with
    /// each byte percent-encoded, and more.
    private static let singleBytes = 131_072
    /// Capacity for verdicts on a thousand credentials with a few scopes each.
    private static let batchBytes = 1_048_576
    /// Capacity for verdicts on a thousand credentials of maximum size.
    private static let mostBytes = 33_554_432

    /// Appends one response, written by `body`. If it does not fit, `body` is called again with more capacity.
    /// - Returns: false if it exceeds the maximum; then nothing is appended.
    mutating func appendAnswer(_ body: (inout ByteWriter) -> Void) -> Bool {
        attempt(Self.usualBytes, body) || attempt(Self.singleBytes, body) || attempt(Self.batchBytes, body)
            || attempt(Self.mostBytes, body)
    }

    /// Appends one response over HTTP, written by `body`, which may be called more than once. A response that exceeds
    /// the maximum is replaced by a 503.
    mutating func appendAnswer(_ framing: ResponseFraming, _ loop: LoopState, _ body: (inout ByteWriter) -> Void) {
        if !appendAnswer(body) { appendTooLarge(framing, loop) }
    }

    @inline(never)
    mutating func appendTooLarge(_ framing: ResponseFraming, _ loop: LoopState) {
        _ = appendAnswer { $0.problem(503, "the answer is too large", framing, loop, fields: { _ in }) }
    }

    /// Appends a refusal as a problem (RFC 9457).
    mutating func appendRefusal(_ refusal: Refusal, _ framing: ResponseFraming, _ loop: LoopState) {
        _ = appendAnswer { $0.refuse(refusal, framing, loop) }
    }

    /// The status of the response that begins at an index; nil if there is none yet.
    func status(ofResponseAt index: Int) -> UInt16? {
        // Behind `HTTP/1.1 `.
        var status: UInt16 = 0
        for place in index + 9..<index + 12 {
            guard let digit = getInteger(at: place, as: UInt8.self) else { return nil }
            status = status &* 10 &+ UInt16(digit &- UInt8(ascii: "0"))
        }
        return status
    }

    /// Removes sent bytes. Memory of large responses is freed: connections may live for days.
    mutating func clearSent() {
        if capacity > Self.batchBytes { self = ByteBuffer() } else { clear() }
    }

    private mutating func attempt(_ room: Int, _ body: (inout ByteWriter) -> Void) -> Bool {
        var fits = false
        // SAFETY: the memory is the writable part of this buffer, which nothing else uses while the closure runs; the
        // writer stays inside the closure and reports how many bytes it has initialised.
        unsafe writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            // SAFETY: as above.
            var writer = unsafe ByteWriter(memory)
            body(&writer)
            fits = !writer.overflowed
            return fits ? writer.written : 0
        }
        return fits
    }
}
