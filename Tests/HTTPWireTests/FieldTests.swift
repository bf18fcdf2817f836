import HTTPWire
import Testing

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

    @Test func `every token character may stand in a name and no other byte may`() {
        let allowed = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: ":") {
            // In front, inside and at the end, so that whole vectors and single bytes are looked at.
            for (before, after) in [("", "x"), ("abcdefghijklmnopqrst", "uvwxyz"), ("x", "")] {
                var bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(before)".utf8) + [byte]
                bytes += Array("\(after): v\r\n\r\n".utf8)
                var parser = RequestParser()
                let isRequest = parser.parse(bytes.span.bytes) == .request(consumedBytes: bytes.count)
                #expect(isRequest == allowed.contains(byte), "\(byte)")
            }
        }
    }

    @Test func `every byte but controls may stand in a value, and so may a tab`() {
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
        ("Last-Event-ID", .lastEventID),
    ])
    func `a known name is recognised in any case, and nothing near it`(name: String, field: KnownField) {
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
        #expect(KnownField.allCases.count == 25)
        #expect(KnownField.unknown.rawValue == 24)
    }

    @Test func `equal fields are counted, the first one is at hand, and the others are found in order`() {
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
            // Fields that frame a message may refuse this value; that, too, means that they were recognised.
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
