import DataPlane
import Foundation
import Issuance
import NIOCore
import TestSupport
import Testing

/// Which bodies are buffered, and the memory of all of them together.
@Suite(.timeLimit(.minutes(10))) struct `An incomplete body` {
    /// A head that announces a body.
    private func head(
        _ path: String, _ fields: String?..., type: String = "application/json", method: String = "POST",
        bytes: Int = 60_000
    ) -> String {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: a\r\nContent-Type: \(type)\r\nContent-Length: \(bytes)\r\n"
        for case let field? in fields { text += field + "\r\n" }
        return text + "\r\n"
    }

    private let form = "application/x-www-form-urlencoded"
    private let review = "/apis/authentication.k8s.io/v1/tokenreviews"

    @Test func `is not awaited if the head is refused`() async throws {
        try await withServer(settings: { $0.bodySeconds = 600 }) { server in
            let caller = try await server.caller()
            let powerless = try await server.caller(rights: ["changes"])
            let wrong = basic(caller.id, powerless.secret)
            let cases: [(String, Int)] = [
                (head("/v1/verify"), 401), (head("/v1/verify", wrong), 401),
                (head("/v1/verify", powerless.authorization), 403), (head("/v1/verify", type: form), 415),
                (head("/v1/verify", "Authorization: Basic", caller.authorization), 400),
                (head("/v1/verify", method: "PUT"), 405),
                (head(review), 401), (head(review, wrong), 401), (head(review, type: "text/plain"), 415),
                (head("/oauth2/introspect", wrong, type: form), 401),
                (head("/oauth2/introspect", bearer("nonsense"), type: form), 401),
                (head("/oauth2/introspect", powerless.authorization, type: form), 403),
                (head("/oauth2/introspect", type: "application/json"), 415),
                (head("/v1/changes", method: "GET"), 401), (head("/nothing"), 404), (head("/livez"), 405),
            ]
            for (head, status) in cases {
                let client = try await server.connect()
                let answer = try await client.ask(head + "half a bo")
                #expect(answer.status == status && answer["Connection"] == "close", "\(head)")
                #expect(try await client.rest().isEmpty)
            }
        }
    }

    @Test func `is refused by its head on a listener for authenticated callers`() async throws {
        try await withServer(["http://0.0.0.0:0"], settings: { $0.bodySeconds = 600 }) { server in
            for (query, status) in [("", 403), ("?profile=nginx", 403)] {
                let client = try await server.connect()
                let answer = try await client.ask(head("/verify\(query)"))
                #expect(answer.status == status && answer["X-Auth-Status"] == (query.isEmpty ? nil : "403"))
                #expect(try await client.rest().isEmpty)
            }
        }
    }

    @Test func `gets no 100 Continue if the head is refused`() async throws {
        try await withServer(["http://127.0.0.1:0", "http://0.0.0.0:0"]) { server in
            let caller = try await server.caller()
            let powerless = try await server.caller(rights: ["changes"])
            let expects = "Expect: 100-continue"
            let cases: [(String, Int, listener: Int)] = [
                (head("/v1/verify", expects), 401, 0), (head("/v1/verify", powerless.authorization, expects), 403, 0),
                (head("/v1/verify", caller.authorization, expects, type: form), 415, 0),
                (head("/v1/verify", caller.authorization, expects, bytes: 2_000_000), 413, 0),
                (head("/oauth2/introspect", caller.authorization, expects, type: form, bytes: 70_000), 413, 0),
                (head(review, expects), 401, 0), (head("/v1/verify", expects, method: "PUT"), 405, 0),
                (head("/nothing", expects), 404, 0), (head("/verify", expects), 403, 1),
                // A caller without the right gets that refusal first, whatever else is wrong.
                (head("/verify?scope=a&scope=b", expects), 403, 1), (head("/ext_authz/none/x", expects), 403, 1),
            ]
            for (head, status, listener) in cases {
                let client = try await server.connect(listener)
                let answer = try await client.ask(head)
                #expect(answer.status == status && answer["Connection"] == "close", "\(head)")
                #expect(try await client.rest().isEmpty)
            }
            let known = try await server.connect()
            let body = #"{"credential":"x"}"#
            let head = head("/v1/verify", caller.authorization, "Expect: 100-continue", bytes: body.utf8.count)
            #expect(try await known.ask(head).status == 100)
            #expect(try await known.ask(body).status == 200)
        }
    }

    @Test func `is read to its end if the caller is authenticated, or can only be authenticated by it`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            for (field, body) in [
                (caller.authorization as String?, "token=\(key)"), (nil, "token=\(key)&\(caller.parameters)"),
            ] {
                let client = try await server.connect()
                try await client.send(head("/oauth2/introspect", field, type: form, bytes: body.utf8.count))
                for byte in Array(body.utf8) { try await client.send([byte]) }
                #expect(try await client.answer().json()["active"] as? Bool == true)
                // The next request of the connection is judged separately.
                #expect(try await client.ask(head("/oauth2/introspect", basic("a", "b"), type: form)).status == 401)
            }
        }
    }

    @Test func `of a caller that is revoked meanwhile is not answered`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let body = "token=\(key)"
            let client = try await server.connect()
            try await client.send(head("/oauth2/introspect", caller.authorization, type: form, bytes: body.utf8.count))
            try await client.send("token=")
            _ = try await server.issuer.revokeClient(caller.id)
            #expect(try await client.ask(key).status == 401)
        }
    }
}

@Suite(.timeLimit(.minutes(10))) struct `All incomplete requests together` {
    private let budget = 4 << 20

    private func head(_ caller: CallingClient, bytes: Int) -> String {
        request(
            "POST /v1/verify",
            [caller.authorization, "Content-Type: application/json", "Content-Length: \(bytes)"])
    }

    @Test(arguments: ["sized", "chunked"])
    func `stay within the budget, and the largest are refused`(_ framing: String) async throws {
        try await withServer(settings: {
            ($0.bufferBytesMax, $0.bodySeconds, $0.headSeconds) = (budget, 600, 600)
        }) { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            // It began before the flood and holds little: it outlives it.
            let body = "token=\(key)"
            let small = try await server.connect()
            try await small.send(
                request(
                    "POST /oauth2/introspect",
                    [
                        caller.authorization, "Content-Type: application/x-www-form-urlencoded",
                        "Content-Length: \(body.utf8.count)",
                    ]) + "token=")
            let shortHead = try await server.connect()
            try await shortHead.send("GET /livez HTTP/1.1\r\nHost: a\r\n")
            let start =
                framing == "sized"
                ? head(caller, bytes: 1 << 20)
                : request(
                    "POST /v1/verify",
                    [caller.authorization, "Content-Type: application/json", "Transfer-Encoding: chunked"])
                    + "FFFFF\r\n"
            var most = 0
            var large: [WireClient] = []
            for _ in 0..<24 {
                let client = try await server.connect()
                try await client.send(start)
                for _ in 0..<14 {
                    // The server may close while this is sent.
                    try? await client.send([UInt8](repeating: 0x20, count: 65_536))
                    most = max(most, server.server.figures.bufferedBytes)
                }
                large.append(client)
            }
            // One read of each event loop may happen before the other has freed memory.
            #expect(most > budget / 2 && most <= budget + (1 << 20))
            #expect(server.server.figures.droppedForRoom > 10)
            #expect(try await small.ask(key).json()["active"] as? Bool == true)
            #expect(try await shortHead.ask("\r\n").status == 200)
            // Those that were kept end without a response when nothing more arrives.
            var refused = 0
            for client in large {
                try? await client.endSending()
                guard let answer = try? await client.nextAnswer() else { continue }
                #expect(answer.status == 503 && answer["Retry-After"] == "1" && answer["Connection"] == "close")
                refused += 1
            }
            #expect(refused > 10)
            for client in large { try await client.close() }
            try await small.close()
            try await shortHead.close()
            #expect(try await eventually { server.server.figures.bufferedBytes == 0 })
        }
    }

    @Test func `include unread responses, and free their memory when they are read`() async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))"], settings: { $0.writeSeconds = 600 }) { server in
            let client = try await server.connect(reads: false)
            let burst = String(repeating: request("GET /nothing"), count: 2_000)
            let sending = Task { try await client.send(burst + burst + burst) }
            #expect(try await eventually { server.server.figures.bufferedBytes > 65_536 })
            try await client.startReading()
            for _ in 0..<6_000 { #expect(try await client.answer().status == 404) }
            try await sending.value
            // The connection stays open and idle, and keeps only the read buffer of its channel.
            #expect(try await eventually { server.server.figures.bufferedBytes <= 16_384 })
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `close connections with unread responses when these are too many`() async throws {
        let folder = try TemporaryFolder()
        try await withServer(
            ["unix:\(folder("s"))"],
            settings: {
                ($0.bufferBytesMax, $0.writeSeconds) = (budget, 600)
            }
        ) { server in
            let burst = String(repeating: request("GET /nothing"), count: 2_000)
            var sending: [Task<Void, any Error>] = []
            for _ in 0..<24 {
                let client = try await server.connect(reads: false)
                sending.append(Task { while true { try await client.send(burst) } })
            }
            #expect(try await eventually { server.server.figures.droppedForRoom > 0 })
            #expect(server.server.figures.bufferedBytes <= budget + (2 << 20))
            let good = try await server.connect()
            #expect(try await good.ask(request("GET /livez")).status == 200)
            for task in sending { task.cancel() }
        }
    }
}
