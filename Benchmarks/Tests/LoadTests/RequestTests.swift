import Foundation
import Testing

@testable import LoadParts

@Suite struct RequestTests {
    private static let key = "iik1_00000000001_" + String(repeating: "x", count: 49)
    private static let token = "iib1_00000000002_" + String(repeating: "y", count: 49)

    @Test func `an introspection is a form`() throws {
        let (text, asked) = try made(.introspect, authorization: "Basic eDp5")
        #expect(
            text == "POST /oauth2/introspect HTTP/1.1\r\nHost: h:1\r\nAuthorization: Basic eDp5\r\n"
                + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 72\r\n\r\ntoken=\(Self.key)")
        #expect(asked == .init(count: 1, known: 1))
    }

    @Test func `a caller without authorization sends none`() throws {
        #expect(try !made(.introspect).text.contains("Authorization"))
    }

    @Test func `a forwarded key and a forwarded token go by their schemes`() throws {
        let key = try made(.verify).text
        #expect(key == "GET /verify HTTP/1.1\r\nHost: h:1\r\nAuthorization: ApiKey \(Self.key)\r\n\r\n")
        let token = try made(.verify, lines: [Self.token]).text
        #expect(token == "GET /verify HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer \(Self.token)\r\n\r\n")
    }

    @Test func `keys and tokens alternate without traces of each other`() throws {
        let file = try file([Self.key, Self.token])
        var mix = mix(.verify, file: file)
        var texts: Set<String> = []
        for _ in 0..<50 {
            texts.insert(String(decoding: mix.next().bytes, as: UTF8.self))
        }
        #expect(texts == [try made(.verify).text, try made(.verify, lines: [Self.token]).text])
    }

    @Test(arguments: [1, 3, 1_000])
    func `a batch is JSON of its size`(size: Int) throws {
        let (text, asked) = try made(.batch, authorization: "Basic eDp5", batchSize: size)
        let parts = try #require(text.split(separator: "\r\n\r\n", maxSplits: 1).count == 2 ? text : nil)
            .split(separator: "\r\n\r\n", maxSplits: 1)
        let body = try JSONDecoder().decode([String: [String]].self, from: Data(parts[1].utf8))
        #expect(body == ["credentials": Array(repeating: Self.key, count: size)])
        #expect(parts[0].hasSuffix("Content-Type: application/json\r\nContent-Length: \(parts[1].utf8.count)"))
        #expect(parts[0].hasPrefix("POST /v1/verify HTTP/1.1\r\nHost: h:1\r\nAuthorization: Basic eDp5\r\n"))
        #expect(asked == .init(count: size, known: size))
    }

    @Test func `a share of unknown credentials is mixed in and remembered`() throws {
        let file = try file([Self.key])
        var mix = mix(.introspect, file: file, unknownShare: 0.3)
        var known = 0
        for _ in 0..<10_000 {
            let (asked, bytes) = mix.next()
            known += asked.known
            #expect(String(decoding: bytes, as: UTF8.self).hasSuffix(Self.key) == (asked.known == 1))
        }
        #expect(abs(known - 7_000) < 250)
    }

    @Test func `the same seed asks for the same`() throws {
        let file = try file([Self.key, Self.token])
        var (first, second) = (mix(.batch, file: file, unknownShare: 0.5), mix(.batch, file: file, unknownShare: 0.5))
        for _ in 0..<100 {
            #expect(first.next() == second.next())
        }
    }

    private func file(_ lines: [String]) throws -> CredentialFile {
        try mapped(lines.map { $0 + "\n" }.joined())
    }

    private func mix(_ kind: RequestKind, file: CredentialFile, unknownShare: Double = 0) -> RequestMix {
        RequestMix(
            kind, file: file, skew: .uniform, unknownShare: unknownShare, seed: 1, host: "h:1", authorization: nil,
            batchSize: 16)
    }

    private func made(
        _ kind: RequestKind, lines: [String] = [key], authorization: String? = nil, batchSize: Int = 16
    ) throws -> (text: String, asked: RequestMix.Asked) {
        var mix = RequestMix(
            kind, file: try file(lines), skew: .uniform, unknownShare: 0, seed: 1, host: "h:1",
            authorization: authorization, batchSize: batchSize)
        let (asked, bytes) = mix.next()
        return (String(decoding: bytes, as: UTF8.self), asked)
    }
}

@Suite struct TargetTests {
    @Test(arguments: [
        ("http://127.0.0.1:8080", Target.http(host: "127.0.0.1", port: 8080)), ("http://h", .http(host: "h", port: 80)),
        ("https://h:1/", .https(host: "h", port: 1)), ("https://[::1]:8443", .https(host: "::1", port: 8443)),
        ("unix:/a/b.sock", .unix(path: "/a/b.sock")),
    ])
    func `a target is read`(text: String, target: Target) {
        #expect(Target(text) == target)
    }

    @Test(arguments: [
        "", "unix:", "http://", "http://h:0", "http://h:x", "http://h/p", "http://h:1/p", "ftp://h", "h:1",
        "http://u@h",
        "http://h:65536", "http://a b",
    ])
    func `a target that is none is refused`(text: String) {
        #expect(Target(text) == nil)
    }

    @Test func `an address of colons stands in brackets`() {
        #expect(Target.http(host: "::1", port: 80).authority == "[::1]:80")
    }
}
