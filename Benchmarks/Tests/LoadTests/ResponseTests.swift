import Testing

@testable import LoadParts

@Suite struct ResponseTests {
    private static let whole = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-LENGTH:  5 \r\n\r\nhello"

    @Test func `an answer is read whole`() throws {
        let response = try #require(try read(Self.whole))
        #expect(response.status == 200 && !response.closes)
        #expect(Array(Self.whole.utf8)[response.body] == Array("hello".utf8)[...])
        #expect(response.body.upperBound == Self.whole.utf8.count)
    }

    @Test func `an answer that comes byte by byte is there with its last byte and not before`() throws {
        for count in 0..<Self.whole.utf8.count { #expect(try read(String(Self.whole.utf8.prefix(count))!) == nil) }
    }

    @Test func `answers that come together are read one after another`() throws {
        let second = "HTTP/1.1 401 \r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"
        let bytes = Array((Self.whole + second + Self.whole).utf8)
        let first = try #require(try Response.read(bytes.span))
        #expect(first.body.upperBound == Self.whole.utf8.count)
        let next = try #require(try Response.read(bytes.span.extracting(first.body.upperBound...)))
        #expect(next == Response(status: 401, body: second.utf8.count..<second.utf8.count, closes: true))
    }

    @Test func `204 and 304 need no length`() throws {
        #expect(try read("HTTP/1.1 204 No Content\r\n\r\n")?.body.isEmpty == true)
        #expect(try read("HTTP/1.1 304 Not Modified\r\n\r\nx")?.body.isEmpty == true)
    }

    @Test(arguments: [
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Malformation.statusLine),
        ("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", .statusLine), ("HTTP/1.1 200\r\n\r\n", .statusLine),
        ("HTTP/1.1 2x0 OK\r\n", .statusLine), ("HTTP/1.1 700 OK\r\n", .statusLine), ("\r\n", .statusLine),
        ("HTTP/1.1 100 Continue\r\n\r\n", .interim), ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", .controlByte),
        ("HTTP/1.1 200 OK\rX", .lineEnd), ("HTTP/1.1 200 OK\r\nA: \u{1}\r\n", .controlByte),
        ("HTTP/1.1 200 OK\r\nnothing\r\n\r\n", .field), ("HTTP/1.1 200 OK\r\n: x\r\n", .field),
        ("HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", .field),
        ("HTTP/1.1 200 OK\r\nA: x\r\n folded: y\r\n", .field),
        ("HTTP/1.1 200 OK\r\n\r\n", .length), ("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", .length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", .length),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", .length),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", .length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n", .length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n", .length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n", .length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", .bodyTooLong),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", .transferEncoding),
        ("HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 16_384), .headTooLong),
    ])
    func `what is no answer is not taken for one`(text: String, expected: Malformation) {
        #expect(throws: expected) { try read(text) }
    }

    private func read(_ text: String) throws -> Response? {
        let bytes = Array(text.utf8)
        return try Response.read(bytes.span)
    }
}

@Suite struct ExpectationTests {
    private static let known = RequestMix.Asked(count: 1, known: 1)
    private static let unknown = RequestMix.Asked(count: 1, known: 0)
    private static let active = #"{"active":true,"sub":"acme"}"#
    private static let inactive = #"{"active":false}"#

    @Test func `introspection tells active from inactive by the body`() throws {
        #expect(try isMet(.active, .introspect, 200, Self.active, Self.known))
        #expect(try isMet(.active, .introspect, 200, Self.inactive, Self.unknown))
        #expect(try isMet(.inactive, .introspect, 200, Self.inactive, Self.known))
        #expect(try !isMet(.active, .introspect, 200, Self.inactive, Self.known))
        #expect(try !isMet(.active, .introspect, 200, Self.active, Self.unknown))
        #expect(try !isMet(.inactive, .introspect, 200, Self.active, Self.known))
        #expect(try !isMet(.inactive, .introspect, 200, Self.inactive + " ", Self.known))
        #expect(try !isMet(.inactive, .introspect, 200, #"{"active":false,"#, Self.known))
        #expect(try !isMet(.active, .introspect, 503, Self.active, Self.known))
        #expect(try !isMet(.active, .introspect, 200, "", Self.known))
    }

    @Test func `forward-auth tells them by the status`() throws {
        #expect(try isMet(.active, .verify, 200, "", Self.known))
        #expect(try isMet(.active, .verify, 401, "x", Self.unknown))
        #expect(try isMet(.inactive, .verify, 401, "", Self.known))
        #expect(try !isMet(.active, .verify, 204, "", Self.known))
        #expect(try !isMet(.active, .verify, 401, "", Self.known))
        #expect(try !isMet(.active, .verify, 200, "", Self.unknown))
        #expect(try !isMet(.inactive, .verify, 403, "", Self.known))
    }

    @Test func `a batch must hold as many verdicts as credentials and as many valid ones as are known`() throws {
        let body = #"{"results":[{"reason":"valid","id":"a"},{"reason":"unknown"},{"reason":"valid"}]}"#
        #expect(try isMet(.active, .batch, 200, body, .init(count: 3, known: 2)))
        #expect(try !isMet(.active, .batch, 200, body, .init(count: 3, known: 3)))
        #expect(try !isMet(.active, .batch, 200, body, .init(count: 2, known: 2)))
        #expect(try !isMet(.active, .batch, 404, body, .init(count: 3, known: 2)))
        #expect(try !isMet(.inactive, .batch, 200, body, .init(count: 3, known: 2)))
        #expect(try !isMet(.active, .batch, 200, "{}", .init(count: 3, known: 2)))
    }

    @Test func `a status is wanted of all, and any of none`() throws {
        #expect(try isMet(.status(401), .introspect, 401, "", Self.known))
        #expect(try !isMet(.status(401), .introspect, 200, "", Self.unknown))
        #expect(try isMet(.any, .introspect, 503, "", Self.known))
    }

    @Test func `the flag's words are read`() {
        #expect(
            ["active", "inactive", "any", "401"].map(ExpectedAnswer.Wanted.init) == [
                .active, .inactive, .any, .status(401),
            ])
        #expect(["", "Active", "99", "600", "+401", "20x"].allSatisfy { ExpectedAnswer.Wanted($0) == nil })
    }

    private func isMet(
        _ wanted: ExpectedAnswer.Wanted, _ kind: RequestKind, _ status: Int, _ body: String, _ asked: RequestMix.Asked
    ) throws -> Bool {
        // Another answer before and after: only this one's body may count.
        let other = "HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n" + Self.active
        let text = "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)\(other)"
        let bytes = Array(text.utf8)
        let response = try #require(try Response.read(bytes.span))
        return ExpectedAnswer(wanted, of: kind).isMet(by: response, bytes.span, asked: asked)
    }
}
