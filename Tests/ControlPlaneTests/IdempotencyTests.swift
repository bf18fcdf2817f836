@testable import ControlPlane
import ControlPlaneFixture
import Foundation
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

    @Test func `clients, tokens and rotations are created once too`() async throws {
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

    @Test func `a creation that cannot be repeated refuses the field and creates nothing`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let bulk = try await plane.client.post(
                "/v1/keys/bulk", #"{"owner": "acme", "count": 2}"#, headers: Self.key)
            #expect(bulk.status == 400 && bulk.problem == "bad-idempotency-key")
            #expect(try await plane.client.get("/v1/keys").items.isEmpty)
            let before = try await plane.client.get("/v1/peppers").items.count
            let pepper = try await plane.client.post("/v1/peppers", headers: Self.key)
            #expect(pepper.status == 400 && pepper.problem == "bad-idempotency-key")
            #expect(try await plane.client.get("/v1/peppers").items.count == before)
        }
    }

    @Test func `a creation that failed can be repeated`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            #expect(try await plane.client.post("/v1/keys", #"{"owner": ""}"#, headers: Self.key).status == 422)
            #expect(try await plane.client.post("/v1/keys", #"{"owner": "a"}"#, headers: Self.key).status == 201)
        }
    }

    @Test func `of equal concurrent requests only one creates keys`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let answers = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await plane.client.post("/v1/keys", #"{"owner": "acme"}"#, headers: Self.key).status
                    }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0 == 201 })
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
}
