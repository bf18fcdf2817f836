import HTTPWire
import Testing

/// The text that `write` appends, or `nil` if it did not fit.
func written(capacity: Int = 4_096, _ write: (inout ByteWriter) -> Void) -> String? {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity + 1, alignment: 1)
    defer { memory.deallocate() }
    memory[capacity] = 0xA5
    var writer = ByteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[..<capacity]))
    write(&writer)
    #expect(memory[capacity] == 0xA5)
    #expect(writer.written <= capacity)
    return writer.overflowed ? nil : String(decoding: memory[..<writer.written], as: UTF8.self)
}

@Suite struct WriterTests {
    @Test func `literals, bytes, spans and numbers are appended unchanged`() {
        let text = written { writer in
            writer.append("a\u{E4}")
            writer.append(byte: UInt8(ascii: "b"))
            withBytes("cd") { writer.append($0) }
            writer.append(decimal: 0)
            writer.append(decimal: 1_234_567_890)
            writer.append(decimal: .max)
            writer.append("")
        }
        #expect(text == "a\u{E4}bcd0123456789018446744073709551615")
    }

    @Test(
        arguments: [
            (0, "00000000000"), (61, "0000000000z"), (62, "00000000010"), (10, "0000000000A"), (36, "0000000000a"),
            (UInt64.max, "LygHa16AHYF"),
        ] as [(UInt64, String)])
    func `an id is eleven base62 digits`(value: UInt64, digits: String) {
        #expect(written { $0.append(base62: value) } == digits)
    }

    @Test func `what does not fit is not written at all, nor is anything after it`() {
        var result: (Int, Bool, Int)?
        _ = written(capacity: 5) { writer in
            writer.append("abc")
            writer.append("def")
            writer.append("g")
            result = (writer.written, writer.overflowed, writer.room)
        }
        #expect(result.map { $0 == (3, true, 0) } == true)
        #expect(written(capacity: 3) { $0.append("abc") } == "abc")
        #expect(written(capacity: 2) { $0.append(decimal: 123) } == nil)
        #expect(written(capacity: 0) { $0.append(byte: 1) } == nil)
        #expect(written(capacity: 0) { $0.append("") } == "")
        #expect(written(capacity: 0) { _ in } == "")
    }

    @Test func `a writer can remove what it wrote`() {
        let text = written { writer in
            writer.append("abc")
            writer.rewind(to: 1)
            writer.rewind(to: 7)
            writer.rewind(to: -1)
            writer.append("d")
        }
        #expect(text == "ad")
    }

    @Test(arguments: [
        ("plain ASCII, and a lot of it", "plain ASCII, and a lot of it"), ("a\"b\\c", "a\\\"b\\\\c"),
        ("\u{8}\t\n\u{C}\r", "\\b\\t\\n\\f\\r"),
        ("\u{0}\u{1F}\u{7F}", "\\u0000\\u001F\u{7F}"), ("\u{E4}\u{20AC}\u{1F600}", "\u{E4}\u{20AC}\u{1F600}"), ("", ""),
        ("</script>", "</script>"),
    ])
    func `a JSON string is escaped where necessary`(text: String, expected: String) {
        #expect(written { writer in withBytes(text) { writer.append(jsonEscaped: $0) } } == expected)
    }

    @Test(
        arguments: [
            ([0xFF], "\u{FFFD}"), ([0x61, 0xC3, 0x62], "a\u{FFFD}b"), ([0xC0, 0xAF], "\u{FFFD}\u{FFFD}"),
            ([0xED, 0xA0, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"), ([0xE2, 0x82], "\u{FFFD}\u{FFFD}"), ([0x80], "\u{FFFD}"),
            ([0xF4, 0x90, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"), ([0xC3, 0xA4, 0xA4], "\u{E4}\u{FFFD}"),
        ] as [([UInt8], String)])
    func `each byte that is not UTF-8 is replaced`(bytes: [UInt8], expected: String) {
        #expect(written { $0.append(jsonEscaped: bytes.span.bytes) } == expected)
    }

    @Test(arguments: [
        ("", "-"), ("-", "%2D"), ("--", "--"), ("a-b", "a-b"), ("a b", "a%20b"), ("100%", "100%25"), ("%2D", "%252D"),
        ("\u{E4}", "%C3%A4"), ("a\r\nb", "a%0D%0Ab"), ("\u{0}\u{7F}", "%00%7F"), ("!~", "!~"),
        ("read write", "read%20write"),
    ])
    func `a header value is encoded and never empty`(text: String, expected: String) {
        #expect(written { writer in withBytes(text) { writer.append(headerEncoded: $0) } } == expected)
    }

    @Test func `a response begins with status, length and connection`() {
        let head = written { writer in
            writer.append(ResponseHead(status: 200, contentLength: 16))
            writer.append(field: "Cache-Control", "no-store")
            writer.endHead()
        }
        #expect(head == "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nCache-Control: no-store\r\n\r\n")
        #expect(
            written { $0.append(ResponseHead(status: 204, contentLength: nil, connection: .close)) }
                == "HTTP/1.1 204 No Content\r\nConnection: close\r\n")
        #expect(
            written { $0.append(ResponseHead(status: 299, contentLength: -1, connection: .keepAlive)) }
                == "HTTP/1.1 299 \r\nContent-Length: 0\r\nConnection: keep-alive\r\n")
        #expect(written { $0.appendContinue() } == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(ResponseHead.Connection(keepAlive: true, minorVersion: 1) == .implied)
        #expect(ResponseHead.Connection(keepAlive: true, minorVersion: 0) == .keepAlive)
        #expect(ResponseHead.Connection(keepAlive: false, minorVersion: 0) == .close)
    }

    @Test(
        arguments: [
            200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 417, 422, 429, 431, 500, 501,
            503, 505,
        ] as [UInt16])
    func `a status line has its status`(status: UInt16) throws {
        let line = try #require(written { $0.append(ResponseHead(status: status, contentLength: nil)) })
        #expect(line.hasPrefix("HTTP/1.1 \(status) "))
        #expect(line.hasSuffix("\r\n") && line.utf8.count > 16)
    }

    @Test(arguments: [400, 401, 403, 404, 405, 408, 410, 413, 414, 415, 417, 431, 501, 503, 505] as [UInt16])
    func `a problem has the reason phrase of its status as the title`(status: UInt16) throws {
        let line = try #require(written { $0.append(ResponseHead(status: status, contentLength: nil)) })
        let phrase = line.dropFirst("HTTP/1.1 400 ".count).dropLast()
        #expect(
            written { $0.append(problemBody: status, "why") }
                == #"{"type":"about:blank","title":"\#(phrase)","status":\#(status),"detail":"why"}"#)
    }

    @Test func `a problem may have further members`() {
        #expect(
            written { $0.append(problemBody: 299, "why", members: { $0.append(",\"next\":1") }) }
                == #"{"type":"about:blank","title":"Error","status":299,"detail":"why","next":1}"#)
    }

    @Test func `a length that is known later fills its slot`() {
        func response(_ length: Int) -> String? {
            written { writer in
                let slot = writer.appendContentLength()
                writer.endHead()
                writer.fill(slot, with: length)
            }
        }
        #expect(response(85) == "Content-Length:       85\r\n\r\n")
        #expect(response(0) == "Content-Length:        0\r\n\r\n")
        #expect(response(99_999_999) == "Content-Length: 99999999\r\n\r\n")
        #expect(response(100_000_000) == "Content-Length:        0\r\n\r\n")
        #expect(response(-1) == "Content-Length:        0\r\n\r\n")
    }
}
