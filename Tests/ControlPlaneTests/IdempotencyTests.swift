@testable import ControlPlane
import ControlPlaneFixture
import Foundation
import Synchronization
import Testing

@Suite struct IdempotencyTests {
    private static let key = ["Idempotency-Key": "order-1"]

    @Test func `a repeated creation returns the same ids with null for the secrets`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let body = #"{"owner": "acme", "count": 3}"#
            let first = try await plane.client.post("/v1/keys", body, headers: Self.key)
            let second = try await plane.client.post("/v1/keys", body, headers: Self.key)
            #expect(second.status == 201)
            #expect(second.items.map { $0["id"] as? String } == first.items.map { $0["id"] as? String })
            #expect(second.items.allSatisfy { $0["key"] is NSNull })
            #expect(try await plane.client.get("/v1/keys").items.count == 3)
        }
    }

    @Test func `another body or another path with the same key is refused`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            _ = try await plane.client.post("/v1/keys", #"{"owner": "acme"}"#, headers: Self.key)
            let body = try await plane.client.post("/v1/keys", #"{"owner": "other"}"#, headers: Self.key)
            #expect(body.status == 422)
            #expect(body.problem == "idempotency-key-reused")
            let path = try await plane.client.post("/v1/clients", #"{"name": "acme"}"#, headers: Self.key)
            #expect(path.status == 422)
        }
    }

    @Test func `clients, tokens and rotations are made once too`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            func twice(_ key: String, _ path: String, _ body: String, id: String, secret: String) async throws {
                let first = try await plane.client.post(path, body, headers: ["Idempotency-Key": key])
                let second = try await plane.client.post(path, body, headers: ["Idempotency-Key": key])
                #expect(first.status == 201)
                #expect(second.status == 201)
                #expect(first.text(id) == second.text(id))
                #expect(first.text(secret) != nil)
                #expect(second.isNull(secret))
            }
            let clientID = try await plane.makeClient()
            let keyID = try await plane.makeKey().id
            try await twice("1", "/v1/clients", #"{"name": "n"}"#, id: "client_id", secret: "client_secret")
            try await twice("2", "/v1/clients/\(clientID)/secrets", "{}", id: "client_id", secret: "client_secret")
            try await twice(
                "3", "/v1/tokens", #"{"client_id": "\#(clientID)"}"#, id: "id", secret: "access_token")
            try await twice("4", "/v1/keys/\(keyID)/rotation", "{}", id: "id", secret: "key")
        }
    }

    @Test func `a creation that failed can be repeated`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            #expect(try await plane.client.post("/v1/keys", #"{"owner": ""}"#, headers: Self.key).status == 422)
            #expect(try await plane.client.post("/v1/keys", #"{"owner": "a"}"#, headers: Self.key).status == 201)
        }
    }

    @Test func `of equal requests at the same time one makes keys`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let answers = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await plane.client.post("/v1/keys", #"{"owner": "acme"}"#, headers: Self.key).status
                    }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0 == 201 || $0 == 409 })
            #expect(try await plane.client.get("/v1/keys").items.count == 1)
        }
    }

    @Test(arguments: [String(repeating: "k", count: 256), "with space", "ü"])
    func `a malformed key is refused`(key: String) async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let answer = try await plane.client.post(
                "/v1/keys", #"{"owner": "acme"}"#, headers: ["Idempotency-Key": key])
            #expect(answer.status == 400)
            #expect(answer.problem == "bad-idempotency-key")
        }
    }

    @Test func `a key is forgotten after its time`() {
        let clock = ManualClock()
        let table = IdempotencyTable(countMax: 10, keep: .seconds(60), now: { clock.now })
        #expect(table.claim("a", fingerprint: [1]) == .fresh(0))
        table.settle("a", 0, handles: ["x"])
        clock.advance(.seconds(60))
        #expect(table.claim("a", fingerprint: [1]) == .made(["x"]))
        clock.advance(.seconds(1))
        #expect(table.claim("a", fingerprint: [2]) == .fresh(1))
        #expect(table.count == 1)
    }

    @Test func `the table is bounded and the oldest goes first`() {
        let table = IdempotencyTable(countMax: 3, keep: .seconds(60))
        for index in 0..<1_000 { _ = table.claim("k\(index)", fingerprint: []) }
        #expect(table.count == 3)
        #expect(table.claim("k999", fingerprint: []) == .inProgress)
        #expect(table.claim("k996", fingerprint: []) == .fresh(1_000))
    }

    @Test func `a known key is found in a full table`() {
        let table = IdempotencyTable(countMax: 2, keep: .seconds(60))
        _ = table.claim("a", fingerprint: [])
        _ = table.claim("b", fingerprint: [])
        #expect(table.claim("a", fingerprint: []) == .inProgress)
        #expect(table.claim("b", fingerprint: []) == .inProgress)
    }

    @Test func `a request that was pushed out settles nobody else's place`() {
        let table = IdempotencyTable(countMax: 1, keep: .seconds(60))
        #expect(table.claim("a", fingerprint: [1]) == .fresh(0))
        #expect(table.claim("b", fingerprint: [1]) == .fresh(1))
        #expect(table.claim("a", fingerprint: [2]) == .fresh(2))
        table.settle("a", 0, handles: ["old"])
        table.abandon("a", 0)
        #expect(table.claim("a", fingerprint: [2]) == .inProgress)
    }

    @Test func `failed requests take no room`() {
        let table = IdempotencyTable(countMax: 2, keep: .seconds(60))
        _ = table.claim("kept", fingerprint: [])
        for index in 1...100 {
            #expect(table.claim("k", fingerprint: []) == .fresh(UInt64(index)))
            table.abandon("k", UInt64(index))
        }
        #expect(table.claim("kept", fingerprint: []) == .inProgress)
        #expect(table.count == 1)
    }

    private final class ManualClock: Sendable {
        private let state = Mutex(ContinuousClock.now)
        var now: ContinuousClock.Instant { state.withLock { $0 } }
        func advance(_ duration: Duration) { state.withLock { $0 += duration } }
    }
}
