import AdministrationAPI
import ControlPlaneFixture
import Foundation
import Testing

@Suite struct KeyRouteTests {
    @Test func `a key is created and shown without its secret`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let body = #"{"owner": "acme", "name": "ci", "scope": "a b", "aud": ["https://x"], "expires_in": 60}"#
            let created = try await plane.client.post("/v1/keys", body)
            #expect(created.status == 201)
            #expect(created.headers["cache-control"] == "no-store")
            let key = try #require(created.items.first)
            let id = try #require(key["id"] as? String)
            #expect((key["key"] as? String)?.hasPrefix("iik1_\(id)_") == true)
            #expect(created.headers["location"] == "/v1/keys/\(id)")
            let shown = try await plane.client.get("/v1/keys/\(id)")
            #expect(shown.status == 200)
            #expect(shown.text("owner") == "acme")
            #expect(shown.text("scope") == "a b")
            #expect(shown.text("state") == "active")
            #expect(shown.json["key"] == nil)
            let lifetime = try #require(shown.number("exp")) - #require(shown.number("iat"))
            #expect(lifetime == 60)
        }
    }

    @Test func `several keys are created at once`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let created = try await plane.client.post("/v1/keys", #"{"owner": "acme", "count": 5}"#)
            #expect(Set(created.items.compactMap { $0["key"] as? String }).count == 5)
            #expect(try await plane.client.post("/v1/keys", #"{"owner": "acme", "count": 0}"#).status == 422)
            #expect(try await plane.client.post("/v1/keys", #"{"owner": "acme", "count": 1001}"#).status == 422)
        }
    }

    @Test func `many keys come as lines; a count outside of the limits creates none`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.client.post(
                "/v1/keys/bulk", #"{"owner": "acme", "name": "\u0022x", "count": 2001}"#)
            #expect(made.status == 200)
            #expect(made.headers["content-type"] == "application/x-ndjson")
            #expect(made.headers["cache-control"] == "no-store")
            let lines = made.bytes.split(separator: 0x0A)
            #expect(lines.count == 2_001)
            for line in lines {
                let key = try JSONDecoder().decode(KeyCreated.self, from: Data(line))
                #expect(key.owner == "acme" && key.name == "\"x" && key.key?.reveal().count == 66)
            }
            for count in ["0", "-1", "100000001"] {
                #expect(
                    try await plane.client.post("/v1/keys/bulk", #"{"owner": "a", "count": \#(count)}"#).status == 422)
            }
            #expect(try await plane.client.post("/v1/keys/bulk", #"{"owner": "a"}"#).status == 422)
            #expect(try await plane.client.post("/v1/keys/bulk", #"{"owner": "", "count": 2}"#).status == 422)
            #expect(try await plane.client.get("/v1/keys?owner=a").items.isEmpty)
        }
    }

    @Test func `a list goes page by page and takes filters`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            _ = try await plane.client.post("/v1/keys", #"{"owner": "acme", "count": 5}"#)
            _ = try await plane.client.post("/v1/keys", #"{"owner": "b & c", "count": 2}"#)
            var seen: [String] = []
            var after = ""
            repeat {
                let page = try await plane.client.get("/v1/keys?owner=acme&limit=2\(after)")
                seen += page.items.compactMap { $0["id"] as? String }
                after = page.text("next").map { "&after=\($0)" } ?? ""
            } while !after.isEmpty
            #expect(Set(seen).count == 5)
            #expect(seen.count == 5)
            #expect(try await plane.client.get("/v1/keys?owner=b+%26%20c").items.count == 2)
            #expect(try await plane.client.get("/v1/keys").items.count == 7)
        }
    }

    @Test func `an edit changes only the members that it has`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let id = try await plane.makeKey().id
            let body = Array(#"{"name": "new", "exp": 4102444800}"#.utf8)
            let edited = try await plane.client.send(
                "PATCH", "/v1/keys/\(id)", body: body, headers: ["Content-Type": "application/merge-patch+json"])
            #expect(edited.status == 200)
            #expect(edited.text("name") == "new")
            #expect(edited.number("exp") == 4_102_444_800)
            #expect(edited.text("scope") == "a:read")
            let cleared = try await plane.client.send("PATCH", "/v1/keys/\(id)", body: Array(#"{"name": null}"#.utf8))
            #expect(cleared.isNull("name"))
            #expect(cleared.number("exp") == 4_102_444_800)
        }
    }

    @Test func `a rotation links the successor and tells when the old one ends`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let old = try await plane.makeKey()
            let rotated = try await plane.client.post("/v1/keys/\(old.id)/rotation", #"{"overlap_seconds": 3600}"#)
            #expect(rotated.status == 201)
            #expect(rotated.text("predecessor") == old.id)
            #expect(rotated.text("key") != old.key)
            #expect(rotated.number("predecessor_sunset") != nil)
            let second = try await plane.makeKey()
            #expect(try await plane.client.post("/v1/keys/\(second.id)/rotation").status == 201)
            let negative = try await plane.client.post("/v1/keys/\(second.id)/rotation", #"{"overlap_seconds": -1}"#)
            #expect(negative.status == 422)
        }
    }

    @Test func `a revocation lists active relatives, and with chain revokes them`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let old = try await plane.makeKey().id
            let successor = try await plane.client.post("/v1/keys/\(old)/rotation").text("id")
            let revoked = try await plane.client.delete("/v1/keys/\(old)")
            #expect(revoked.texts("revoked") == [old])
            #expect(revoked.texts("living_relatives") == [successor].compactMap(\.self))
            #expect(revoked.texts("chain_broken_at") == [])
            #expect(try await plane.client.delete("/v1/keys/\(old)").texts("already_revoked") == [old])
            #expect(try await plane.client.get("/v1/keys/\(old)").text("state") == "revoked")
            let other = try await plane.makeKey().id
            _ = try await plane.client.post("/v1/keys/\(other)/rotation")
            #expect(try await plane.client.delete("/v1/keys/\(other)?chain=true").texts("revoked")?.count == 2)
        }
    }

    @Test func `many keys are revoked at once and unknown ones are named`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let first = try await plane.makeKey().id
            let second = try await plane.makeKey().id
            let body = #"{"ids": ["\#(first)", "\#(second)", "00000000001"]}"#
            let revoked = try await plane.client.post("/v1/keys/revocations", body)
            #expect(revoked.status == 200)
            #expect(Set(revoked.texts("revoked") ?? []) == [first, second])
            #expect(revoked.texts("unknown") == ["00000000001"])
            #expect(try await plane.client.post("/v1/keys/revocations", #"{"ids": []}"#).status == 422)
        }
    }

    @Test func `the routes for keys touch no token`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let clientID = try await plane.makeClient()
            let token = try await plane.client.post("/v1/tokens", #"{"client_id": "\#(clientID)"}"#)
            let id = try #require(token.text("id"))
            #expect(try await plane.client.get("/v1/keys/\(id)").status == 404)
            #expect(try await plane.client.delete("/v1/keys/\(id)").problem == "unknown-credential")
            #expect(try await plane.client.post("/v1/keys/\(id)/rotation").status == 404)
            let edited = try await plane.client.send("PATCH", "/v1/keys/\(id)", body: Array(#"{"name": "x"}"#.utf8))
            #expect(edited.status == 404)
            #expect(try await plane.client.get("/v1/tokens/\(id)").text("state") == "active")
        }
    }

    @Test func `an import takes valid lines and refuses the others by index`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let body = #"""
                {"lines": [{"key": "live_8fK2pQ9sVx3LmN7t", "owner": "acme"}, {"key": "short", "owner": "acme"},
                           {"key": "live_8fK2pQ9sVx3LmN7u", "owner": "acme", "nbf": -1},
                           {"key": "live_8fK2pQ9sVx3LmN7v", "owner": "acme", "scope": "a b"}]}
                """#
            let imported = try await plane.client.post("/v1/keys/import", body)
            #expect(imported.status == 200)
            let ids = try #require(imported.texts("imported"))
            #expect(ids.count == 2)
            let refused = try #require(imported.json["refused"] as? [[String: Any]])
            #expect(refused.compactMap { $0["line"] as? Int } == [1, 2])
            #expect(!String(decoding: imported.bytes, as: UTF8.self).contains("live_"))
            let last = try await plane.client.get("/v1/keys/\(ids[1])")
            #expect(last.text("scope") == "a b")
            #expect(last.json["imported"] as? Bool == true)
        }
    }
}
