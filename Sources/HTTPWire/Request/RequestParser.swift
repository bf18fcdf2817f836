// A strict HTTP/1.1 request parser (RFC 9112) as a state machine that performs nothing.
//
// The problem: a server behind gateways must frame requests exactly as they do. Every byte sequence that two parsers
// read differently is a way to smuggle a request past an authorization check, so whatever is unusual is refused.
//
// The idea: the connection's buffer is the only copy of the bytes, and the answer is offsets into it. A whole request
// that lies there is read in one pass, with no search for the end of the head first. Lines are the unit of judgement:
// a line that has not ended yet is neither good nor bad. So the answer depends on the bytes alone and never on how the
// network cut them, and a resumed parse only has to look for the end of the line it stopped in: linear time even for
// bytes that come one by one.

/// Reads requests from one connection, one after another; pipelined ones too. Allocates nothing, except for chunked
/// bodies, whose storage is kept for the next one.
/// - SeeAlso: RFC 9112
public struct RequestParser: ~Copyable, Sendable {
    /// What the bytes so far amount to.
    public enum Step: Equatable, Sendable {
        /// Call again when more bytes have come, with all that were not consumed.
        case needMore
        /// A request is complete and took this many bytes (1 or more) from the front.
        case request(consumedBytes: Int)
        /// The head is complete and its client waits for `100 Continue` before it sends the body. Said once a request.
        case continueExpected
        /// Not a request. Answer with the fault's status and close; further calls say the same.
        case fault(WireFault)
    }

    /// The request that the last `.request` announced.
    public internal(set) var request = RequestHead()

    enum Phase: UInt8 {
        case start, requestLine, fields, body, chunkSize, chunkData, chunkEnd, trailers, complete, failed
    }

    let limits: WireLimits
    var phase = Phase.start
    /// Where the line or chunk begins that is read now.
    var position = 0
    /// Up to here the current line is known to hold no line end; 0 when nothing is known.
    var scanned = 0
    var owesContinue = false
    var bodyMax = 0
    /// Bytes still missing of the current chunk.
    var chunkLeft = 0
    var trailerStart = 0
    var trailerCount = 0
    /// Bytes of the body that were handed out piece by piece, and of the message that were consumed with them; 0 where
    /// requests are read whole.
    var handedOut = 0
    var passed = 0
    var lastHead = RememberedHead()
    @usableFromInline var decoded: [UInt8] = []
    var failure = WireFault.badMethod

    /// A parser for one connection.
    public init(limits: WireLimits = WireLimits()) {
        self.limits = limits
    }

    /// Looks at the bytes that have come and were not consumed yet.
    ///
    /// - Parameter bytes: everything since the end of the last request. After `.needMore` and `.continueExpected` the
    ///   next call must pass the same bytes again, with more behind them.
    public mutating func parse(_ bytes: RawSpan) -> Step {
        if phase == .failed { return .fault(failure) }
        if phase == .complete {
            if lastHead.begins(bytes) {
                phase = .body
                return parseSizedBody(bytes)
            }
            begin()
        }
        if phase.rawValue <= Phase.fields.rawValue {
            if let step = parseHead(bytes) { return step }
        }
        return phase == .body ? parseSizedBody(bytes) : parseChunks(bytes)
    }

    /// Calls `use` with the body of the request that the last `.request` announced.
    ///
    /// A body that is not chunked is also `bytes.slice(parser.request.bodyRange)`.
    /// - Parameter bytes: the same bytes that ``parse(_:)`` was given.
    @inlinable
    public func withBody<Value: ~Copyable, Failure: Error>(
        in bytes: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        guard request.isChunked else { return try use(bytes.slice(request.bodyRange)) }
        // SAFETY: the elements are plain bytes, all of them initialised.
        return try use(unsafe decoded.span.bytes)
    }

    /// Bytes that hold the body of a chunked request, or are kept for the next one.
    public var decodedCapacity: Int { decoded.capacity }

    /// Gives back the storage of a chunked body. A request that has not come whole cannot be gone on with.
    public mutating func releaseBody() {
        decoded = []
        if isReadingBody { _ = fail(.bodyTooLarge) }
    }

    mutating func begin() {
        if request.isChunked {
            // One large body must not pin its storage to a connection that may live for days.
            decoded.removeAll(keepingCapacity: decoded.capacity <= limits.bodyBytesMax)
        }
        lastHead.forget()
        request.clear()
        phase = .start
        position = 0
        scanned = 0
        handedOut = 0
        passed = 0
        owesContinue = false
    }

    private mutating func parseSizedBody(_ bytes: RawSpan) -> Step {
        let end = request.bodyRange.end
        guard bytes.byteCount >= end else { return wait() }
        phase = .complete
        return .request(consumedBytes: end)
    }

    /// The answer while bytes are missing behind the head.
    mutating func wait() -> Step {
        guard owesContinue else { return .needMore }
        owesContinue = false
        return .continueExpected
    }

    mutating func fail(_ fault: WireFault) -> Step {
        phase = .failed
        failure = fault
        return .fault(fault)
    }
}

/// What one line amounts to.
enum LineOutcome {
    /// Well-formed; the next line begins at this offset.
    case next(Int)
    /// Its end has not come.
    case partial
    /// Wrong at this offset; counts only if the line's end has come.
    case bad(WireFault, Int)
}

extension RequestParser {
    /// Whether a head is complete and its body is awaited.
    public var isReadingBody: Bool {
        switch phase {
        case .body, .chunkSize, .chunkData, .chunkEnd, .trailers: true
        case .start, .requestLine, .fields, .complete, .failed: false
        }
    }
}
