import CredentialModel
import Foundation
import Issuance
import Testing
import TestSupport

@testable import ControlPlane

/// A request for verdicts on credentials, with additional members.
func verdicts(_ credentials: [String], _ fields: String?..., members: [String: String] = [:]) throws -> String {
    var object: [String: Any] = members
    object["credentials"] = credentials
    let body = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
    return request("POST /v1/verify", ["Content-Type: application/json"] + fields.compactMap { $0 }, body: body)
}

func verdict(json body: String, _ fields: String?...) -> String {
    request("POST /v1/verify", ["Content-Type: application/json"] + fields.compactMap { $0 }, body: body)
}

extension Answer {
    func results() throws -> [[String: Any]] {
        try #require(try json()["results"] as? [[String: Any]])
    }

    func reasons() throws -> [String] {
        try results().map { try #require($0["reason"] as? String) }
    }
}

/// Rule 17: verdicts with reasons, one or many at once.
@Suite(.timeLimit(.minutes(10))) struct `Verdicts` {
    @Test func `have the reason for each credential, in order`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key(KeyRequest(owner: "alice", scope: ["read"]))
            let token = try await server.token(scope: ["read", "write"], subject: "bob")
            let revoked = try await server.key()
            _ = try await server.issuer.revoke([revoked.id], chain: false)
            let expired = try await server.plant(.accessToken) { $0.record.expiresAt = UnixSeconds(5) }
            let early = try await server.key(KeyRequest(owner: "alice", notBefore: server.now.adding(1_000)))
            let limited = try await server.key(KeyRequest(owner: "alice", scope: ["read"], networks: ["10.0.0.0/8"]))
            let elsewhere = try await server.key(
                KeyRequest(owner: "alice", scope: ["read"], audience: ["urn:other"]))
            let unknown = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).reveal()
            let code = try await server.plant(.authorizationCode)
            let asked = [
                key.secret, token.secret, revoked.secret, expired.secret, early.secret, limited.secret,
                elsewhere.secret, unknown, code.secret, "nonsense", "", key.secret + "0", key.secret,
            ]
            let client = try await server.connect()
            // Twice: from the store and from the cache.
            for _ in 0..<2 {
                let answer = try await client.ask(verdicts(asked, caller.authorization))
                #expect(answer.status == 200 && answer["Cache-Control"] == "no-store")
                #expect(
                    try answer.reasons() == [
                        "valid", "valid", "revoked", "expired", "not_yet_valid", "wrong_network", "unknown", "unknown",
                        "unknown", "malformed", "malformed", "malformed", "valid",
                    ])
                let results = try answer.results()
                for (result, reason) in zip(results, try answer.reasons()) {
                    #expect(result["active"] as? Bool == (reason == "valid"))
                    if reason != "valid" { #expect(Set(result.keys) == ["active", "reason"]) }
                }
                #expect(results[1]["sub"] as? String == "bob" && results[1]["client_id"] as? String == token.clientID)
                #expect(results[0]["jti"] as? String == key.id.description)
            }
        }
    }

    @Test func `check the required scope, audience and address`() async throws {
        try await withServer { server in
            let caller = try await server.caller(audience: ["urn:a", "urn:b"])
            let open = try await server.key(KeyRequest(owner: "alice", scope: ["read"]))
            let forA = try await server.key(KeyRequest(owner: "alice", scope: ["read", "write"], audience: ["urn:a"]))
            let inside = try await server.key(
                KeyRequest(owner: "alice", scope: ["read"], networks: ["10.0.0.0/8", "2001:db8::/32"]))
            let asked = [open.secret, forA.secret, inside.secret]
            let client = try await server.connect()
            func reasons(_ members: [String: String]) async throws -> [String] {
                try await client.ask(verdicts(asked, caller.authorization, members: members)).reasons()
            }
            #expect(try await reasons([:]) == ["valid", "valid", "wrong_network"])
            #expect(try await reasons(["client_ip": "10.1.2.3"]) == ["valid", "valid", "valid"])
            #expect(try await reasons(["client_ip": "2001:db8::1"]) == ["valid", "valid", "valid"])
            #expect(try await reasons(["client_ip": "11.1.2.3"]) == ["valid", "valid", "wrong_network"])
            #expect(
                try await reasons(["scope": "write read", "client_ip": "10.0.0.1"])
                    == ["insufficient_scope", "valid", "insufficient_scope"])
            #expect(
                try await reasons(["audience": "urn:b", "client_ip": "10.0.0.1"]) == [
                    "valid", "wrong_audience", "valid",
                ])
            #expect(
                try await reasons(["audience": "urn:a", "scope": "", "client_ip": "10.0.0.1"])
                    == ["valid", "valid", "valid"])
        }
    }

    @Test func `are unknown for credentials that the caller may not learn about, valid or not`() async throws {
        try await withServer { server in
            let caller = try await server.caller(audience: ["urn:mine"])
            let alive = try await server.key(KeyRequest(owner: "alice", audience: ["urn:other"]))
            let revoked = try await server.key(KeyRequest(owner: "alice", audience: ["urn:other"]))
            _ = try await server.issuer.revoke([revoked.id], chain: false)
            let expiredCode = try await server.plant(.authorizationCode) { $0.record.expiresAt = UnixSeconds(5) }
            let client = try await server.connect()
            for _ in 0..<2 {
                let answer = try await client.ask(
                    verdicts([alive.secret, revoked.secret, expiredCode.secret], caller.authorization))
                #expect(try answer.reasons() == ["unknown", "unknown", "unknown"])
            }
        }
    }

    @Test func `on a single credential have no array`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key(KeyRequest(owner: "al\"ice"))
            let escaped = key.secret.unicodeScalars.map { String(format: "\\u%04x", $0.value) }.joined()
            let client = try await server.connect()
            for text in [key.secret, escaped] {
                let json = try await client.ask(verdict(json: "{\"credential\":\"\(text)\"}", caller.authorization))
                    .json()
                #expect(json["reason"] as? String == "valid" && json["sub"] as? String == "al\"ice")
                #expect(json["results"] == nil)
            }
            let json = try await client.ask(verdict(json: "{\"credential\":\"x\"}", caller.authorization)).json()
            #expect(json["reason"] as? String == "malformed" && json["active"] as? Bool == false)
        }
    }

    @Test func `are given for up to a thousand at once`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let keys = try await server.issuer.createKeys(
                KeyRequest(owner: String(repeating: "\"", count: 255), scope: ["read"], count: 1_000))
            var asked = keys.map { $0.secret.reveal() }
            let client = try await server.connect()
            let answer = try await client.ask(verdicts(asked, caller.authorization))
            #expect(try answer.results().map { $0["jti"] as? String } == keys.map { $0.summary.id.description })
            #expect(try answer.reasons().allSatisfy { $0 == "valid" })
            asked.append("x")
            let refusal = try await client.ask(verdicts(asked, caller.authorization))
            #expect(refusal.status == 413)
            // The connection is still usable.
            #expect(try await client.ask(verdicts(["x"], caller.authorization)).reasons() == ["malformed"])
        }
    }

    @Test(arguments: [
        "", "[]", "{}", "{\"credentials\":[]}", "{\"credentials\":\"x\"}",
        "{\"credential\":\"x\",\"credentials\":[\"x\"]}",
        "{\"credential\":\"x\"", "{\"credential\":\"x\",\"credential\":\"x\"}", "{\"credential\":1}", "token=x",
        "{\"credential\":\"x\",\"client_ip\":\"nowhere\"}", "{\"credential\":\"x\",\"scope\":\"r\u{e9}ad\"}",
        "{\"credential\":\"x\",\"audience\":\"urn:a urn:b\"}", "{\"credential\":\"\\ud800\"}",
    ])
    func `are refused for an invalid request`(_ body: String) async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let answer = try await server.connect().ask(verdict(json: body, caller.authorization))
            #expect(answer.status == 400 && answer["Content-Type"] == "application/problem+json")
            #expect(try answer.json()["detail"] is String)
            #expect(server.lookUps == 1)
        }
    }

    @Test func `need a caller with the right to introspect, before anything is looked up`() async throws {
        try await withServer { server in
            let key = try await server.key()
            let stranger = try await server.caller(rights: ["changes"])
            let caller = try await server.caller()
            let client = try await server.connect()
            let nobody = try await client.ask(verdicts([key.secret]))
            #expect(nobody.status == 401 && nobody["WWW-Authenticate"]?.hasPrefix("Basic ") == true)
            #expect(server.lookUps == 0)
            let wrong = try await client.ask(verdicts([key.secret], basic(caller.id, stranger.secret)))
            #expect(wrong.status == 401)
            #expect(try await client.ask(verdicts([key.secret], stranger.authorization)).status == 403)
            // With the body of another endpoint, or another method, the caller is not authenticated.
            #expect(try await client.ask(request("GET /v1/verify")).status == 405)
            let form = request(
                "POST /v1/verify", ["Content-Type: application/x-www-form-urlencoded", caller.authorization],
                body: "credential=\(key.secret)")
            #expect(try await client.ask(form).status == 415)
            let twice = try await client.ask(verdicts([key.secret], caller.authorization, caller.authorization))
            #expect(twice.status == 400)
        }
    }

    @Test func `are refused for the caller's own credential`() async throws {
        try await withServer { server in
            let own = try await server.plant(.accessToken, scope: "countersign:introspect")
            let other = try await server.key()
            let client = try await server.connect()
            #expect(try await client.ask(verdicts([other.secret], bearer(own.secret))).reasons() == ["valid"])
            #expect(try await client.ask(verdicts([other.secret, own.secret], bearer(own.secret))).status == 401)
        }
    }

    @Test func `reflect a revocation at once`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let keys = try await server.issuer.createKeys(KeyRequest(owner: "alice", count: 20))
            let asked = keys.map { $0.secret.reveal() }
            let client = try await server.connect()
            var expected = Array(repeating: "valid", count: 20)
            #expect(try await client.ask(verdicts(asked, caller.authorization)).reasons() == expected)
            for index in [0, 7, 19] {
                _ = try await server.issuer.revoke([keys[index].summary.id], chain: false)
                expected[index] = "revoked"
                #expect(try await client.ask(verdicts(asked, caller.authorization)).reasons() == expected)
            }
            _ = try await server.issuer.revokeOwner("alice", issuedBefore: nil)
            #expect(
                try await client.ask(verdicts(asked, caller.authorization)).reasons().allSatisfy { $0 == "revoked" })
        }
    }
}

/// Responses written without a Codable type, checked against the schemas of the OpenAPI document. ControlPlaneTests
/// check requests and routes.
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

            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            let problem = try await client.ask(
                request("GET /nowhere", ["X-Request-Id: a", "Traceparent: \(trace)"]))
            #expect(Set(try problem.json().keys) == (try members(schema("VerificationProblem"))))
        }
    }
}
