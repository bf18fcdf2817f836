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
    func `framing that could be read in two ways is refused`(fields: [String], expected: WireFault) {
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
    func `a sensible host is taken`(host: String) throws {
        #expect(try parse("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") != nil)
    }

    @Test(arguments: [
        "u@a", "u:p@a", "a b", "a/b", "a?b", "a#b", "a,b", "a:b", "a:1:2", ":80", "[::1", "[]", "[::1]x", "[g]", "::1",
        "a:123456", "a:+1", "\u{E4}", "a%20", "a;b", "<a>", "a\tb", "[::1%25eth0]", "a\\b", "a'b", "*", "http://a",
    ])
    func `a host with anything else in it is refused`(host: String) {
        #expect(fault("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") == .badHost)
    }

    @Test func `HTTP 1 1 needs one Host, HTTP 1 0 none, and nobody may send two`() throws {
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
    func `a connection stays open as version and options say`(version: String, fields: [String], stays: Bool) throws {
        let head = "GET / \(version)\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
        #expect(try parse(head)?.keepAlive == stays)
    }

    @Test func `100-continue is asked for once, and not when the body is there`() throws {
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
    func `another expectation is not met`(field: String) {
        #expect(fault(request(field)) == .unmetExpectation)
    }
}
