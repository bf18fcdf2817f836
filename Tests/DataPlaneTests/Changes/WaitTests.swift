import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// A waiting request costs other connections nothing, and ends properly.
@Suite(.timeLimit(.minutes(10))) struct `A poll that waits` {
    @Test func `is answered by the next change, but not by issuance unless it includes that`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let (first, second) = (try await server.connect(), try await server.connect())
            let end = try await server.end(first, caller)
            try await first.send(changes("?after=\(end)&wait=60", caller.authorization))
            try await second.send(changes("?after=\(end)&wait=60&issued=true", caller.authorization))
            let key = try await server.key()
            #expect(try await second.answer().changes().first?["event"] as? String == "issued")
            _ = try await server.issuer.revoke([key.id], chain: false)
            let answer = try await first.answer()
            #expect(try answer.numbers() == [end + 2] && answer["Connection"] == nil)
            // The connection stays open.
            #expect(try await first.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `is answered with an empty list at its timeout`() async throws {
        try await withServer(settings: { $0.idleSeconds = 1 }) { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            // Longer than the deadline of idle connections.
            let answer = try await client.ask(changes("?after=\(end)&wait=4", caller.authorization))
            #expect(try answer.status == 200 && answer.changes().isEmpty && answer.next() == end)
        }
    }

    @Test func `delays later requests, which are answered in order`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            try await client.send(
                changes("?after=\(end)&wait=60", caller.authorization) + request("GET /livez")
                    + changes("?after=\(end)", caller.authorization))
            // More than is read after a waiting request.
            let flood = Task { try await client.send(String(repeating: request("GET /nothing"), count: 5_000)) }
            let key = try await server.key()
            _ = try await server.issuer.revoke([key.id], chain: false)
            #expect(try await client.answer().numbers() == [end + 2])
            #expect(try await client.answer().text == "ok\n")
            #expect(try await client.answer().numbers() == [end + 2])
            for _ in 0..<5_000 { #expect(try await client.answer().status == 404) }
            try await flood.value
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `does not stall a connection that was paused after it while its client did not read`() async throws {
        let folder = try TemporaryFolder()
        try await withServer(["unix:\(folder("s"))"], settings: { $0.writeSeconds = 600 }) { server in
            let caller = try await server.follower()
            let end = try await server.end(try await server.connect(), caller)
            let client = try await server.connect(reads: false)
            try await client.send(changes("?after=\(end)&wait=60", caller.authorization))
            // More than is read after a waiting request, and responses that fill all buffers.
            let flood = Task { try await client.send(String(repeating: request("GET /nothing"), count: 10_000)) }
            try await Task.sleep(for: .milliseconds(300))
            _ = try await server.issuer.revoke([try await server.key().id], chain: false)
            try await Task.sleep(for: .milliseconds(300))
            try await client.startReading()
            #expect(try await client.answer().numbers() == [end + 2])
            for _ in 0..<10_000 { #expect(try await client.answer().status == 404) }
            try await flood.value
            #expect(try await client.ask(request("GET /livez")).status == 200)
        }
    }

    @Test func `gets no changes after its caller lost the right`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            try await client.send(changes("?after=\(end)&wait=60", caller.authorization))
            _ = try await server.issuer.revokeClient(caller.id)
            let answer = try await client.answer()
            #expect(answer.status == 401 && !answer.text.contains("client_revoked"))
        }
    }

    @Test func `is one of a bounded number`() async throws {
        try await withServer(settings: { $0.waitersMax = 1 }) { server in
            let caller = try await server.follower()
            let end = try await server.end(try await server.connect(), caller)
            // Two loops: at least one of three is refused.
            let clients = [try await server.connect(), try await server.connect(), try await server.connect()]
            for client in clients { try await client.send(changes("?after=\(end)&wait=60", caller.authorization)) }
            let answers = Task {
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for client in clients { group.addTask { try await client.answer().status } }
                    return try await group.reduce(into: []) { $0.append($1) }.sorted()
                }
            }
            try await Task.sleep(for: .milliseconds(200))
            _ = try await server.issuer.revoke([try await server.key().id], chain: false)
            let statuses = try await answers.value
            #expect(statuses.contains(503) && statuses.contains(200))
            // An answered request makes room.
            let after = try await server.end(clients[0], caller)
            #expect(try await clients[0].ask(changes("?after=\(after)&wait=1", caller.authorization)).status == 200)
        }
    }

    @Test func `that its client abandons makes room`() async throws {
        try await withServer(settings: { $0.waitersMax = 1 }) { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            for _ in 0..<20 {
                let leaving = try await server.connect()
                try await leaving.send(changes("?after=\(end)&wait=60", caller.authorization))
                try await leaving.close()
            }
            #expect(
                try await eventually {
                    let answer = try await client.ask(changes("?after=\(end)&wait=1", caller.authorization))
                    return answer.status == 200
                })
        }
    }

    @Test func `is answered when its client closes its sending side`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let client = try await server.connect()
            let end = try await server.end(client, caller)
            try await client.send(changes("?after=\(end)&wait=60", caller.authorization))
            try await client.endSending()
            let answer = try await client.answer()
            #expect(try answer.changes().isEmpty && answer["Connection"] == "close")
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test func `is answered by one change together with hundreds of others`() async throws {
        try await withServer { server in
            let caller = try await server.follower()
            let end = try await server.end(try await server.connect(), caller)
            var clients: [WireClient] = []
            for _ in 0..<200 {
                let client = try await server.connect()
                try await client.send(changes("?after=\(end)&wait=60", caller.authorization))
                clients.append(client)
            }
            _ = try await server.issuer.revoke([try await server.key().id], chain: false)
            for client in clients { #expect(try await client.answer().numbers() == [end + 2]) }
        }
    }
}
