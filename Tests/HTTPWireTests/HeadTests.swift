import HTTPWire
import Testing

@Suite struct RequestLineTests {
    @Test(arguments: [
        ("GET", Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
        ("OPTIONS", .options), ("PATCH", .patch), ("TRACE", .trace), ("PROPFIND", .other), ("get", .other),
        ("M-SEARCH", .other), ("VERSION-CONTROL", .other), ("G", .other),
    ])
    func `a method is recognised by its exact name`(name: String, method: HTTPWire.Method) throws {
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
    func `a target in absolute form is accepted if its authority equals the Host field`(
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

    @Test func `an asterisk is a target for OPTIONS only`() throws {
        let parsed = try #require(try parse(request(line: "OPTIONS * HTTP/1.1")))
        #expect(parsed.path == "*")
    }

    @Test func `one empty line before a request is ignored and consumed`() throws {
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

@Suite struct FieldTests {
    @Test func `whitespace around a value is not part of it`() throws {
        let parsed = try #require(try parse(request("A: \t x y \t", "B:", "C:  ", "D:\u{E4}", "E:x\ty")))
        #expect(parsed.fields == ["Host=a", "A=x y", "B=", "C=", "D=\u{E4}", "E=x\ty"])
    }

    @Test(arguments: [
        ("A: x\n", WireFault.bareLineFeed), ("A\n", .bareLineFeed), ("A:\n", .bareLineFeed), ("\nA: x", .bareLineFeed),
        ("A: x\ry", .bareCarriageReturn), ("A: x\r\r", .bareCarriageReturn), ("\rA: x", .bareCarriageReturn),
        (" A: x", .obsoleteFolding), ("\tA: x", .obsoleteFolding), ("A: x\r\n y", .obsoleteFolding),
        ("A : x", .spaceBeforeColon), ("A\t: x", .spaceBeforeColon), ("A b: x", .spaceBeforeColon),
        (": x", .emptyFieldName), ("A\u{E4}: x", .badFieldName), ("A(: x", .badFieldName), ("A", .badFieldName),
        ("A\u{0}: x", .badFieldName), ("A: \u{0}", .controlByte), ("A: x\u{1}y", .controlByte),
        ("A: \u{B}x", .controlByte), ("A: x\u{7F}", .controlByte), ("A: \u{8}", .controlByte),
        ("A: 0123456789abcdef0123\u{1F}456789abcdef", .controlByte),
    ])
    func `a malformed field is refused`(line: String, expected: WireFault) {
        #expect(fault(request(line)) == expected)
        #expect(fault("GET / HTTP/1.1\r\n\(line)\r\nHost: a\r\n\r\n") == expected)
    }

    @Test func `every token character is allowed in a name and no other byte is`() {
        let allowed = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: ":") {
            // First, inside and last, so that whole vectors and single bytes are tested.
            for (before, after) in [("", "x"), ("abcdefghijklmnopqrst", "uvwxyz"), ("x", "")] {
                var bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(before)".utf8) + [byte]
                bytes += Array("\(after): v\r\n\r\n".utf8)
                var parser = RequestParser()
                let isRequest = parser.parse(bytes.span.bytes) == .request(consumedBytes: bytes.count)
                #expect(isRequest == allowed.contains(byte), "\(byte)")
            }
        }
    }

    @Test func `every byte but control characters is allowed in a value, and so is a tab`() {
        for byte in UInt8.min...UInt8.max {
            for before in ["", "x", "0123456789abcdefghijklmn"] {
                var bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: \(before)".utf8) + [byte]
                bytes += Array("yz\r\n\r\n".utf8)
                var parser = RequestParser()
                let isRequest = parser.parse(bytes.span.bytes) == .request(consumedBytes: bytes.count)
                #expect(isRequest == (byte >= 0x20 && byte != 0x7F || byte == 0x09), "\(byte)")
            }
        }
    }

    @Test(arguments: [
        ("Host", KnownField.host), ("Connection", .connection), ("Content-Length", .contentLength),
        ("Transfer-Encoding", .transferEncoding), ("Expect", .expect), ("Upgrade", .upgrade),
        ("Authorization", .authorization), ("Content-Type", .contentType), ("Accept", .accept), ("Origin", .origin),
        ("Cookie", .cookie), ("Access-Control-Request-Method", .accessControlRequestMethod),
        ("Access-Control-Request-Headers", .accessControlRequestHeaders), ("Forwarded", .forwarded),
        ("X-Forwarded-Method", .xForwardedMethod), ("X-Forwarded-Proto", .xForwardedProto),
        ("X-Forwarded-Host", .xForwardedHost), ("X-Forwarded-Uri", .xForwardedUri),
        ("X-Forwarded-For", .xForwardedFor), ("X-Original-Method", .xOriginalMethod),
        ("X-Original-URI", .xOriginalURI), ("X-Original-Host", .xOriginalHost), ("X-Real-IP", .xRealIP),
        ("Last-Event-ID", .lastEventID), ("X-Request-Id", .xRequestID), ("Traceparent", .traceparent),
    ])
    func `a known name is recognised in any case, and no similar one`(name: String, field: KnownField) {
        for spelling in [name, name.lowercased(), name.uppercased()] { #expect(recognise(spelling) == field) }
        for position in name.indices {
            for letter in ["_", "q", "~", "^"] {
                let near = name.replacingCharacters(at: position, with: letter)
                if near.lowercased() == name.lowercased() { continue }
                #expect(recognise(near) == .unknown, "\(near)")
            }
            var shorter = name
            shorter.remove(at: position)
            if !shorter.isEmpty { #expect(recognise(shorter) == .unknown, "\(shorter)") }
        }
        #expect(recognise(name + "s") == .unknown)
    }

    @Test func `all known fields are covered above`() {
        #expect(KnownField.allCases.count == 27)
        #expect(KnownField.unknown.rawValue == 26)
    }

    @Test func `equal fields are counted, and found in order`() {
        withBytes(request("Accept: 1", "X: y", "accept: 2", "Authorization: b", "ACCEPT: 3")) { bytes in
            var parser = RequestParser()
            _ = parser.parse(bytes)
            #expect(parser.request.count(.accept) == 3)
            #expect(parser.request.value(.accept).map { text(bytes.slice($0)) } == "1")
            #expect(parser.request.count(.authorization) == 1)
            #expect(parser.request.count(.cookie) == 0)
            #expect(parser.request.value(.cookie) == nil)
            #expect(parser.request.index(of: .cookie) == nil)
            let first = parser.request.index(of: .accept)
            let second = parser.request.index(of: .accept, after: first)
            let third = parser.request.index(of: .accept, after: second)
            #expect([first, second, third] == [1, 3, 5])
            #expect(parser.request.index(of: .accept, after: third) == nil)
            #expect(parser.request.index(of: .accept, after: Int.max) == nil)
            #expect(parser.request.index(of: .accept, after: -7) == 1)
            #expect(parser.request.value(at: 64) == WireRange())
            #expect(parser.request.name(at: -1) == WireRange())
            #expect(parser.request.field(at: 6) == .unknown)
        }
    }

    private func recognise(_ name: String) -> KnownField? {
        withBytes("GET / HTTP/1.0\r\n\(name): 0\r\n\r\n") { bytes in
            var parser = RequestParser()
            switch parser.parse(bytes) {
            case .request: return parser.request.field(at: 0)
            // Fields that frame a message may refuse this value, which also shows that they were recognised.
            case .fault(.codingInOldVersion): return .transferEncoding
            default: return nil
            }
        }
    }
}

extension String {
    func replacingCharacters(at position: Index, with other: String) -> String {
        String(self[..<position]) + other + String(self[index(after: position)...])
    }
}
