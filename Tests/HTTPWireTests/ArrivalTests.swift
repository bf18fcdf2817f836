import HTTPWire
import ProofSupport
import Testing
import WireProofs

@Suite struct ArrivalTests {
    private static let samples = [
        request("Content-Length: 5", body: "hello"),
        "\r\n" + request(line: "GET /a?b HTTP/1.1"),
        request("Transfer-Encoding: chunked", body: "5;a=\"b\"\r\nhello\r\n0\r\nT: x\r\n\r\n"),
        request("Content-Length: 5", body: "hello") + request(line: "GET / HTTP/1.0") + request("A : b"),
        request("A: x\u{1}y"), request("A: x\ny"), "GET / HTTP/2.0\r\n\r\n",
        "GET /" + String(repeating: "x", count: 17_000),
        request("Transfer-Encoding: chunked", body: "5\r\nhello0"), request("Content-Length: 5,5"),
    ]

    @Test(arguments: samples)
    func `bytes that arrive one by one have the same result`(sample: String) {
        let bytes = Array(sample.utf8)
        #expect(readAll(bytes, arrivals: Array(1...bytes.count)) == readAll(bytes, arrivals: [bytes.count]))
    }

    @Test(arguments: samples.prefix(7))
    func `a split anywhere changes nothing`(sample: String) {
        let bytes = Array(sample.utf8)
        let whole = readAll(bytes, arrivals: [bytes.count])
        for cut in 0...bytes.count { #expect(readAll(bytes, arrivals: [cut, bytes.count]) == whole) }
    }

    @Test func `pipelined requests are read one after another`() {
        let texts = [
            request("Content-Length: 2", body: "ab", line: "POST /1 HTTP/1.1"), request(line: "GET /2 HTTP/1.1"),
            request("Transfer-Encoding: chunked", body: "1\r\nx\r\n0\r\n\r\n", line: "PUT /3 HTTP/1.1"),
            request("Connection: close", line: "HEAD /4?q HTTP/1.1"),
        ]
        let bytes = Array(texts.joined().utf8)
        let (requests, last) = readAll(bytes, arrivals: [bytes.count])
        #expect(requests.map(\.path) == ["/1", "/2", "/3", "/4"])
        #expect(requests.map(\.body) == ["ab", "", "x", ""])
        #expect(requests.map(\.consumed) == texts.map(\.utf8.count))
        #expect(requests.map(\.keepAlive) == [true, true, true, false])
        #expect(last == .needMore)
    }

    @Test func `a line that grows byte by byte is not parsed again each time`() {
        // Quadratic time would be 128 MiB of it here, and 4,000 requests would not finish.
        let bytes = Array(request("X: " + String(repeating: "x", count: 16_000), line: "GET / HTTP/1.1").utf8)
        for _ in 0..<20 {
            let (requests, _) = readAll(bytes, arrivals: Array(1...bytes.count))
            #expect(requests.count == 1)
        }
    }

    // A violated property ends the process, as the fuzzer needs it. So these are separate processes.

    @Test func `the properties that are fuzzed hold for generated requests`() async {
        await #expect(processExitsWith: .success) {
            var generator = RequestGenerator(seed: 1)
            for _ in 0..<500 { checkAll(Array(generator.next().prefix(400))) }
        }
    }

    @Test func `the properties that are fuzzed hold for forms, queries and credentials`() async {
        await #expect(processExitsWith: .success) {
            var random = Randomness(seed: 2)
            let pieces = [
                "token", "=", "&", "%", "%2", "%41", "api_key", "api%5Fkey", "?", "#", "+", "Bearer ", "ApiKey", " ",
                "YTpi", "\u{E4}", "\"", "\\", "\u{1}", "scope", "client_id", "client_secret", "client_ip",
                "token_type_hint", "x", "/", ",",
            ]
            for _ in 0..<2_000 {
                let words = (0..<Int.random(in: 0..<12, using: &random)).compactMap { _ in
                    pieces.randomElement(using: &random)
                }
                checkAll(Array(words.joined().utf8))
            }
        }
    }

    private func readAll(_ bytes: [UInt8], arrivals: [Int]) -> (requests: [Parsed], last: RequestParser.Step) {
        var parser = RequestParser()
        var requests: [Parsed] = []
        var consumed = 0
        var last = RequestParser.Step.needMore
        for arrived in arrivals {
            while true {
                let rest = bytes[min(consumed, arrived)..<arrived]
                last = parser.parse(rest.span.bytes)
                guard case .request(let count) = last else { break }
                requests.append(describe(parser, rest.span.bytes, count))
                consumed += count
            }
        }
        return (requests, last)
    }
}

/// The result of a request that is parsed piece by piece.
private struct Pieces: Equatable {
    var head = ""
    var body: [UInt8] = []
    var isComplete = false
    var fault: WireFault?
    var consumed = 0
}

/// Feeds a parser with ranges of the bytes, discarding what it has consumed.
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

@Suite struct `A request that is parsed piece by piece` {
    private static let chunked =
        request("Transfer-Encoding: chunked") + "5;a=b;c=\"d;e\"\r\nhello\r\n00\r\n\r\n"
    private static let long =
        request("Transfer-Encoding: chunked") + "1\r\nx\r\n1f\r\n\(String(repeating: "y", count: 31))\r\n0;z\r\n"
        + "X-Sum: 1\r\nX-Other: 2\r\n\r\n"

    @Test(arguments: [
        chunked, long, request(), request("Content-Length: 7", body: "1234567"), request("Content-Length: 0"),
        request(line: "GET /x HTTP/1.1"),
    ])
    func `has the same result as one that is parsed whole, however it is split`(whole: String) throws {
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
    func `has the faults of one that is parsed whole`(body: String, fault want: WireFault) {
        let bytes = Array((request("Transfer-Encoding: chunked") + body).utf8)
        #expect(fault(String(decoding: bytes, as: UTF8.self)) == want)
        for stretch in [1, 7, bytes.count] {
            let pieces = read(bytes, in: Array(repeating: stretch, count: bytes.count / stretch + 1))
            #expect(pieces.fault == want && !pieces.isComplete, "\(stretch)")
        }
    }

    @Test func `has one body limit over all chunks`() {
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

    @Test func `needs 100 Continue only until its body arrives`() {
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
