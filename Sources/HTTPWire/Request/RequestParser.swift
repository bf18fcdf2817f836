internal import CMachine

// A strict HTTP/1.1 request parser (RFC 9112) as a state machine without input and output.
//
// The problem: a server behind gateways must frame requests exactly as they do. Any bytes that two parsers read
// differently can smuggle a request past an authorization check, so everything unusual is refused.
//
// The idea: the connection's buffer is the only copy of the bytes, and the result consists of offsets into it. A
// complete request is read in one pass, without a search for the end of its head. A line is judged only when it is
// complete. So the result depends on the bytes alone and never on how the network split them, and a resumed parse only
// has to find the end of the line at which it stopped: linear time even if bytes arrive one by one.

/// Reads requests from one connection, one after another, including pipelined ones. Allocates nothing except for
/// chunked bodies, whose storage is reused.
/// - SeeAlso: RFC 9112
public struct RequestParser: ~Copyable, Sendable {
    /// The result for the bytes received so far.
    public enum Step: Equatable, Sendable {
        /// Call again when more bytes have arrived, with all that were not consumed.
        case needMore
        /// A complete request, which takes this many bytes (1 or more) from the front.
        case request(consumedBytes: Int)
        /// The head is complete, and the client waits for `100 Continue` before it sends the body. Returned once for
        /// each request.
        case continueExpected
        /// Not a valid request. Answer with the fault's status and close; further calls return the same fault.
        case fault(WireFault)
    }

    /// The request that the last `.request` reported.
    public internal(set) var request = RequestHead()

    enum Phase: UInt8 {
        case start, requestLine, fields, body, chunkSize, chunkData, chunkEnd, trailers, complete, failed
    }

    let limits: WireLimits
    var phase = Phase.start
    /// Where the current line or chunk begins.
    var position = 0
    /// The current line is known to have no line end before this offset; 0 if nothing is known.
    var scanned = 0
    var owesContinue = false
    var bodyMax = 0
    /// Missing bytes of the current chunk; of the body if it is parsed piece by piece.
    var chunkLeft = 0
    var trailerStart = 0
    var trailerCount = 0
    /// Bytes of the body that were returned piece by piece, and bytes of the message that were consumed with them; 0 if
    /// requests are parsed whole.
    var handedOut = 0
    var passed = 0
    var lastHead = RememberedHead()
    @usableFromInline var decoded: [UInt8] = []
    var failure = WireFault.badMethod

    /// A parser for one connection.
    public init(limits: WireLimits = WireLimits()) {
        self.limits = limits
    }

    /// Parses the bytes that have arrived and were not consumed yet.
    ///
    /// - Parameter bytes: everything since the end of the last request. After `.needMore` and `.continueExpected` the
    ///   next call must pass the same bytes again, followed by more.
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

    /// Calls `use` with the body of the request that the last `.request` reported.
    ///
    /// A body that is not chunked is also `bytes.slice(parser.request.bodyRange)`.
    /// - Parameter bytes: the bytes that ``parse(_:)`` was called with.
    @inlinable
    public func withBody<Value: ~Copyable, Failure: Error>(
        in bytes: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        guard request.isChunked else { return try use(bytes.slice(request.bodyRange)) }
        // SAFETY: the elements are plain bytes, all of them initialised.
        return try use(unsafe decoded.span.bytes)
    }

    /// Bytes of storage for chunked bodies, in use or kept for the next one.
    public var decodedCapacity: Int { decoded.capacity }

    /// Frees the storage of a chunked body. A request whose body is incomplete then fails.
    public mutating func releaseBody() {
        decoded = []
        if isReadingBody { _ = fail(.bodyTooLarge) }
    }

    mutating func begin() {
        if request.isChunked {
            // A connection may live for days: it does not keep the storage of a large body.
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

    /// The result while the body is incomplete.
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

/// The result for one line.
enum LineOutcome {
    /// Well-formed; the next line begins at this offset.
    case next(Int)
    /// Incomplete.
    case partial
    /// Invalid at this offset; counts only if the line is complete.
    case bad(WireFault, Int)
}

extension RequestParser {
    /// Whether the head is complete and the body is not.
    public var isReadingBody: Bool {
        switch phase {
        case .body, .chunkSize, .chunkData, .chunkEnd, .trailers: true
        case .start, .requestLine, .fields, .complete, .failed: false
        }
    }
}

// MARK: Piecewise parsing
//
// `RequestParser.parse` returns complete requests, which suits the data plane: its bodies are small. Administration
// takes bodies of megabytes, and admits the caller by the head first. Here the same state machine returns the head,
// then each part of the body as it arrives, then the end, and the caller discards what was consumed. The same code
// decides framing by the same limits, so nothing that `parse` refuses is accepted here.

extension RequestParser {
    /// The result for the bytes received so far, if a request is parsed piece by piece.
    public enum Piece: Equatable, Sendable {
        /// Call again when more bytes have arrived, with all that were not consumed.
        case needMore
        /// A head, which takes this many bytes from the front; ``RequestParser/request`` describes it by offsets into
        /// them.
        /// - Parameter expectsContinue: the client waits for `100 Continue` before it sends the body.
        case head(consumedBytes: Int, expectsContinue: Bool)
        /// A part of the body at `range`, already decoded; it takes `consumedBytes` from the front.
        case body(WireRange, consumedBytes: Int)
        /// The end of the request, which takes this many bytes (0 or more) from the front.
        case end(consumedBytes: Int)
        /// Not a valid request. Answer with the fault's status and close; further calls return the same fault.
        case fault(WireFault)
    }

    /// Parses the bytes that have arrived and were not consumed yet. Use a parser either with this function or with
    /// ``parse(_:)``.
    ///
    /// Call it again after each piece except `.needMore`, even without bytes: a request without a body ends without
    /// any.
    public mutating func parsePiece(_ bytes: RawSpan) -> Piece {
        switch phase {
        case .failed: return .fault(failure)
        case .body: return sizedPiece(bytes)
        case .chunkSize, .chunkData, .chunkEnd, .trailers: return chunkedPiece(bytes)
        case .complete: begin()
        case .start, .requestLine, .fields: break
        }
        if let step = parseHead(bytes) {
            if case .fault(let fault) = step { return .fault(fault) }
            return .needMore
        }
        let consumed = position
        let expectsContinue = owesContinue && bytes.byteCount == consumed
        owesContinue = false
        chunkLeft = request.bodyRange.count
        pass(consumed)
        return .head(consumedBytes: consumed, expectsContinue: expectsContinue)
    }

    private mutating func sizedPiece(_ bytes: RawSpan) -> Piece {
        guard chunkLeft > 0 else {
            phase = .complete
            return .end(consumedBytes: 0)
        }
        let count = min(bytes.byteCount, chunkLeft)
        guard count > 0 else { return .needMore }
        chunkLeft &-= count
        return .body(WireRange(0, count), consumedBytes: count)
    }

    private mutating func chunkedPiece(_ bytes: RawSpan) -> Piece {
        while true {
            let step: Step?
            switch phase {
            case .chunkSize: step = parseChunkSize(bytes)
            case .chunkData:
                let start = position
                let count = min(bytes.byteCount &- start, chunkLeft)
                guard count > 0 else { return .needMore }
                chunkLeft &-= count
                handedOut &+= count
                if chunkLeft == 0 { phase = .chunkEnd }
                pass(start &+ count)
                return .body(WireRange(start, start &+ count), consumedBytes: start &+ count)
            case .chunkEnd: step = parseChunkEnd(bytes)
            default: step = parseTrailers(bytes)
            }
            switch step {
            case nil: continue
            case .fault(let fault): return .fault(fault)
            case .request(let consumed): return .end(consumedBytes: consumed)
            case .needMore, .continueExpected: return .needMore
            }
        }
    }

    /// The next call starts after the first `count` bytes.
    private mutating func pass(_ count: Int) {
        passed &+= count
        position = 0
        scanned = 0
    }
}

/// The bytes of the last head on a connection.
///
/// A gateway repeats the same head, and only the body changes. The meaning of a head depends on its bytes alone: if
/// these are equal, the parsed result still holds, including the offsets. A head may hold a credential, so it is
/// compared in constant time.
@safe struct RememberedHead: Sendable {
    /// Longer heads are parsed each time.
    private static let bytesMax = 1_024

    private var storage = [UInt8](repeating: 0, count: bytesMax)
    /// 0 when nothing is remembered.
    private var count = 0

    init() {}

    mutating func forget() { count = 0 }

    /// - Parameter count: bytes of the head, with the empty line at its end.
    mutating func remember(_ bytes: RawSpan, count: Int) {
        guard count <= Self.bytesMax, count <= bytes.byteCount else { return forget() }
        self.count = count
        // SAFETY: both sides have `count` bytes, checked above, and are different memory.
        unsafe bytes.withUnsafeBytes { bytes in
            // SAFETY: as above.
            unsafe storage.withUnsafeMutableBytes {
                unsafe $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            }
        }
    }

    /// Whether `bytes` begin with the remembered head.
    func begins(_ bytes: RawSpan) -> Bool {
        guard count > 0, bytes.byteCount >= count,
            // The end of a head is not secret, and lies elsewhere in most other heads.
            bytes.shortWord(count &- 4, count: 4) == literalWord("\r\n\r\n")
        else { return false }
        // SAFETY: both sides have `count` bytes, checked above.
        return unsafe bytes.withUnsafeBytes { bytes in
            // SAFETY: as above.
            unsafe storage.withUnsafeBytes {
                unsafe cs_bytes_differ($0.baseAddress, bytes.baseAddress, UInt64(count)) == 0
            }
        }
    }
}
