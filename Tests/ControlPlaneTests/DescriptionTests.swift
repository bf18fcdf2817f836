import ControlPlaneFixture
import Foundation
import Testing

@Suite struct `A description` {
    @Test func `of a key is given, changed, kept by a rotation and removed`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let created = try await plane.client.post("/v1/keys", #"{"owner": "acme", "description": "for ß"}"#)
            let id = try #require(created.items.first?["id"] as? String)
            // What is shown once is as the contract has it.
            #expect(created.items.first?["description"] == nil)
            #expect(try await plane.client.get("/v1/keys/\(id)").text("description") == "for ß")
            #expect(try await plane.client.get("/v1/keys").items.first?["description"] as? String == "for ß")
            func edit(_ body: String) async throws -> ControlClient.Answer {
                try await plane.client.send(
                    "PATCH", "/v1/keys/\(id)", body: Array(body.utf8),
                    headers: ["Content-Type": "application/merge-patch+json"])
            }
            #expect(try await edit(#"{"name": "n"}"#).text("description") == "for ß")
            #expect(try await edit(#"{"description": "for two"}"#).text("description") == "for two")
            let next = try #require(try await plane.client.post("/v1/keys/\(id)/rotation").text("id"))
            #expect(try await plane.client.get("/v1/keys/\(next)").text("description") == "for two")
            let cleared = try await edit(#"{"description": null}"#)
            #expect(cleared.isNull("description") && cleared.text("name") == "n")
            #expect(try await plane.client.get("/v1/keys/\(next)").text("description") == "for two")
        }
    }

    @Test func `is in exports and import lines, and of many keys at once`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let body = #"{"lines": [{"key": "live_8fK2pQ9sVx3LmN7t", "owner": "a", "description": "imported"}]}"#
            #expect(try await plane.client.post("/v1/keys/import", body).texts("imported")?.count == 1)
            let bulk = #"{"owner": "b", "count": 2, "description": "bulk"}"#
            #expect(try await plane.client.post("/v1/keys/bulk", bulk).status == 200)
            let lines = try await plane.client.get("/v1/keys/export").bytes.split(separator: 0x0A).map { line in
                try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
            }
            let found = lines.compactMap { $0?["description"] as? String }
            #expect(found.sorted() == ["bulk", "bulk", "imported"])
        }
    }

    @Test func `of a client is given and shown`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let created = try await plane.client.post("/v1/clients", #"{"name": "app", "description": "the app"}"#)
            #expect(created.text("description") == "the app")
            let id = try #require(created.text("client_id"))
            #expect(try await plane.client.get("/v1/clients/\(id)").text("description") == "the app")
            #expect(try await plane.client.get("/v1/clients").items.first?["description"] as? String == "the app")
            #expect(try await plane.client.post("/v1/clients", #"{"name": "other"}"#).isNull("description"))
        }
    }
}
