import CredentialModel
import Foundation
import Issuance
import Logging
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

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
            // Refused by the head, and not once more.
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

    @Test func `is named in the log by an id that some client has, seldom, and never by a secret`() throws {
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
        // Many names at once are not remembered without end.
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
    @Test func `fall into buckets with bounds from 10 µs on, two for each doubling`() {
        let bounds = VerificationTimes.bounds
        #expect(Array(bounds.prefix(7)) == [0.00001, 0.000015, 0.00002, 0.00003, 0.00004, 0.00006, 0.00008])
        #expect(bounds.count == 35 && bounds == bounds.sorted() && bounds[34] > 1)
        // Each unit of 5 µs lies below the bound of its bucket, and not below the one before.
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

    @Test func `can be told by a processor's clock that stands still or goes back`() {
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
            // The processor's clock was measured well: what the server did lies within what its client waited.
            #expect(seconds > 50 * 1e-6 && seconds < Double(passed.components.seconds) + 1)
        }
    }
}
