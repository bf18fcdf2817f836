import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// Rule 18: persistence of connections (RFC 9112 §9).
@Suite(.timeLimit(.minutes(10))) struct `A connection` {
    @Test func `persists in HTTP 1.1 until either side sends close`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            for _ in 0..<50 {
                let answer = try await client.ask(request("GET /livez"))
                #expect(answer.version == "HTTP/1.1" && answer["Connection"] == nil && answer.text == "ok\n")
            }
            for option in ["close", "Close", "keep-alive, close", "close, TE", "x,close"] {
                let client = try await server.connect()
                let answer = try await client.ask(request("GET /livez", ["Connection: \(option)"]))
                #expect(answer["Connection"] == "close", "\(option)")
                #expect(try await client.rest().isEmpty)
            }
        }
    }

    @Test func `persists in HTTP 1.0 only on request`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            for option in ["keep-alive", "Keep-Alive", "x, keep-alive"] {
                let answer = try await client.ask("GET /livez HTTP/1.0\r\nConnection: \(option)\r\n\r\n")
                #expect(answer["Connection"] == "keep-alive" && answer.status == 200)
            }
            for fields in ["", "Connection: x\r\n", "Connection: close, keep-alive\r\n", "Keep-Alive: 5\r\n"] {
                let client = try await server.connect()
                let answer = try await client.ask("GET /livez HTTP/1.0\r\n\(fields)\r\n")
                #expect(answer["Connection"] == "close" && answer.text == "ok\n")
                #expect(try await client.rest().isEmpty)
            }
        }
    }

    @Test func `carries many requests in one write, and answers them in order`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let client = try await server.connect()
            var owners: [String] = []
            var many = ""
            for index in 0..<100 {
                let owner = "owner-\(index)"
                let key = try await server.key(KeyRequest(owner: owner)).secret
                owners.append(owner)
                switch index % 4 {
                case 0: many += introspection("token=\(key)", caller.authorization)
                case 1: many += verification("", apiKey(key))
                case 2: many += request("GET /nothing") + verification("", method: "HEAD", apiKey(key))
                default:
                    many +=
                        "POST /oauth2/introspect HTTP/1.1\r\nHost: a\r\n\(caller.authorization)\r\n"
                        + "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "6\r\ntoken=\r\n\(String(key.utf8.count, radix: 16))\r\n\(key)\r\n0\r\n\r\n"
                }
            }
            try await client.send(many)
            for (index, owner) in owners.enumerated() {
                switch index % 4 {
                case 1: #expect(try await client.answer()["X-Auth-Subject"] == owner)
                case 2:
                    #expect(try await client.answer().status == 404)
                    #expect(try await client.answer(isHead: true)["X-Auth-Subject"] == owner)
                default: #expect(try await client.answer().json()["sub"] as? String == owner)
                }
            }
        }
    }

    @Test func `that closes with a request answers those before it and none after it`() async throws {
        try await withServer { server in
            for last in [
                request("GET /livez", ["Connection: close"]), "GET /livez HTTP/1.0\r\n\r\n", "NOT HTTP\r\n\r\n",
                "GET / HTTP/1.1\r\n\r\n",
            ] {
                let client = try await server.connect()
                try await client.send(request("GET /livez") + request("GET /x") + last + request("GET /livez"))
                #expect(try await client.answer().status == 200)
                #expect(try await client.answer().status == 404)
                #expect(try await client.answer()["Connection"] == "close")
                #expect(try await client.rest().isEmpty)
            }
        }
    }

    @Test func `is answered alike if its bytes arrive one by one`() async throws {
        // Bytes may be delayed while other tests run: this does not test deadlines.
        try await withServer(settings: { ($0.headSeconds, $0.bodySeconds) = (120, 120) }) { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let chunked =
                "POST /oauth2/introspect HTTP/1.1\r\nHost: a\r\n\(caller.authorization)\r\n"
                + "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "6;x=y\r\ntoken=\r\n\(String(key.utf8.count, radix: 16))\r\n\(key)\r\n0\r\nX-Trailer: a\r\n\r\n"
            for text in [
                introspection("token=\(key)", caller.authorization), chunked, verification("?scope=a", apiKey(key)),
                request("GET /x"),
            ] {
                let whole = try await server.connect().ask(text)
                let client = try await server.connect()
                for byte in text.utf8 { try await client.send([byte]) }
                #expect(try await client.answer().withoutDate == whole.withoutDate)
                // Split anywhere, with the next request after it.
                for _ in 0..<20 {
                    let bytes = Array((text + text).utf8)
                    let cut = Int.random(in: 1..<bytes.count)
                    try await client.send(Array(bytes[..<cut]))
                    try await client.send(Array(bytes[cut...]))
                    for _ in 0..<2 {
                        #expect(try await client.answer().withoutDate == whole.withoutDate, "cut at \(cut)")
                    }
                }
            }
        }
    }

    @Test func `that the client half-closes or drops is closed`() async throws {
        try await withServer { server in
            for text in ["", "GET /li", introspection("token=x").dropLast(1) + ""] {
                let client = try await server.connect()
                try await client.send(text)
                try await client.close()
            }
            #expect(try await server.connect().ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `that is half-closed after its requests gets all responses, and ends`() async throws {
        let folder = try TemporaryFolder()
        try await withServer(["http://127.0.0.1:0", "unix:\(folder("s"))"]) { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            for listener in [0, 1] {
                for count in [1, 3, 40] {
                    let client = try await server.connect(listener)
                    let ask = introspection("token=\(key)", caller.authorization)
                    // In one write with the end, as far as possible.
                    try await client.send(String(repeating: ask, count: count))
                    try await client.endSending()
                    for _ in 0..<count { #expect(try await client.answer().isActive) }
                    #expect(try await client.rest().isEmpty)
                }
                // An incomplete request gets no response.
                let client = try await server.connect(listener)
                try await client.send("GET /livez HT")
                try await client.endSending()
                #expect(try await client.rest().isEmpty)
            }
        }
    }

    @Test func `ignores one empty line before a request`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            #expect(try await client.ask("\r\n" + request("GET /livez")).status == 200)
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }
}
