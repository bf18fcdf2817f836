import ControlPlaneFixture
import Foundation
import Testing

@Suite struct ClientAndTokenRouteTests {
    @Test func `a client is created, shown, rotated and revoked`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let body = #"{"name": "gateway", "grant_types": ["client_credentials"], "may": ["introspect"]}"#
            let created = try await plane.client.post("/v1/clients", body)
            #expect(created.status == 201)
            let id = try #require(created.text("client_id"))
            let secret = try #require(created.text("client_secret"))
            let shown = try await plane.client.get("/v1/clients/\(id)")
            #expect(shown.texts("may") == ["introspect"])
            #expect(!String(decoding: shown.bytes, as: UTF8.self).contains(secret))
            let rotated = try await plane.client.post("/v1/clients/\(id)/secrets", #"{"overlap_seconds": 0}"#)
            #expect(rotated.status == 201)
            #expect(rotated.text("client_secret") != secret)
            #expect(try await plane.client.get("/v1/clients?limit=1").items.count == 1)
            let revoked = try await plane.client.delete("/v1/clients/\(id)")
            #expect(revoked.number("journal_number") != nil)
            #expect(try await plane.client.get("/v1/clients/\(id)").number("revoked_at") != nil)
        }
    }

    @Test func `a public client has no secret`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let created = try await plane.client.post("/v1/clients", #"{"name": "app", "public": true}"#)
            #expect(created.isNull("client_secret"))
        }
    }

    @Test func `clients are listed page by page`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            for _ in 0..<3 { _ = try await plane.makeClient() }
            let first = try await plane.client.get("/v1/clients?limit=2")
            let next = try #require(first.text("next"))
            let second = try await plane.client.get("/v1/clients?limit=2&after=\(next)")
            #expect(first.items.count == 2)
            #expect(second.items.count == 1)
            #expect(second.isNull("next"))
        }
    }

    @Test func `an unknown client is not found`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            #expect(try await plane.client.get("/v1/clients/nobody").problem == "unknown-client")
            #expect(try await plane.client.delete("/v1/clients/nobody").status == 404)
            #expect(try await plane.client.post("/v1/clients/nobody/secrets").status == 404)
            #expect(try await plane.client.post("/v1/clients/nobody/revocations").status == 404)
            #expect(try await plane.client.post("/v1/tokens", #"{"client_id": "nobody"}"#).status == 404)
        }
    }

    @Test func `a token is issued, listed and revoked`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let clientID = try await plane.makeClient()
            let body = #"{"client_id": "\#(clientID)", "sub": "alice", "scope": "a:read", "expires_in": 60}"#
            let issued = try await plane.client.post("/v1/tokens", body)
            #expect(issued.status == 201)
            let id = try #require(issued.text("id"))
            #expect(issued.text("access_token")?.hasPrefix("iib1_\(id)_") == true)
            #expect(issued.text("token_type") == "Bearer")
            #expect(issued.text("sub") == "alice")
            #expect(try await plane.client.get("/v1/tokens?client_id=\(clientID)").items.count == 1)
            #expect(try await plane.client.get("/v1/tokens?kind=refresh_token").items.isEmpty)
            #expect(try await plane.client.get("/v1/tokens?kind=api_key").problem == "bad-query")
            #expect(try await plane.client.get("/v1/tokens/\(id)").text("kind") == "access_token")
            #expect(try await plane.client.delete("/v1/tokens/\(id)").texts("revoked") == [id])
            let again = try await plane.client.post("/v1/tokens/revocations", #"{"ids": ["\#(id)"]}"#)
            #expect(again.texts("already_revoked") == [id])
        }
    }

    @Test func `the routes for tokens touch no key and no client secret`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let key = try await plane.makeKey().id
            #expect(try await plane.client.get("/v1/tokens/\(key)").status == 404)
            #expect(try await plane.client.delete("/v1/tokens/\(key)").status == 404)
            let client = try await plane.client.get("/v1/clients/\(try await plane.makeClient())")
            let secrets = try #require(client.json["secrets"] as? [[String: Any]])
            #expect(client.json["secrets_omitted"] as? Int == 0)
            let secret = try #require(secrets.first?["id"] as? String)
            #expect(try await plane.client.delete("/v1/tokens/\(secret)").status == 404)
        }
    }

    @Test func `a revoked client issues nothing`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let clientID = try await plane.makeClient()
            _ = try await plane.client.delete("/v1/clients/\(clientID)")
            let refused = try await plane.client.post("/v1/tokens", #"{"client_id": "\#(clientID)"}"#)
            #expect(refused.status == 409)
            #expect(refused.problem == "revoked-or-expired")
        }
    }

    @Test func `bulk revocations revoke the credentials of an owner or a client`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let key = try await plane.makeKey(owner: "a/b c").id
            let spared = try await plane.makeKey(owner: "other").id
            let byOwner = try await plane.client.post("/v1/owners/a%2Fb%20c/revocations")
            #expect(byOwner.status == 200)
            #expect(byOwner.number("journal_number") != nil)
            #expect(byOwner.json["revoked"] as? [String: Int] == ["api_key": 1])
            #expect(try await plane.client.post("/v1/owners/a%2Fb%20d/revocations").problem == "unknown-owner")
            #expect(try await plane.client.get("/v1/keys/\(key)").text("state") == "revoked")
            #expect(try await plane.client.get("/v1/keys/\(spared)").text("state") == "active")
            let clientID = try await plane.makeClient()
            let token = try await plane.client.post("/v1/tokens", #"{"client_id": "\#(clientID)"}"#)
            let id = try #require(token.text("id"))
            let early = try await plane.client.post("/v1/clients/\(clientID)/revocations", #"{"issued_before": 1}"#)
            #expect(early.status == 200)
            #expect(try await plane.client.get("/v1/tokens/\(id)").text("state") == "active")
            _ = try await plane.client.post("/v1/clients/\(clientID)/revocations", "{}")
            #expect(try await plane.client.get("/v1/tokens/\(id)").text("state") == "revoked")
        }
    }
}
