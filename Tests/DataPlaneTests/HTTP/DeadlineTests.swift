import CredentialModel
import Foundation
import Issuance
import NIOCore
import TestSupport
import Testing

/// Every state of a connection has a deadline, since a connection costs memory.
@Suite(.timeLimit(.minutes(10))) struct `A slow client` {
    @Test(arguments: ["G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: a\r\nX: ", "\r\n"])
    func `that does not complete its head gets 408 and is closed`(_ head: String) async throws {
        try await withServer(settings: { $0.headSeconds = 1 }) { server in
            let client = try await server.connect()
            let start = server.now
            try await client.send(head)
            let answer = try await client.answer()
            #expect(try #require(answer.date) > start)
            #expect(answer.status == 408 && answer["Connection"] == "close")
            #expect(try answer.json()["status"] as? Int == 408)
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test func `that sends its head byte by byte has the same deadline`() async throws {
        try await withServer(settings: { $0.headSeconds = 1 }) { server in
            let client = try await server.connect()
            let answering = Task { try await client.answer() }
            try await client.send("GET /livez HTTP/1.1\r\nHost: a\r\nX: ")
            // Continues until the connection is closed.
            while true {
                do { try await client.send("x") } catch { break }
                if !client.channel.isActive { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await answering.value.status == 408)
        }
    }

    @Test(arguments: [
        "Content-Length: 10\r\n\r\n", "Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n123", "Transfer-Encoding: chunked\r\n\r\n0\r\n",
    ])
    func `that does not complete its body gets 408 and is closed`(_ rest: String) async throws {
        try await withServer(settings: { $0.bodySeconds = 1 }) { server in
            let client = try await server.connect()
            try await client.send(request("GET /livez") + "POST /verify HTTP/1.1\r\nHost: a\r\n" + rest)
            #expect(try await client.answer().status == 200)
            #expect(try await client.answer().status == 408)
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test func `that waits for 100 Continue and then sends nothing is closed as well`() async throws {
        try await withServer(settings: { $0.bodySeconds = 1 }) { server in
            let client = try await server.connect()
            let interim = try await client.ask(
                "POST /verify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            #expect(interim.status == 100)
            #expect(try await client.answer().status == 408)
            try await client.rest()
        }
    }

    @Test func `that sends nothing is closed silently, before and between requests`() async throws {
        try await withServer(settings: { ($0.freshSeconds, $0.idleSeconds) = (4, 1) }) { server in
            let silent = try await server.connect()
            let idle = try await server.connect()
            #expect(try await idle.ask(request("GET /livez")).status == 200)
            #expect(try await silent.rest().isEmpty)
            #expect(try await idle.rest().isEmpty)
        }
    }

    @Test func `that does not start TLS is closed`() async throws {
        let certificates = try Certificates()
        try await withServer(
            ["https://127.0.0.1:0"], identity: certificates.identity(), settings: { $0.freshSeconds = 1 }
        ) { server in
            let silent = try await server.connect()
            #expect(try await silent.rest().isEmpty)
        }
    }

    @Test func `has no head deadline between two requests`() async throws {
        try await withServer(settings: { ($0.headSeconds, $0.bodySeconds) = (1, 1) }) { server in
            let client = try await server.connect()
            #expect(try await client.ask(request("GET /livez")).status == 200)
            try await Task.sleep(for: .seconds(4))
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    /// Over a Unix socket, whose system buffers do not grow.
    private func flood(
        _ settings: (writeSeconds: Int64, total: Int),
        _ body: (WireClient, Int, Task<Void, any Error>) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))"], settings: { $0.writeSeconds = settings.writeSeconds }) { server in
            let client = try await server.connect(reads: false)
            let pair = Array((request("GET /livez") + request("GET /nothing")).utf8)
            let burst = Array(repeatElement(pair, count: 20).joined())
            let taken = Counter()
            let sending = Task {
                for _ in 0..<settings.total / 40 {
                    try await client.send(burst)
                    taken.add(40)
                }
            }
            // Until nothing more is accepted: the server has stopped reading.
            var seen = -1
            var still = 0
            while still < 25 {
                try await Task.sleep(for: .milliseconds(20))
                still = taken.value == seen ? still + 1 : 0
                seen = taken.value
            }
            try await body(client, seen, sending)
        }
    }

    @Test func `that does not read responses is not read from, and gets them all in order later`() async throws {
        try await flood((writeSeconds: 600, total: 20_000)) { client, taken, sending in
            #expect(taken < 20_000)
            try await client.startReading()
            for index in 0..<20_000 {
                let status = try await client.answer().status
                guard status == (index % 2 == 0 ? 200 : 404) else {
                    Issue.record("answer \(index) is \(status)")
                    break
                }
            }
            try await sending.value
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `that does not read responses for too long is closed`() async throws {
        try await flood((writeSeconds: 1, total: 20_000)) { client, _, sending in
            // The server closes; what it had sent may still be read, but nothing more is accepted.
            await #expect(throws: (any Error).self) { try await sending.value }
        }
    }

    @Test func `that is slow to read its last responses still gets them`() async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))"], settings: { $0.writeSeconds = 60 }) { server in
            let client = try await server.connect(reads: false)
            var text = String(repeating: request("GET /nothing"), count: 5_000)
            text += request("GET /livez", ["Connection: close"])
            let whole = text
            let sending = Task { try await client.send(whole) }
            // Longer than a client has to close its side after the last response.
            try await Task.sleep(for: .seconds(5))
            try await client.startReading()
            for _ in 0..<5_000 { #expect(try await client.answer().status == 404) }
            #expect(try await client.answer().text == "ok\n")
            try await sending.value
            #expect(try await client.rest().isEmpty)
        }
    }
}

@Suite(.timeLimit(.minutes(10))) struct `Connections` {
    @Test func `beyond the limit are closed at once, and one that ends makes room`() async throws {
        try await withServer(settings: { $0.connectionsMax = 2 }) { server in
            let first = try await server.connect()
            let second = try await server.connect()
            for client in [first, second] { #expect(try await client.ask(request("GET /livez")).status == 200) }
            for _ in 0..<5 {
                let third = try await server.connect()
                #expect(try await third.rest().isEmpty)
            }
            #expect(try await first.ask(request("GET /livez")).status == 200)
            try await second.close()
            #expect(
                try await eventually {
                    let next = try await server.connect()
                    try? await next.send(request("GET /livez"))
                    return try await next.nextAnswer()?.status == 200
                })
            #expect(try await first.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `up to the limit leave room for probes`() async throws {
        try await withServer(health: "http://127.0.0.1:0", settings: { $0.connectionsMax = 1 }) { server in
            let only = try await server.connect()
            #expect(try await only.ask(request("GET /livez")).status == 200)
            #expect(try await server.connect().rest().isEmpty)
            for _ in 0..<3 {
                #expect(try await server.connect(1).ask(request("GET /livez")).status == 200)
            }
            // Nor do probes use their room.
            try await only.close()
            let probe = try await server.connect(1)
            #expect(try await probe.ask(request("GET /livez")).status == 200)
            #expect(
                try await eventually {
                    let next = try await server.connect()
                    try? await next.send(request("GET /livez"))
                    return try await next.nextAnswer()?.status == 200
                })
        }
    }

    @Test func `in large numbers do not mix up their responses`() async throws {
        try await withServer { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<60 {
                    let owner = "owner-\(index)"
                    let key = try await server.key(KeyRequest(owner: owner)).secret
                    group.addTask {
                        let client = try await server.connect()
                        for _ in 0..<20 {
                            #expect(try await client.ask(verification("", apiKey(key)))["X-Auth-Subject"] == owner)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
