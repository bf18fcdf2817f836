// Requests read head first, for a server that decides by the head whether it wants the body.
//
// `RequestParser.parse` answers when a whole request lies in the connection's buffer, which is what the data plane wants: its
// bodies are small. Administration takes bodies of megabytes, from callers whom their head must admit first. Here the same
// state machine hands out the head, then each piece of the body as it comes, then the end, and the caller drops what was
// consumed. Framing is decided by the same code and by the same limits, so nothing that `parse` refuses is taken here.

extension RequestParser {
    /// What the bytes so far amount to where a request is read piece by piece.
    public enum Piece: Equatable, Sendable {
        /// Call again when more bytes have come, with all that were not consumed.
        case needMore
        /// A head took this many bytes from the front; ``RequestParser/request`` describes it by offsets into them.
        /// - Parameter expectsContinue: the client waits for `100 Continue` before it sends the body.
        case head(consumedBytes: Int, expectsContinue: Bool)
        /// Some of the body lies at `range`, decoded already; it took `consumedBytes` from the front.
        case body(WireRange, consumedBytes: Int)
        /// The request is complete and took this many bytes (0 or more) from the front.
        case end(consumedBytes: Int)
        /// Not a request. Answer with the fault's status and close; further calls say the same.
        case fault(WireFault)
    }

    /// Looks at the bytes that have come and were not consumed yet. A parser is used either by this or by ``parse(_:)``.
    ///
    /// Call it again after each piece but `.needMore`, also with no bytes: a request without a body ends without any.
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

    /// The next call sees only what lies behind the first `count` bytes.
    private mutating func pass(_ count: Int) {
        passed &+= count
        position = 0
        scanned = 0
    }
}
