import HTTPWire
import Testing

@Suite struct FramingTests {
    @Test func `a body is as long as Content-Length says`() throws {
        let parsed = try #require(try parse(request("Content-Length: 5", body: "helloGET")))
        #expect(parsed.body == "hello")
        #expect(parsed.consumed == request("Content-Length: 5").utf8.count + 5)
        #expect(try parse(request("Content-Length: 0"))?.body == "")
        #expect(try parse(request("Content-Length: 005", body: "hello"))?.body == "hello")
        #expect(try parse(request(line: "GET / HTTP/1.1"))?.body == "")
        #expect(step(request("Content-Length: 5", body: "hell")) == .needMore)
    }

    @Test(arguments: [
        (["Content-Length: +5"], WireFault.badLength), (["Content-Length: -5"], .badLength),
        (["Content-Length: 5x"], .badLength), (["Content-Length:"], .badLength), (["Content-Length: 0x5"], .badLength),
        (["Content-Length: 5,5"], .badLength), (["Content-Length: 5 5"], .badLength),
        (["Content-Length: 5\t"], .badLength),
        (["Content-Length: 5 \t "], .badLength), (["Content-Length: 9223372036854775808"], .badLength),
        (["Content-Length: 99999999999999999999999"], .badLength), (["Content-Length: 1e3"], .badLength),
        (["Content-Length: 9223372036854775807"], .bodyTooLarge), (["Content-Length: 65537"], .bodyTooLarge),
        (["Content-Length: 5", "Content-Length: 5"], .repeatedLength),
        (["Content-Length: 5", "content-length: 6"], .repeatedLength),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], .codingWithLength),
        (["Transfer-Encoding: gzip", "Content-Length: 5"], .codingWithLength),
        (["Transfer-Encoding: gzip"], .badTransferEncoding), (["Transfer-Encoding:"], .badTransferEncoding),
        (["Transfer-Encoding: xchunked"], .badTransferEncoding),
        (["Transfer-Encoding: chunked, gzip"], .badTransferEncoding),
        (["Transfer-Encoding: identity"], .badTransferEncoding),
        (["Transfer-Encoding: \"chunked\""], .badTransferEncoding),
        (["Transfer-Encoding: chunked\t"], .badTransferEncoding),
        (["Transfer-Encoding: chunked;a"], .badTransferEncoding),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], .badTransferEncoding),
        (["Transfer-Encoding: gzip, chunked"], .unknownTransferCoding),
        (["Transfer-Encoding: ,chunked"], .unknownTransferCoding),
    ])
    func `ambiguous framing is refused`(fields: [String], expected: WireFault) {
        let head = "POST /x HTTP/1.1\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
        #expect(fault(head + "hello") == expected)
    }

    @Test func `HTTP 1 0 has no Transfer-Encoding`() {
        let text = request("Transfer-Encoding: chunked", body: "0\r\n\r\n", line: "POST / HTTP/1.0")
        #expect(fault(text) == .codingInOldVersion)
    }

    @Test(arguments: [
        "a", "A-b.c_d~e", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:80", "[::ffff:1.2.3.4]", "a:", "a:0",
        "a:65535",
        "", "xn--bcher-kva.example",
    ])
    func `a valid host is accepted`(host: String) throws {
        #expect(try parse("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") != nil)
    }

    @Test(arguments: [
        "u@a", "u:p@a", "a b", "a/b", "a?b", "a#b", "a,b", "a:b", "a:1:2", ":80", "[::1", "[]", "[::1]x", "[g]", "::1",
        "a:123456", "a:+1", "\u{E4}", "a%20", "a;b", "<a>", "a\tb", "[::1%25eth0]", "a\\b", "a'b", "*", "http://a",
    ])
    func `an invalid host is refused`(host: String) {
        #expect(fault("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == .badHost)
    }

    @Test func `HTTP 1 1 needs one Host, HTTP 1 0 none, and two are refused`() throws {
        #expect(fault("GET / HTTP/1.1\r\n\r\n") == .missingHost)
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n") == .repeatedHost)
        #expect(fault("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n") == .repeatedHost)
        #expect(try parse("GET / HTTP/1.0\r\n\r\n")?.minorVersion == 0)
    }

    @Test(
        arguments: [
            ("HTTP/1.1", [], true), ("HTTP/1.0", [], false),
            ("HTTP/1.0", ["Connection: keep-alive"], true), ("HTTP/1.0", ["Connection: Keep-Alive"], true),
            ("HTTP/1.0", ["Connection: keepalive"], false), ("HTTP/1.0", ["Connection: x, keep-alive ,y"], true),
            ("HTTP/1.0", ["Connection: keep-alive, close"], false),
            ("HTTP/1.0", ["Connection: close", "Connection: keep-alive"], false),
            ("HTTP/1.1", ["Connection: close"], false), ("HTTP/1.1", ["connection: CLOSE"], false),
            ("HTTP/1.1", ["Connection: closed"], true), ("HTTP/1.1", ["Connection: x-close, y"], true),
            ("HTTP/1.1", ["Connection: te,\tclose\t,"], false), ("HTTP/1.1", ["Connection:"], true),
            ("HTTP/1.1", ["Connection: ,,"], true),
            ("HTTP/1.1", ["Connection: a", "X: y", "Connection: close"], false),
            ("HTTP/1.1", ["Proxy-Connection: close"], true),
            ("HTTP/1.1", ["Connection: upgrade", "Upgrade: h2c"], true),
        ] as [(String, [String], Bool)])
    func `persistence follows version and options`(version: String, fields: [String], stays: Bool) throws {
        let head = "GET / \(version)\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
        #expect(try parse(head)?.keepAlive == stays)
    }

    @Test func `100-continue is needed once, and not if the body has arrived`() throws {
        var parser = RequestParser()
        let head = Array(request("Expect: 100-Continue", "Content-Length: 3").utf8)
        #expect(parser.parse(head.span.bytes) == .continueExpected)
        #expect(parser.parse(head.span.bytes) == .needMore)
        let some = head + Array("ab".utf8)
        #expect(parser.parse(some.span.bytes) == .needMore)
        let all = some + Array("c".utf8)
        #expect(parser.parse(all.span.bytes) == .request(consumedBytes: all.count))
        #expect(parser.parse(head.span.bytes) == .continueExpected)

        #expect(try parse(request("Expect: 100-continue", "Content-Length: 1", body: "x"))?.body == "x")
        #expect(try parse(request("Expect: 100-continue")) != nil)
        #expect(step(request("Expect: 100-continue", "Transfer-Encoding: chunked")) == .continueExpected)
        #expect(step(request("Expect: x", "Content-Length: 1", line: "PUT / HTTP/1.0")) == .needMore)
        #expect(fault(request("Expect: 100-continue", "Content-Length: 70000")) == .bodyTooLarge)
    }

    @Test(arguments: [
        "Expect: x", "Expect:", "Expect: 100-continue, x", "Expect: 100-continue\r\nExpect: 100-continue",
    ])
    func `another expectation is refused`(field: String) {
        #expect(fault(request(field)) == .unmetExpectation)
    }
}

@Suite struct ChunkedTests {
    @Test(arguments: [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\n000\r\n\r\n", "0123456789"), ("0a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0000000000000002\r\nhe\r\n0\r\n\r\n", "he"), ("2;a\r\nhe\r\n0;b=c\r\n\r\n", "he"),
        ("2;a=\"b \\\" c\";d\r\nhe\r\n0\r\n\r\n", "he"), ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("2\r\nhe\r\n0\r\nX-Sum: 1\r\nE:\r\n\r\n", "he"),
    ])
    func `chunks are joined, and extensions and trailers discarded`(encoded: String, body: String) throws {
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

    @Test func `the overhead of framing is bounded`() throws {
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

    @Test func `a small body can follow a large chunked one`() {
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

@Suite struct LimitTests {
    @Test func `a head of 16 KiB is accepted and one byte more is not`() {
        let head = request("X: ", line: "GET / HTTP/1.1")
        let fits = request("X: " + filler(16_384 - head.utf8.count), line: "GET / HTTP/1.1")
        #expect(fits.utf8.count == 16_384)
        #expect(step(fits) == .request(consumedBytes: 16_384))
        #expect(fault(request("X: " + filler(16_385 - head.utf8.count), line: "GET / HTTP/1.1")) == .headTooLarge)
        let unfinished = String(decoding: fits.utf8.dropLast(4), as: UTF8.self)
        #expect(step(unfinished) == .needMore)
        #expect(step(unfinished + "xxx") == .needMore)
        #expect(fault(unfinished + "xxxx") == .headTooLarge)
    }

    @Test func `64 fields are accepted and 65 are not`() {
        let fields = String(repeating: "A: b\r\n", count: 63)
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n") == nil)
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\n\(fields)A: b\r\n\r\n") == .tooManyFields)
    }

    @Test func `a target that is too long has another fault than a head that is`() {
        #expect(fault(request(line: "GET /\(filler(12_287)) HTTP/1.1")) == nil)
        #expect(fault(request(line: "GET /\(filler(12_288)) HTTP/1.1")) == .targetTooLong)
        #expect(fault("GET /" + filler(16_384)) == .targetTooLong)
        #expect(step("GET /" + filler(16_378)) == .needMore)
    }

    @Test func `the body limit depends on the path`() {
        var limits = WireLimits()
        limits.bodyBytesMax = 10
        limits.limitBody(to: 20, under: "/v1/verify")
        limits.limitBody(to: 5, under: "/v1/")
        for (path, max) in [
            ("/", 10), ("/v1/verify", 20), ("/v1/verify/x?y", 20), ("/v1/other", 5), ("/v1", 10), ("//v1/verify", 10),
        ] {
            let line = "POST \(path) HTTP/1.1"
            let fits = request("Content-Length: \(max)", body: filler(max), line: line)
            #expect(step(fits, limits: limits) == .request(consumedBytes: fits.utf8.count), "\(path)")
            #expect(
                fault(request("Content-Length: \(max + 1)", line: line), limits: limits) == .bodyTooLarge, "\(path)")
            let size = String(max, radix: 16)
            let chunked = request(
                "Transfer-Encoding: chunked", body: "\(size)\r\n\(filler(max))\r\n0\r\n\r\n", line: line)
            #expect(step(chunked, limits: limits) == .request(consumedBytes: chunked.utf8.count), "\(path)")
            let more = "\(size)\r\n\(filler(max))\r\n1\r\n"
            #expect(
                fault(request("Transfer-Encoding: chunked", body: more, line: line), limits: limits) == .bodyTooLarge)
        }
    }

    @Test func `the body limit depends on the path of an absolute target`() {
        var limits = WireLimits()
        limits.limitBody(to: 1_048_576, under: "/v1/verify")
        let head = request("Content-Length: 1048576", line: "POST http://a/v1/verify HTTP/1.1")
        #expect(step(head, limits: limits) == .needMore)
        #expect(limits.messageBytesMax > 2 * 1_048_576)
    }

    @Test func `every fault has a status and a reason`() {
        for fault in WireFault.allCases {
            #expect([400, 405, 413, 414, 417, 431, 501, 505].contains(fault.status))
            #expect(fault.reason.utf8CodeUnitCount > 10)
        }
        #expect(WireFault.bodyTooLarge.status == 413)
        #expect(WireFault.targetTooLong.status == 414)
        #expect(WireFault.unmetExpectation.status == 417)
        #expect(WireFault.tooManyFields.status == 431)
        #expect(WireFault.unknownTransferCoding.status == 501)
        #expect(WireFault.unsupportedVersion.status == 505)
        #expect(WireFault.badHost.status == 400)
    }

    @Test func `a fault is final`() {
        var parser = RequestParser()
        let bad = Array("GET / HTTP/1.1\n".utf8)
        let good = Array(request().utf8)
        #expect(parser.parse(bad.span.bytes) == .fault(.bareLineFeed))
        #expect(parser.parse(good.span.bytes) == .fault(.bareLineFeed))
    }

    private func filler(_ count: Int) -> String { String(repeating: "x", count: count) }
}
