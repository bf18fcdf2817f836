import CredentialModel
import Foundation
import Issuance
import Logging
import Synchronization
import Testing
import TestSupport

@testable import DataPlane

@Suite struct `The figures of the data plane` {
    private func count(_ server: RunningServer, _ interface: String, _ kind: String, _ outcome: String) -> UInt64 {
        server.server.figures.verifications[.init(interface: interface, kind: kind, outcome: outcome)] ?? 0
    }

    @Test func `count verifications by interface, kind and outcome`() async throws {
        try await withServer(["http://127.0.0.1:0"]) { server in
            let key = try await server.issuer.createKeys(KeyRequest(owner: "a", scope: ["read"]))[0]
            let limited = try await server.issuer.createKeys(KeyRequest(owner: "a", networks: ["10.0.0.0/8"]))[0]
            let meant = try await server.issuer.createKeys(KeyRequest(owner: "a", audience: ["https://x.example"]))[0]
            let client = try await server.connect()
            func verify(_ secret: SecretText, _ query: String = "", scheme: String = "ApiKey") async throws {
                _ = try await client.ask(
                    "GET /verify\(query) HTTP/1.1\r\nHost: a\r\nAuthorization: \(scheme) \(secret.reveal())\r\n\r\n")
            }
            for _ in 0..<3 { try await verify(key.secret) }
            try await verify(key.secret, "?scope=write")
            try await verify(key.secret, scheme: "Bearer")
            try await verify(limited.secret)
            try await verify(meant.secret, "?audience=https://y.example")
            try await verify(SecretText(Array("nonsense".utf8)))
            _ = try await server.issuer.revoke([key.summary.id], chain: false)
            try await verify(key.secret)
            #expect(count(server, "verify", "api_key", "valid") == 3)
            #expect(count(server, "verify", "api_key", "insufficient_scope") == 1)
            #expect(count(server, "verify", "api_key", "wrong_kind") == 1)
            #expect(count(server, "verify", "api_key", "wrong_network") == 1)
            #expect(count(server, "verify", "api_key", "wrong_audience") == 1)
            #expect(count(server, "verify", "none", "malformed") == 1)
            #expect(count(server, "verify", "api_key", "revoked") == 1)
            #expect(server.server.figures.verifications.values.reduce(0, +) == 9)
            #expect(server.server.figures.connections == 1)
        }
    }

    @Test func `count introspections and verdicts, and the use of rotated credentials`() async throws {
        try await withServer { server in
            let caller = try await server.caller(rights: ["introspect"])
            let key = try await server.issuer.createKeys(KeyRequest(owner: "a"))[0]
            _ = try await server.issuer.rotate(key.summary.id, overlapSeconds: 600)
            let client = try await server.connect()
            _ = try await client.ask(introspection("token=\(key.secret.reveal())", caller.authorization))
            _ = try await client.ask(introspection("token=unknown", caller.authorization))
            _ = try await client.ask(introspection("token=\(caller.secret)", caller.authorization))
            #expect(count(server, "introspect", "api_key", "valid") == 1)
            #expect(count(server, "introspect", "none", "malformed") == 1)
            #expect(count(server, "introspect", "client_secret", "wrong_kind") == 1)
            #expect(server.server.figures.supersededUses == 1)
            let body = #"{"credentials": ["\#(key.secret.reveal())", "x"]}"#
            _ = try await client.ask(
                "POST /v1/verify HTTP/1.1\r\nHost: a\r\n\(caller.authorization)\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            #expect(count(server, "v1_verify", "api_key", "valid") == 1)
            #expect(count(server, "v1_verify", "none", "malformed") == 1)
            #expect(server.server.figures.supersededUses == 2)
        }
    }

    @Test func `are served only by the health listener`() async throws {
        try await withServer(health: "http://127.0.0.1:0") { server in
            let open = try await server.connect(1)
            let answer = try await open.ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(answer.status == 200)
            #expect(answer["Content-Type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            let other = try await server.connect()
            #expect(try await other.ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").status == 404)
            #expect(try await open.ask("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status == 405)
        }
    }
}

@Suite(.timeLimit(.minutes(10))) struct `A caller that is refused` {
    private func count(_ server: RunningServer, _ interface: String, _ reason: String) -> UInt64 {
        server.server.figures.refusedCallers[.init(interface: interface, reason: reason)] ?? 0
    }

    @Test func `is counted by interface and reason, once`() async throws {
        try await withServer(["http://127.0.0.1:0", "http://0.0.0.0:0"]) { server in
            let caller = try await server.caller()
            let powerless = try await server.caller(rights: [])
            let client = try await server.connect()
            for _ in 0..<20 { _ = try await client.ask(introspection("token=x", basic(caller.id, "wrong"))) }
            _ = try await client.ask(introspection("token=x"))
            _ = try await client.ask(introspection("token=x", bearer("y")))
            _ = try await client.ask(introspection("token=x", powerless.authorization))
            _ = try await client.ask(introspection("token=x", "Authorization: Bearer a, b"))
            _ = try await client.ask(introspection("token=x&client_id=\(caller.id)&client_secret=no"))
            _ = try await client.ask(introspection("token=x", caller.authorization))
            _ = try await client.ask(request("GET /v1/changes"))
            _ = try await client.ask(request("POST /v1/verify", ["Content-Type: application/json"], body: "{}"))
            // Refused by the head, and counted once.
            let waiting = try await server.connect()
            _ = try await waiting.ask(request("POST /v1/verify", ["Content-Length: 9"]))
            _ = try await server.connect(1).ask(verification())
            #expect(count(server, "introspect", "invalid_client") == 21)
            #expect(count(server, "introspect", "unauthenticated") == 1)
            #expect(count(server, "introspect", "invalid_token") == 1)
            #expect(count(server, "introspect", "forbidden") == 1)
            #expect(count(server, "introspect", "malformed") == 1)
            #expect(count(server, "changes", "unauthenticated") == 1)
            #expect(count(server, "v1_verify", "unauthenticated") == 2)
            #expect(count(server, "verify", "forbidden") == 1)
            #expect(server.server.figures.refusedCallers.values.reduce(0, +) == 29)
        }
    }

    @Test func `without a credential is an outcome of a verification`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            for field in [nil, "Authorization: Digest x"] { _ = try await client.ask(verification("", field)) }
            let outcomes = server.server.figures.verifications
            #expect(outcomes[.init(interface: "verify", kind: "none", outcome: "no_credential")] == 2)
        }
    }

    @Test func `is logged by an existing client id, at a bounded rate, and never by a secret`() throws {
        struct Handler: LogHandler {
            let write: @Sendable (String) -> Void
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.trace
            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }
            func log(event: LogEvent) { write("\(event.level) \(event.message) \(event.metadata ?? [:])") }
        }
        let written = Written()
        let refusals = CallerRefusals(logger: Logger(label: "t") { _ in Handler(write: { written.add($0) }) })
        for second in 0..<120 {
            for _ in 0..<50 {
                refusals.note(.introspection, .invalidClient, .client("gateway"), from: nil, at: Int64(second))
                refusals.note(.introspection, .invalidToken, .unknown, from: IPAddress("192.0.2.1"), at: Int64(second))
            }
        }
        #expect(refusals.count(.introspection, .invalidClient) == 6_000)
        let named = written.lines.filter { $0.contains("gateway") }
        #expect(written.lines.count == 4 && named.count == 2 && named.allSatisfy { $0.hasPrefix("warning") })
        // The number of remembered names is bounded.
        for index in 0..<1_000 {
            refusals.note(.introspection, .invalidClient, .client("c\(index)"), from: nil, at: 1_000)
        }
        #expect(written.lines.count == 4 + 64)
    }

    private final class Written: Sendable {
        private let all = Mutex<[String]>([])
        var lines: [String] { all.withLock { $0 } }
        func add(_ line: String) { all.withLock { $0.append(line) } }
    }
}

@Suite struct `The times of verifications` {
    @Test func `fall into buckets from 10 µs on, two for each power of two`() {
        let bounds = VerificationTimes.bounds
        #expect(Array(bounds.prefix(7)) == [0.00001, 0.000015, 0.00002, 0.00003, 0.00004, 0.00006, 0.00008])
        #expect(bounds.count == 35 && bounds == bounds.sorted() && bounds[34] > 1)
        // Each unit of 5 µs is below the bound of its bucket, and not below the previous one.
        for units in UInt64(0)..<300_000 {
            let (bucket, seconds) = (VerificationTimes.bucket(units), Double(units) * 5e-6)
            let isBelow = bucket == bounds.count || seconds < bounds[bucket]
            let isAbove = bucket == 0 || seconds >= bounds[bucket - 1] - 1e-12
            guard isBelow, isAbove else {
                Issue.record("\(units)")
                return
            }
        }
        #expect(VerificationTimes.bucket(.max) == 35)
    }

    @Test func `tolerate a time-stamp counter that stands still or goes back`() {
        for (start, end) in [(10, 10), (10, 5), (UInt64.max, 0)] as [(UInt64, UInt64)] {
            #expect(VerificationTimes.ticksPerSecond(from: start, to: end, nanoseconds: 2_000_000) == 400_000)
        }
        #expect(VerificationTimes.ticksPerSecond(from: 7, to: 5_200_007, nanoseconds: 2_000_000) == 2.6e9)
    }

    @Test func `are counted by interface`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let client = try await server.connect()
            let start = ContinuousClock.now
            for _ in 0..<50 { _ = try await client.ask(introspection("token=\(key)", caller.authorization)) }
            for _ in 0..<3 { _ = try await client.ask(verification("", apiKey(key))) }
            _ = try await client.ask(request("GET /livez"))
            let passed = ContinuousClock.now - start
            let times = server.server.figures.times
            #expect(Set(times.keys) == ["introspect", "verify"])
            #expect(times["introspect"]?.counts.reduce(0, +) == 50 && times["verify"]?.counts.reduce(0, +) == 3)
            let seconds = try #require(times["introspect"]?.seconds)
            // The time-stamp counter was measured well: the time in the server is within the time that its client
            // waited.
            #expect(seconds > 50 * 1e-6 && seconds < Double(passed.components.seconds) + 1)
        }
    }
}
