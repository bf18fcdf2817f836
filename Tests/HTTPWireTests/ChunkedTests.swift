import HTTPWire
import Testing

@Suite struct ChunkedTests {
    @Test(arguments: [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\n000\r\n\r\n", "0123456789"), ("0a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0000000000000002\r\nhe\r\n0\r\n\r\n", "he"), ("2;a\r\nhe\r\n0;b=c\r\n\r\n", "he"),
        ("2;a=\"b \\\" c\";d\r\nhe\r\n0\r\n\r\n", "he"), ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("2\r\nhe\r\n0\r\nX-Sum: 1\r\nE:\r\n\r\n", "he"),
    ])
    func `chunks are put together, and extensions and trailers dropped`(encoded: String, body: String) throws {
        let text = request("Transfer-Encoding: chunked", body: encoded)
        let parsed = try #require(try parse(text + "GET / HTTP/1.1\r\n"))
        #expect(parsed.body == body)
        #expect(parsed.consumed == text.utf8.count)
        #expect(parsed.fields == ["Host=a", "Transfer-Encoding=chunked"])
    }

    @Test(arguments: [
        ("g\r\n", WireFault.badChunk), ("\r\n", .badChunk), ("-1\r\n", .badChunk), ("+1\r\n", .badChunk),
        ("0x1\r\n", .badChunk), (" 1\r\na\r\n", .badChunk), ("1 \r\na\r\n", .badChunk), ("1\t\r\na\r\n", .badChunk),
        ("00000000000000001\r\na\r\n", .badChunk), ("1;\r\na\r\n", .badChunk), ("1; a\r\na\r\n", .badChunk),
        ("1 ;a\r\na\r\n", .badChunk), ("1;a=\r\na\r\n", .badChunk), ("1;a=\"b\r\na\r\n", .badChunk),
        ("1;=b\r\na\r\n", .badChunk), ("1;a=\"\u{E4}\"\r\na\r\n", .badChunk), ("1;a=\"\u{1}\"\r\na\r\n", .badChunk),
        ("1;a=\"b\"c\r\na\r\n", .badChunk), ("1;a\u{0}\r\na\r\n", .badChunk), ("1;a=\"\\\r\n", .badChunk),
        ("1\na\r\n", .bareLineFeed), ("\n", .bareLineFeed), ("1;a\n", .bareLineFeed), ("1\r\r\na\r\n", .badChunk),
        ("1\r\nab\r\n", .badChunk), ("1\r\na\n", .badChunk), ("1\r\na\rx", .badChunk), ("1\r\na0\r\n\r\n", .badChunk),
        ("0\r\nA : x\r\n\r\n", .spaceBeforeColon), ("0\r\nA: x\n\r\n", .bareLineFeed), ("0\r\n\n", .bareLineFeed),
        ("0\r\n A: x\r\n\r\n", .obsoleteFolding), ("0\r\nA: \u{1}\r\n\r\n", .controlByte),
        ("0\r\nA\r\n\r\n", .badFieldName),
        ("0\r\nContent-Length: 5\r\n\r\n", .forbiddenTrailer), ("0\r\nHost: a\r\n\r\n", .forbiddenTrailer),
        ("0\r\nauthorization: x\r\n\r\n", .forbiddenTrailer), ("0\r\nTransfer-Encoding: x\r\n\r\n", .forbiddenTrailer),
        ("10001\r\n", .bodyTooLarge), ("7fffffffffffffff\r\n", .bodyTooLarge), ("FFFFFFFFFFFFFFFF\r\n", .bodyTooLarge),
        ("8000000000000000\r\n", .bodyTooLarge), ("1\r\na\r\n10000\r\n", .bodyTooLarge),
    ])
    func `a malformed chunk is refused`(encoded: String, expected: WireFault) {
        #expect(fault(request("Transfer-Encoding: chunked", body: encoded)) == expected)
    }

    @Test func `a size line is bounded`() {
        let size = "1;" + String(repeating: "a", count: 1_020)
        #expect(step(request("Transfer-Encoding: chunked", body: size + "\r\n")) == .needMore)
        #expect(fault(request("Transfer-Encoding: chunked", body: size + "a\r\n")) == .chunkLineTooLong)
        #expect(step(request("Transfer-Encoding: chunked", body: size + "a")) == .needMore)
        #expect(fault(request("Transfer-Encoding: chunked", body: size + "aa")) == .chunkLineTooLong)
    }

    @Test func `trailers are bounded in number and size`() {
        let few = String(repeating: "T: x\r\n", count: 16)
        #expect(fault(request("Transfer-Encoding: chunked", body: "0\r\n" + few + "\r\n")) == nil)
        #expect(fault(request("Transfer-Encoding: chunked", body: "0\r\n" + few + "T: x\r\n\r\n")) == .trailersTooLarge)
        let long = "T: " + String(repeating: "x", count: 4_089)
        #expect(fault(request("Transfer-Encoding: chunked", body: "0\r\n" + long + "\r\n\r\n")) == nil)
        #expect(fault(request("Transfer-Encoding: chunked", body: "0\r\n" + long + "xx\r\n\r\n")) == .trailersTooLarge)
        #expect(fault(request("Transfer-Encoding: chunked", body: "0\r\n" + long + "xxxxxx")) == .trailersTooLarge)
    }

    @Test func `what framing adds to a body is bounded`() throws {
        var limits = WireLimits()
        limits.bodyBytesMax = 100
        limits.chunkOverheadBytesMax = 50
        let byte = "1\r\na\r\n"
        let some = String(repeating: byte, count: 20)
        #expect(
            try parse(request("Transfer-Encoding: chunked", body: some + "0\r\n\r\n"), limits: limits)?.body.count == 20
        )
        let many = String(repeating: byte, count: 40)
        #expect(fault(request("Transfer-Encoding: chunked", body: many), limits: limits) == .bodyTooLarge)
    }

    @Test func `a large chunked body may be followed by a small one`() {
        var limits = WireLimits()
        limits.bodyBytesMax = 16
        limits.limitBody(to: 4_096, under: "/big")
        var parser = RequestParser(limits: limits)
        let content = String(repeating: "x", count: 4_000)
        let large = request(
            "Transfer-Encoding: chunked", body: "fa0\r\n\(content)\r\n0\r\n\r\n", line: "POST /big HTTP/1.1")
        let small = request("Transfer-Encoding: chunked", body: "2\r\nhi\r\n0\r\n\r\n")
        for (text, body) in [(large, content), (small, "hi"), (large, content), (request(), "")] {
            let bytes = Array(text.utf8)
            #expect(parser.parse(bytes.span.bytes) == .request(consumedBytes: bytes.count))
            #expect(parser.withBody(in: bytes.span.bytes, HTTPWireTests.text) == body)
        }
    }
}
