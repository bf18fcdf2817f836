@testable import ControlPlane
import Foundation
import Issuance
import TestSupport
import Testing

/// What is written here without a Codable type, against the schemas of the OpenAPI document. Requests and routes are held
/// against it in ControlPlaneTests.
@Suite(.timeLimit(.minutes(10))) struct `The OpenAPI document` {
    private typealias Object = [String: Any]

    private func schema(_ name: String) throws -> Object {
        let document = try JSONSerialization.jsonObject(with: Data(EmbeddedFile.openAPI.bytes)) as? Object
        let schemas = (document?["components"] as? Object)?["schemas"] as? Object
        return try #require(schemas?[name] as? Object, "\(name)")
    }

    private func members(_ schema: Object?) throws -> Set<String> {
        Set(try #require(schema?["properties"] as? Object).keys)
    }

    @Test func `has all members of introspections and verdicts`() async throws {
        try await withServer(settings: { $0.issuer = "https://id.example" }) { server in
            let caller = try await server.caller(audience: ["urn:a"])
            let key = try await server.key(
                KeyRequest(
                    owner: "alice", audience: ["urn:a"], expiresInSeconds: 600, notBefore: server.now.adding(-5)))
            let token = try await server.token(scope: ["read"], audience: ["urn:a"])
            let client = try await server.connect()
            var told: Set<String> = []
            for credential in [key.secret, token.secret] {
                let answer = try await client.ask(introspection("token=\(credential)", caller.authorization))
                told.formUnion(try answer.json().keys)
            }
            // Of tokens that came from an authorization.
            #expect(told.union(["family"]) == (try members(schema("Introspection"))))
            let answer = try await client.ask(
                verdict(json: "{\"credential\": \"\(key.secret)\"}", caller.authorization))
            #expect(Set(try answer.json().keys).subtracting(told) == ["reason"])
            let parts = try schema("Verdict")["allOf"] as? [Object]
            #expect(try members(parts?.last) == ["reason"])
        }
    }

    @Test func `has all members of token reviews and problems`() async throws {
        try await withServer { server in
            let caller = try await server.caller(audience: ["urn:a"])
            let token = try await server.token(scope: ["read"], audience: ["urn:a"])
            let client = try await server.connect()
            let kind = "\"apiVersion\": \"authentication.k8s.io/v1\", \"kind\": \"TokenReview\""
            let answer = try await client.ask(
                request(
                    "POST /apis/authentication.k8s.io/v1/tokenreviews", [caller.authorization],
                    body: "{\(kind), \"spec\": {\"token\": \"\(token.secret)\", \"audiences\": [\"urn:a\"]}}"))
            let review = try schema("TokenReview")
            #expect(Set(try answer.json().keys) == (try members(review)))
            let status = try #require(try answer.json()["status"] as? Object)
            let described = (review["properties"] as? Object)?["status"] as? Object
            #expect(Set(status.keys) == (try members(described)))
            let user = (described?["properties"] as? Object)?["user"] as? Object
            #expect(Set((status["user"] as? Object ?? [:]).keys) == (try members(user)))

            let problem = try await client.ask(request("GET /nowhere"))
            #expect(Set(try problem.json().keys) == (try members(schema("VerificationProblem"))))
        }
    }
}
