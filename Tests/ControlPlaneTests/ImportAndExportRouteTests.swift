import AdministrationAPI
import ControlPlaneFixture
import Foundation
import Testing

@Suite struct ImportAndExportRouteTests {
    /// SHA-512 of `legacy_4f6e8a1b2c3d4e5f`.
    private let sha512 =
        "d17bd1611b1672fd70000b21c250ba54fd62c2bf21f3a1de5799b2c409b683d41fe4b3e6421d07f5f4ffd0e7d5e09387ae1c5f3dc09b216789d96aaf3638bb60"

    @Test func `a line holds exactly one form of the key`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let body = """
                {"lines": [
                  {"sha512": "\(sha512)", "owner": "acme"},
                  {"sha512": "\(sha512)", "sha256": "\(sha512)", "owner": "acme"},
                  {"owner": "acme"}, {"key": null, "owner": "acme"},
                  {"sha512": "\(sha512)", "hmac_key_name": "a", "owner": "acme"},
                  {"sha512": "\(sha512)", "owner": "acme"},
                  {"sha512": "\(sha512)", "owner": "else"}]}
                """
            let answer = try await plane.client.post("/v1/keys/import", body)
            #expect(answer.status == 200)
            let ids = try #require(answer.texts("imported"))
            let existing = try #require(answer.json["existing"] as? [[String: Any]])
            #expect(existing.count == 1 && existing[0]["line"] as? Int == 5 && existing[0]["id"] as? String == ids[0])
            let refused = try #require(answer.json["refused"] as? [[String: Any]])
            #expect(refused.compactMap { $0["line"] as? Int } == [1, 2, 3, 4, 6])
            for refusal in refused.prefix(3) {
                #expect((refusal["reason"] as? String)?.hasPrefix("Give exactly one of") == true)
            }
            #expect(!String(decoding: answer.bytes, as: UTF8.self).contains(sha512.prefix(8)))
            let unknown = try await plane.client.post(
                "/v1/keys/import", #"{"lines": [{"md5": "00", "owner": "acme"}]}"#)
            #expect(unknown.status == 400)
        }
    }

    @Test func `an imported key is explained after its revocation too`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let line = #"{"lines": [{"sha512": "\#(sha512)", "owner": "acme"}]}"#
            let id = try #require(try await plane.client.post("/v1/keys/import", line).texts("imported")?.first)
            for reason in ["valid", "revoked"] {
                let answer = try await plane.client.post("/v1/explain", #"{"credential": "legacy_4f6e8a1b2c3d4e5f"}"#)
                #expect(answer.text("reason") == reason)
                #expect((answer.json["credential"] as? [String: Any])?["id"] as? String == id)
                _ = try await plane.client.delete("/v1/keys/\(id)")
            }
        }
    }

    @Test func `an export has one line for each key, and an invalid request is refused before it begins`() async throws
    {
        try await ControlPlaneFixture.serve { plane async throws in
            for owner in ["a", "b"] {
                _ = try await plane.client.post("/v1/keys", #"{"owner": "\#(owner)", "count": 3}"#)
            }
            let answer = try await plane.client.get("/v1/keys/export?owner=a")
            #expect(answer.status == 200 && answer.headers["content-type"] == "application/x-ndjson")
            let lines = String(decoding: answer.bytes, as: UTF8.self).split(separator: "\n")
            #expect(lines.count == 3)
            for line in lines {
                let key = try StrictJSON.decodeAnswer(CredentialResource.self, from: Data(line.utf8))
                #expect(key.owner == "a" && key.kind == "api_key")
            }
            #expect(try await plane.client.get("/v1/keys/export?client_id=nobody").status == 404)
            #expect(try await plane.client.get("/v1/keys/export?limit=5").status == 400)
            #expect(try await plane.client.delete("/v1/keys/export").status >= 400)
        }
    }
}
