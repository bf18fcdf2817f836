import HTTPWire
import Testing

/// What a request came to, read head first.
private struct Pieces: Equatable {
    var head = ""
    var body: [UInt8] = []
    var isComplete = false
    var fault: WireFault?
    var consumed = 0
}

/// Feeds a parser with stretches of the bytes, dropping what it has consumed.
private func read(_ bytes: [UInt8], in stretches: [Int], limits: WireLimits = WireLimits()) -> Pieces {
    var parser = RequestParser(limits: limits)
    var pieces = Pieces()
    var buffer: [UInt8] = []
    var offset = 0
    for stretch in stretches {
        buffer += bytes[offset..<min(offset + stretch, bytes.count)]
        offset = min(offset + stretch, bytes.count)
        reading: while !pieces.isComplete, pieces.fault == nil {
            var consumed = 0
            switch parser.parsePiece(buffer.span.bytes) {
            case .needMore: break reading
            case .head(let count, _):
                let span = buffer.span.bytes
                pieces.head = "\(parser.request.method) " + text(span.slice(parser.request.path))
                consumed = count
            case .body(let range, let count):
                pieces.body += copy(buffer.span.bytes.slice(range))
                consumed = count
            case .end(let count):
                pieces.isComplete = true
                consumed = count
            case .fault(let fault): pieces.fault = fault
            }
            buffer.removeFirst(consumed)
            pieces.consumed += consumed
        }
    }
    return pieces
}

@Suite struct `A request that is read head first` {
    private static let chunked =
        request("Transfer-Encoding: chunked") + "5;a=b;c=\"d;e\"\r\nhello\r\n00\r\n\r\n"
    private static let long =
        request("Transfer-Encoding: chunked") + "1\r\nx\r\n1f\r\n\(String(repeating: "y", count: 31))\r\n0;z\r\n"
        + "X-Sum: 1\r\nX-Other: 2\r\n\r\n"

    @Test(arguments: [
        chunked, long, request(), request("Content-Length: 7", body: "1234567"), request("Content-Length: 0"),
        request(line: "GET /x HTTP/1.1"),
    ])
    func `comes to the same as one that is read whole, however it is cut`(whole: String) throws {
        let parsed = try #require(try parse(whole))
        let bytes = Array((whole + "GET /next HTTP/1.1\r\n").utf8)
        let want = Pieces(
            head: "\(parsed.method) \(parsed.path)", body: Array(parsed.body.utf8), isComplete: true,
            consumed: parsed.consumed)
        #expect(read(bytes, in: [bytes.count]) == want)
        for stretch in [1, 2, 3, 5, 17, 64] {
            #expect(read(bytes, in: Array(repeating: stretch, count: bytes.count / stretch + 1)) == want, "\(stretch)")
        }
        for _ in 0..<100 {
            let cut = Int.random(in: 1..<bytes.count)
            #expect(read(bytes, in: [cut, bytes.count - cut]) == want, "cut at \(cut)")
        }
    }

    @Test(arguments: [
        ("z\r\n", WireFault.badChunk), ("5\r\nhelloX", .badChunk), ("5 \r\n", .badChunk), ("5\n", .bareLineFeed),
        ("fffff\r\n", .bodyTooLarge), ("0\r\nContent-Length: 1\r\n\r\n", .forbiddenTrailer),
        (
            "1\r\nx\r\n" + String(repeating: "1;\(String(repeating: "a", count: 900))\r\nx\r\n", count: 90),
            .bodyTooLarge
        ),
    ])
    func `has the faults of one that is read whole`(body: String, fault want: WireFault) {
        let bytes = Array((request("Transfer-Encoding: chunked") + body).utf8)
        #expect(fault(String(decoding: bytes, as: UTF8.self)) == want)
        for stretch in [1, 7, bytes.count] {
            let pieces = read(bytes, in: Array(repeating: stretch, count: bytes.count / stretch + 1))
            #expect(pieces.fault == want && !pieces.isComplete, "\(stretch)")
        }
    }

    @Test func `is held to the body limit over all of its chunks`() {
        var limits = WireLimits()
        limits.bodyBytesMax = 10
        let head = request("Transfer-Encoding: chunked")
        let fits = Array((head + "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n").utf8)
        #expect(read(fits, in: [fits.count], limits: limits).isComplete)
        let more = Array((head + "5\r\nhello\r\n6\r\nworlds\r\n0\r\n\r\n").utf8)
        for stretch in [1, more.count] {
            let pieces = read(more, in: Array(repeating: stretch, count: more.count / stretch + 1), limits: limits)
            #expect(pieces.fault == .bodyTooLarge)
        }
    }

    @Test func `asks for its body only while none of it has come`() {
        for (body, wants) in [("", true), ("x", false)] {
            var parser = RequestParser()
            let bytes = Array(request("Content-Length: 1", "Expect: 100-continue", body: body).utf8)
            #expect(
                parser.parsePiece(bytes.span.bytes)
                    == .head(consumedBytes: bytes.count - body.utf8.count, expectsContinue: wants))
            let isReadingBody = parser.isReadingBody
            #expect(isReadingBody)
        }
    }
}
