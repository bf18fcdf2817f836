import Foundation
import Issuance
import TestSupport
import Testing

/// Rule 18: legal but uncommon forms of requests.
@Suite(.timeLimit(.minutes(10))) struct `A request` {
    @Test func `may name its host in the target, if it equals the Host field`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            for target in ["http://countersign/livez", "HTTP://CounterSign/livez", "https://countersign/livez?x"] {
                #expect(try await client.ask(request("GET \(target)")).text == "ok\n", "\(target)")
            }
            #expect(try await client.ask(request("GET http://countersign")).status == 404)
            #expect(try await client.ask(request("OPTIONS *")).status == 404)
            let key = try await server.key().secret
            let answer = try await client.ask(request("GET http://countersign/verify?api_key=\(key)"))
            #expect(answer.isAllowed)
            for target in [
                "http://other/livez", "http://countersign:80/livez", "http://u@countersign/livez", "http:///livez",
            ] {
                let refused = try await server.connect().ask(request("GET \(target)"))
                #expect(refused.status == 400 && refused["Connection"] == "close", "\(target)")
            }
        }
    }

    @Test func `may be chunked, in any sizes and with extensions and trailers`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let form = Array("token=\(key)&x=%20y".utf8)
            let head =
                "POST /oauth2/introspect HTTP/1.1\r\nHost: a\r\n\(caller.authorization)\r\n"
                + "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: Chunked\r\n\r\n"
            let client = try await server.connect()
            for size in [1, 2, 7, form.count] {
                for (more, trailers) in [("", ""), (";a;b=c;d=\"e;f\"", "X-Sum: 1\r\nX-Other:\r\n")] {
                    var text = head
                    for start in stride(from: 0, to: form.count, by: size) {
                        let piece = form[start..<min(start + size, form.count)]
                        text +=
                            "\(String(piece.count, radix: 16))\(more)\r\n\(String(decoding: piece, as: UTF8.self))\r\n"
                    }
                    #expect(try await client.ask(text + "000\(more)\r\n\(trailers)\r\n").isActive)
                }
            }
            // A trailer is not a field: it does not authenticate the caller.
            let anonymous = head.replacing(caller.authorization + "\r\n", with: "") + "7\r\ntoken=x\r\n0\r\n"
            #expect(try await client.ask(anonymous + "X-Trailer: \(caller.authorization)\r\n\r\n").status == 401)
        }
    }

    @Test func `that waits for 100 Continue gets it before it sends its body`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let body = "token=\(key)"
            let head =
                "POST /oauth2/introspect HTTP/1.1\r\nHost: a\r\n\(caller.authorization)\r\nExpect: 100-continue\r\n"
                + "Content-Type: application/x-www-form-urlencoded\r\n"
            let client = try await server.connect()
            for _ in 0..<3 {
                let interim = try await client.ask(head + "Content-Length: \(body.utf8.count)\r\n\r\n")
                #expect(interim.status == 100 && interim.fields.isEmpty)
                #expect(try await client.ask(body).isActive)
            }
            #expect(try await client.ask(head + "Transfer-Encoding: chunked\r\n\r\n").status == 100)
            #expect(try await client.ask("\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n").isActive)
            // None is sent if the body has already arrived, is empty, or the client uses HTTP/1.0.
            #expect(try await client.ask(head + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)").isActive)
            #expect(try await client.ask(request("GET /livez", ["Expect: 100-Continue"])).status == 200)
            let old = head.replacing("HTTP/1.1", with: "HTTP/1.0") + "Content-Length: \(body.utf8.count)\r\n\r\n"
            try await client.send(old)
            #expect(try await client.ask(body).isActive)
            // A body that will be refused is not requested.
            let large = try await server.connect().ask(head + "Content-Length: 65537\r\n\r\n")
            #expect(large.status == 413)
        }
    }

    @Test func `too long in any part is refused with the status for that part`() async throws {
        try await withServer { server in
            let line = "GET /livez HTTP/1.1\r\nHost: a\r\n"
            func fields(_ count: Int) -> String { (0..<count).map { "X-\($0): a\r\n" }.joined() }
            func x(_ count: Int) -> String { String(repeating: "x", count: count) }
            #expect(try await server.connect().ask(line + fields(63) + "\r\n").status == 200)
            let room = 16_384 - line.utf8.count - "X: \r\n\r\n".utf8.count
            #expect(try await server.connect().ask(line + "X: \(x(room))\r\n\r\n").status == 200)
            for (text, status) in [
                (line + fields(64) + "\r\n", 431), (line + "X: \(x(room + 1))\r\n\r\n", 431),
                (line + "X: \(x(20_000))", 431), (line + "\(x(20_000)): a", 431),
                ("GET /\(x(12_288)) HTTP/1.1\r\nHost: a\r\n\r\n", 414), ("GET /\(x(20_000))", 414),
                (x(40) + " / HTTP/1.1\r\n\r\n", 501),
            ] {
                let client = try await server.connect()
                let answer = try await client.ask(text)
                #expect(answer.status == status && answer["Connection"] == "close", "\(text.prefix(60))")
                #expect(try answer.json()["status"] as? Int == status)
                #expect(try await client.rest().isEmpty)
            }
            #expect(try await server.connect().ask("GET /\(x(12_287)) HTTP/1.1\r\nHost: a\r\n\r\n").status == 404)
        }
    }

    @Test func `that is refused while it is sent is read to its end, so that the refusal arrives`()
        async throws
    {
        try await withServer { server in
            for _ in 0..<10 {
                let client = try await server.connect()
                try await client.send(
                    "POST /verify HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"
                        + String(repeating: "x", count: 3_000_000))
                #expect(try await client.answer().status == 413)
            }
        }
    }

    @Test func `of random bytes does not affect the service`() async throws {
        try await withServer { server in
            let parts = [
                "GET ", "POST ", "/verify", "/oauth2/introspect", " HTTP/1.1", "\r\n", "\n", ":", "Host: a",
                "Content-Length: ",
                "5", "Transfer-Encoding: chunked", "\u{0}", "Authorization: Bearer ", " ", "\r\n\r\n", "?api_key=", "%",
                "0\r\n",
            ].map { Array($0.utf8) }
            for _ in 0..<150 {
                let client = try await server.connect()
                var bytes: [UInt8] = []
                for _ in 0..<Int.random(in: 1...40) {
                    bytes += Bool.random() ? parts.randomElement() ?? [] : [UInt8.random(in: 0...255)]
                }
                try? await client.send(bytes)
                try await client.close()
            }
            #expect(try await server.connect().ask(request("GET /livez")).status == 200)
        }
    }
}
