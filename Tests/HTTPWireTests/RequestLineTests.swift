import HTTPWire
import Testing

@Suite struct RequestLineTests {
    @Test(arguments: [
        ("GET", Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
        ("OPTIONS", .options), ("PATCH", .patch), ("TRACE", .trace), ("PROPFIND", .other), ("get", .other),
        ("M-SEARCH", .other), ("VERSION-CONTROL", .other), ("G", .other),
    ])
    func `a method is recognised by its exact spelling`(name: String, method: HTTPWire.Method) throws {
        let parsed = try #require(try parse(request(line: "\(name) / HTTP/1.1")))
        #expect(parsed.method == method)
    }

    @Test(
        arguments: [
            ("/", "/", nil), ("/a/b", "/a/b", nil), ("/a?", "/a", ""), ("/a?b=c", "/a", "b=c"), ("/a?b?c", "/a", "b?c"),
            ("//x", "//x", nil), ("/a/../b", "/a/../b", nil), ("/%2e%2E", "/%2e%2E", nil),
            ("/{}|^\"<>\\`", "/{}|^\"<>\\`", nil),
        ] as [(String, String, String?)])
    func `a target in origin form is split at its first question mark`(
        target: String, path: String, query: String?
    ) throws {
        let parsed = try #require(try parse(request(line: "GET \(target) HTTP/1.1")))
        #expect(parsed.path == path)
        #expect(parsed.query == query)
    }

    @Test(
        arguments: [
            ("http://a/b?c", "a", "/b", "c"), ("HTTPS://A:80/", "a:80", "/", nil), ("http://a", "a", "/", nil),
            ("https://a", "A", "/", nil), ("http://a?x", "a", "/", "x"), ("http://[::1]:8/y", "[::1]:8", "/y", nil),
        ] as [(String, String, String, String?)])
    func `a target in absolute form is taken when its authority is the Host field's`(
        target: String, host: String, path: String, query: String?
    ) throws {
        let parsed = try #require(try parse("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n"))
        #expect(parsed.path == path)
        #expect(parsed.query == query)
    }

    @Test(arguments: [
        ("GET http://b/ HTTP/1.1\r\nHost: a", WireFault.authorityMismatch),
        ("GET http://a:80/ HTTP/1.1\r\nHost: a", .authorityMismatch),
        ("GET http://a/ HTTP/1.0", .authorityMismatch),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a", .authorityMismatch),
        ("GET http:///x HTTP/1.1\r\nHost:", .badTarget),
        ("GET http://?x HTTP/1.1\r\nHost:", .badTarget),
        ("GET http:// HTTP/1.1\r\nHost: a", .badTarget),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a", .badTarget),
        ("GET http:/a HTTP/1.1\r\nHost: a", .badTarget),
        ("GET a:80 HTTP/1.1\r\nHost: a", .badTarget),
        ("GET x HTTP/1.1\r\nHost: a", .badTarget),
        ("GET * HTTP/1.1\r\nHost: a", .badTarget),
        ("OPTIONS ** HTTP/1.1\r\nHost: a", .badTarget),
        ("GET /a#b HTTP/1.1\r\nHost: a", .badTarget),
        ("GET /a?b#c HTTP/1.1\r\nHost: a", .badTarget),
        ("GET /\u{E4} HTTP/1.1\r\nHost: a", .badTarget),
        ("GET /a\tb HTTP/1.1\r\nHost: a", .badTarget),
        ("GET /a\u{0} HTTP/1.1\r\nHost: a", .badTarget),
        ("GET /a\u{7F} HTTP/1.1\r\nHost: a", .badTarget),
        ("GET  / HTTP/1.1\r\nHost: a", .badVersion),
        ("GET /\r\nHost: a", .badTarget),
        ("GET\r\nHost: a", .badMethod),
        ("GET\t/ HTTP/1.1\r\nHost: a", .badMethod),
        ("G(T / HTTP/1.1\r\nHost: a", .badMethod),
        (" GET / HTTP/1.1\r\nHost: a", .badMethod),
        ("\u{16}\u{3}\u{1}", .badMethod),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443", .connectMethod),
        ("GET / HTTP/1.1 \r\nHost: a", .badVersion),
        ("GET /  HTTP/1.1\r\nHost: a", .badVersion),
        ("GET / http/1.1\r\nHost: a", .badVersion),
        ("GET / HTTP/1.10\r\nHost: a", .badVersion),
        ("GET / HTTP/11\r\nHost: a", .badVersion),
        ("GET / HTTP/1.x\r\nHost: a", .badVersion),
        ("GET / HTTPS/1.1\r\nHost: a", .badVersion),
        ("GET / \r\nHost: a", .badVersion),
        ("GET / HTTP/1.2\r\nHost: a", .unsupportedVersion),
        ("GET / HTTP/0.9\r\nHost: a", .unsupportedVersion),
        ("GET / HTTP/3.0\r\nHost: a", .unsupportedVersion),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n", .unsupportedVersion),
        ("GET / HTTP/1.1\nHost: a", .bareLineFeed),
        ("GET /\nHost: a", .bareLineFeed),
        ("GET\n", .bareLineFeed),
        ("\nGET / HTTP/1.1\r\nHost: a", .bareLineFeed),
        ("GET / HTTP/1.1\r\r\nHost: a", .badVersion),
        ("\rGET / HTTP/1.1\r\nHost: a", .bareCarriageReturn),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a", .badMethod),
        ("\r\n\nGET / HTTP/1.1\r\nHost: a", .bareLineFeed),
    ])
    func `a malformed request line is refused`(head: String, expected: WireFault) {
        #expect(fault(head + "\r\n\r\n") == expected)
    }

    @Test func `an asterisk is a target for OPTIONS alone`() throws {
        let parsed = try #require(try parse(request(line: "OPTIONS * HTTP/1.1")))
        #expect(parsed.path == "*")
    }

    @Test func `one empty line before a request is forgiven and consumed`() throws {
        let request = "\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"
        let parsed = try #require(try parse(request))
        #expect(parsed.path == "/x")
        #expect(parsed.consumed == request.utf8.count)
        #expect(step("\r") == .needMore)
        #expect(step("\r\n") == .needMore)
    }

    @Test func `a method that is too long is not implemented`() {
        #expect(fault(request(line: String(repeating: "M", count: 33) + " / HTTP/1.1")) == .methodTooLong)
        #expect(fault(request(line: String(repeating: "M", count: 32) + " / HTTP/1.1")) == nil)
    }
}
