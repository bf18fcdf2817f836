import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

private let accept = "Accept: text/event-stream"

@Suite(.timeLimit(.minutes(10))) struct `A stream of changes` {
    @Test func `starts with its position and sends each change as an event`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            let stream = try await EventStream(client, changes("?after=\(end)", caller.authorization, accept))
            #expect(stream.head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(stream.head.contains("\r\nContent-Type: text/event-stream\r\n"))
            #expect(stream.head.contains("\r\nConnection: close\r\n") && !stream.head.contains("Content-Length"))
            let begin = try await stream.next()
            #expect(begin.name == "begin" && begin.id == String(end) && stream.retry == "1000")
            #expect(try begin.json()["incarnation"] as? String == String(server.fixture.store.incarnation))
            let key = try await server.key()
            _ = try await server.issuer.revoke([key.id], chain: false)
            let event = try await stream.next()
            #expect(event.id == String(end + 2) && event.name == nil)
            #expect(try event.json()["event"] as? String == "revoked")
            #expect(try event.json()["id"] as? String == key.id.description)
        }
    }

    @Test func `resumes after the last event that was seen`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let end = try await server.end(try await server.connect(), caller)
            let query = "?after=\(end)"
            let keys = try await server.issuer.createKeys(KeyRequest(owner: "alice", count: 600))
            for part in stride(from: 0, to: 600, by: 100) {
                _ = try await server.issuer.revoke(keys[part..<part + 100].map(\.summary.id), chain: false)
            }
            var numbers: [UInt64] = []
            // More than one piece, split inside of events.
            let first = try await server.connect()
            let stream = try await EventStream(first, changes(query, caller.authorization, accept))
            numbers += try await stream.changes(300)
            try await first.close()
            let last = try #require(numbers.last)
            let fields = [accept, "Last-Event-ID: \(last)"]
            let second = try await EventStream(
                try await server.connect(), changes(query, caller.authorization, fields[0], fields[1]))
            #expect(try await second.next().id == String(last))
            numbers += try await second.changes(300)
            #expect(numbers == (try server.revocations(after: end)))
        }
    }

    @Test func `loses nothing while others write`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            let stream = try await EventStream(client, changes("?issued=true", caller.authorization, accept))
            #expect(try await stream.next().id == String(end))
            let fixture = server.fixture
            let writing = Task {
                for _ in 0..<50 {
                    let keys = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", count: 20))
                    _ = try await fixture.issuer.revoke(keys.map(\.summary.id), chain: false)
                }
            }
            let numbers = try await stream.changes(2_000)
            try await writing.value
            #expect(numbers == Array(end + 1...end + 2_000))
        }
    }

    @Test func `is refused before it begins like a poll`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            #expect(try await client.ask(changes("", accept)).status == 401)
            let gone = try await client.ask(changes("?after=\(end + 9)", caller.authorization, accept))
            #expect(gone.status == 410)
            for field in ["Last-Event-ID: x", "Last-Event-ID: -1", "Last-Event-ID: 1\r\nLast-Event-ID: 1"] {
                let answer = try await client.ask(changes("", caller.authorization, accept, field))
                #expect(answer.status == 400, "\(field)")
            }
            // A client that does not accept the type gets no stream, and Last-Event-ID is then ignored.
            for other in ["Accept: */*", "Accept: text/*", "Accept: text/event-streams"] {
                let answer = try await client.ask(changes("", caller.authorization, other, "Last-Event-ID: x"))
                #expect(answer.status == 200 && answer["Content-Type"] == "application/json")
            }
            let stream = try await EventStream(
                client, changes("", caller.authorization, "Accept: application/json, Text/Event-Stream;q=0.9"))
            #expect(try await stream.next().name == "begin")
        }
    }

    @Test func `ends when its caller loses the right, without later changes`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let stream = try await EventStream(
                try await server.connect(), changes("", caller.authorization, accept))
            #expect(try await stream.next().name == "begin")
            _ = try await server.issuer.revokeClient(caller.id)
            _ = try await server.issuer.revokeOwner("alice", issuedBefore: nil)
            await #expect(throws: WireClient.Closed.self) { _ = try await stream.next() }
        }
    }

    @Test func `sends heartbeats, and outlives the deadline of idle connections`() async throws {
        try await withServer(settings: { ($0.idleSeconds, $0.writeSeconds) = (1, 1) }) { server in
            let caller = try await server.follower()
            let stream = try await EventStream(
                try await server.connect(), changes("", caller.authorization, accept))
            #expect(try await stream.next().name == "begin")
            let waiting = Task {
                try await Task.sleep(for: .seconds(17))
                return try await server.issuer.revokeOwner("alice", issuedBefore: nil).journalNumber
            }
            let event = try await stream.next()
            #expect(event.id == String(try await waiting.value))
            #expect(stream.comments >= 1)
        }
    }

    /// Over a Unix socket, whose system buffers do not grow.
    private func untaken(
        writeSeconds: Int64, _ body: (WireClient, RunningServer) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))"], settings: { $0.writeSeconds = writeSeconds }) { server in
            let caller = try await server.follower()
            for _ in 0..<4 { _ = try await server.issuer.createKeys(KeyRequest(owner: "alice", count: 1_000)) }
            let client = try await server.connect(reads: false)
            try await client.send(changes("?after=0&issued=true", caller.authorization, accept))
            try await body(client, server)
        }
    }

    @Test func `that is not read for a while is complete when it is read`() async throws {
        try await untaken(writeSeconds: 600) { client, server in
            try await Task.sleep(for: .seconds(3))
            try await client.startReading()
            _ = try await client.text(until: "\r\n\r\n")
            var numbers: [UInt64] = []
            while numbers.count < 4_002 {
                let event = try await client.text(until: "\n\n")
                guard !event.hasPrefix(":"), !event.contains("event: begin") else { continue }
                numbers.append(try #require(event.split(separator: "\n").first.flatMap { UInt64($0.dropFirst(4)) }))
            }
            #expect(numbers == Array(1...4_002))
            _ = try await server.issuer.revokeOwner("alice", issuedBefore: nil)
            var event = ":"
            while event == ":" { event = try await client.text(until: "\n\n") }
            #expect(event.contains("owner_revoked"))
        }
    }

    @Test func `that is not read for too long is closed`() async throws {
        try await untaken(writeSeconds: 1) { client, _ in
            let isClosed = try await eventually { !client.channel.isActive }
            #expect(isClosed)
        }
    }
}
