import HTTPWire
import ProofSupport
import Testing
import WireDifferential
import WireFuzz

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
    func `bytes that come one by one mean what they mean together`(sample: String) {
        let bytes = Array(sample.utf8)
        #expect(readAll(bytes, arrivals: Array(1...bytes.count)) == readAll(bytes, arrivals: [bytes.count]))
    }

    @Test(arguments: samples.prefix(7))
    func `a cut anywhere changes nothing`(sample: String) {
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

    @Test func `a line that grows byte by byte is not read anew each time`() {
        // Quadratic work would be 128 MiB of it here, and 4,000 requests would not end.
        let bytes = Array(request("X: " + String(repeating: "x", count: 16_000), line: "GET / HTTP/1.1").utf8)
        for _ in 0..<20 {
            let (requests, _) = readAll(bytes, arrivals: Array(1...bytes.count))
            #expect(requests.count == 1)
        }
    }

    // A property that does not hold ends the process, as the fuzzer wants it. So these are processes of their own.

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
