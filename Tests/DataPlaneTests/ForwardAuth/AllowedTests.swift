import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// The headers that a gateway copies, which are always present.
let identityFields = [
    "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Type", "X-Auth-Id", "X-Auth-Expires", "X-Auth-Sunset",
    "X-Auth-Uri",
]

extension Answer {
    /// Whether the request is allowed with a complete identity: each header once and with a value.
    var isAllowed: Bool {
        status == 200 && body.isEmpty
            && identityFields.allSatisfy { name in self[name].map { !$0.isEmpty } ?? false }
    }
}

/// Rule 7: an allowed request and its identity.
@Suite(.timeLimit(.minutes(10))) struct `A valid credential` {
    @Test func `is answered 200 with all headers of its identity`() async throws {
        try await withServer { server in
            let now = server.now
            let key = try await server.key(
                KeyRequest(owner: "alice", scope: ["read", "write"], expiresInSeconds: 600))
            let answer = try await server.connect().ask(
                verification("", apiKey(key.secret), "X-Forwarded-Uri: /orders?page=2"))
            #expect(answer.isAllowed && answer["Content-Length"] == "0" && answer.values("Date").count == 1)
            #expect(answer["Cache-Control"] == "private, no-store")
            #expect(answer["X-Auth-Subject"] == "alice" && answer["X-Auth-Client"] == "-")
            #expect(answer["X-Auth-Scope"] == "read%20write" && answer["X-Auth-Type"] == "ApiKey")
            #expect(answer["X-Auth-Id"] == key.id.description && answer["X-Auth-Sunset"] == "-")
            let expires = try #require(answer["X-Auth-Expires"].flatMap { Int64($0) })
            #expect(expires >= now.rawValue + 600 && expires <= server.now.rawValue + 600)
            #expect(answer["X-Auth-Uri"] == "/orders?page=2")
        }
    }

    @Test func `that is a token names its client`() async throws {
        try await withServer { server in
            let token = try await server.token(subject: "bob")
            let answer = try await server.connect().ask(verification("", bearer(token.secret)))
            #expect(answer.isAllowed && answer["X-Auth-Client"] == token.clientID)
            #expect(answer["X-Auth-Type"] == "Bearer" && answer["X-Auth-Subject"] == "bob")
            #expect(answer["X-Auth-Id"] == token.id.description && answer["X-Auth-Scope"] == "read")
        }
    }

    @Test func `without limits and grants has a dash for missing values`() async throws {
        try await withServer { server in
            let key = try await server.key()
            let answer = try await server.connect().ask(verification("", apiKey(key.secret)))
            #expect(answer.isAllowed)
            for name in ["X-Auth-Client", "X-Auth-Scope", "X-Auth-Expires", "X-Auth-Sunset", "X-Auth-Uri"] {
                #expect(answer[name] == "-", "\(name)")
            }
        }
    }

    @Test(arguments: [
        ("-", "%2D"), ("--", "--"), ("a b", "a%20b"), ("100%", "100%25"), ("%2D", "%252D"), ("ü", "%C3%BC"),
        (" ", "%20"),
        ("\"x\"", "\"x\""), ("a,b", "a,b"), ("👩", "%F0%9F%91%A9"), ("\u{85}", "%C2%85"), ("~!", "~!"),
        (String(repeating: "ü", count: 127), String(repeating: "%C3%BC", count: 127)),
        (String(repeating: "x", count: 255), String(repeating: "x", count: 255)),
    ])
    func `has its owner in visible ASCII`(_ owner: String, _ field: String) async throws {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: owner))
            let client = try await server.connect()
            for _ in 0..<2 {
                #expect(try await client.ask(verification("", apiKey(key.secret)))["X-Auth-Subject"] == field)
            }
        }
    }

    @Test func `replaces all headers that the client forged`() async throws {
        try await withServer { server in
            let key = try await server.key()
            let forged = identityFields.map { "\($0): root" } + identityFields.map { "\($0.lowercased()): root" }
            let answer = try await server.connect().ask(
                verification(fields: [apiKey(key.secret), "X-Auth-Status: 200"] + forged))
            #expect(answer.isAllowed && !String(decoding: answer.bytes, as: UTF8.self).contains("root"))
        }
    }

    @Test(arguments: ["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X"])
    func `is answered alike for every method`(_ method: String) async throws {
        try await withServer { server in
            let key = try await server.key()
            let client = try await server.connect()
            let plain = try await client.ask(verification("", apiKey(key.secret)))
            let answer = try await client.ask(
                verification("", method: method, apiKey(key.secret)), isHead: method == "HEAD")
            #expect(answer.withoutDate == plain.withoutDate)
            let refused = try await client.ask(verification("", method: method), isHead: method == "HEAD")
            #expect(refused.status == 401)
            #expect((refused["Content-Length"].flatMap { Int($0) } ?? 0) > 0)
        }
    }

    @Test func `is answered alike whatever conditional and range headers say`() async throws {
        try await withServer { server in
            let key = try await server.key()
            let client = try await server.connect()
            let plain = try await client.ask(verification("", apiKey(key.secret)))
            for field in [
                "If-None-Match: *", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "Range: bytes=0-1",
                "Accept: image/png", "Accept-Encoding: gzip", "Cache-Control: only-if-cached", "TE: trailers",
                "Upgrade: h2c", "If-Match: \"x\"", "Content-Length: 0", "Content-Type: text/plain",
            ] {
                let answer = try await client.ask(verification("", apiKey(key.secret), field))
                #expect(answer.withoutDate == plain.withoutDate, "\(field)")
            }
            // A gateway may send the body of the original request.
            let answer = try await client.ask(request("POST /verify", [apiKey(key.secret)], body: "token=x&api_key=y"))
            #expect(answer.withoutDate == plain.withoutDate)
        }
    }

    @Test func `that was rotated returns its expiry`() async throws {
        try await withServer { server in
            let key = try await server.key()
            let client = try await server.connect()
            let before = try await client.ask(verification("", apiKey(key.secret)))
            #expect(before["X-Auth-Sunset"] == "-")
            let now = server.now
            let successor = try await server.issuer.rotate(key.id, overlapSeconds: 500)
            let old = try await client.ask(verification("", apiKey(key.secret)))
            let sunset = try #require(old["X-Auth-Sunset"].flatMap { Int64($0) })
            #expect((now.rawValue + 500...server.now.rawValue + 500).contains(sunset))
            #expect(old["X-Auth-Expires"] == String(sunset) && old.isAllowed)
            let new = try await client.ask(verification("", apiKey(successor.secret.reveal())))
            #expect(new["X-Auth-Sunset"] == "-" && new.isAllowed)
        }
    }

    @Test(arguments: [
        ("/", "/"), ("/a?b=c&d=%20e", "/a?b=c&d=%20e"), ("/a?api_key=@@", "/a"), ("/a?api_key=@@&b=1", "/a?b=1"),
        ("/a?b=1&api_key=@@", "/a?b=1"), ("/a?b=1&api%5Fkey=@@&c", "/a?b=1&c"), ("/a?%61pi_key=@@", "/a"),
        ("/a?b=\u{FC}&api_key=@@", "/a?b=%C3%BC"), ("/a b?api_key=@@", "/a%20b"), ("/-?api_key=@@", "/-"),
        ("-?api_key=@@", "%2D"), ("/a?API_KEY=x&api_key=@@", "/a?API_KEY=x"), ("/a?b=%&api_key=@@", "/a?b=%"),
        ("http://x/a?api_key=@@", "http://x/a"), ("/a?x=1;y=2&api_key=@@", "/a?x=1;y=2"),
        ("/..%2f../a?api_key=@@", "/..%2f../a"),
    ])
    func `in a URI is removed from the returned URI`(_ uri: String, _ field: String) async throws {
        try await withServer { server in
            let key = try await server.key()
            let client = try await server.connect()
            let hasKey = uri.contains("@@")
            for name in ["X-Forwarded-Uri", "X-Original-URI"] {
                let answer = try await client.ask(
                    verification(
                        "", "\(name): \(uri.replacing("@@", with: key.secret))", hasKey ? nil : apiKey(key.secret)))
                #expect(answer.isAllowed && answer["X-Auth-Uri"] == field)
                #expect(!String(decoding: answer.bytes, as: UTF8.self).contains(key.secret))
            }
        }
    }

    @Test func `of maximum size is answered completely`() async throws {
        try await withServer { server in
            let scopes = (0..<100).map { "scope-\($0)-" + String(repeating: "x", count: 28) }
            let key = try await server.key(KeyRequest(owner: String(repeating: "ü", count: 127), scope: scopes))
            let uri = "/" + String(repeating: "ü", count: 5_500)
            let client = try await server.connect()
            for _ in 0..<2 {
                let answer = try await client.ask(verification("", apiKey(key.secret), "X-Original-URI: \(uri)"))
                #expect(answer.isAllowed)
                #expect(answer["X-Auth-Uri"] == "/" + String(repeating: "%C3%BC", count: 5_500))
                #expect(answer["X-Auth-Scope"] == scopes.joined(separator: "%20"))
            }
        }
    }
}
