import ControlPlaneFixture
import Foundation
import Testing

@Suite struct AuditRouteTests {
    @Test func `the log is listed page by page, and has no secret`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.makeKey()
            let client = try await plane.makeClient()
            _ = try await plane.client.delete("/v1/keys/\(made.id)")
            let first = try await plane.client.get("/v1/audit?limit=2")
            #expect(first.status == 200 && first.text("next") == "2")
            #expect(first.items.map { $0["action"] as? String } == ["keys_created", "client_created"])
            #expect(
                first.items[0]["owner"] as? String == "acme" && first.items[0]["credentials"] as? [String] == [made.id])
            #expect(first.items[1]["client_id"] as? String == client && first.items[1]["owner"] is NSNull)
            #expect((first.items[0]["actor"] as? [String: Any])?["type"] as? String == "control_socket")
            let second = try await plane.client.get("/v1/audit?limit=2&after=2")
            #expect(second.isNull("next"))
            #expect(second.items.map { $0["action"] as? String } == ["credentials_revoked"])
            for answer in [first, second] { #expect(!String(decoding: answer.bytes, as: UTF8.self).contains(made.key)) }
            for query in [
                "after=x", "after=-1", "limit=0", "limit=1001", "after=1&after=1", "other=1", "action=keys_made",
                "since=x",
                "until=-1",
            ] {
                let refusal = try await plane.client.get("/v1/audit?\(query)")
                #expect(refusal.status == 400 && refusal.problem == "bad-query", "\(query)")
            }
        }
    }

    @Test func `the log is asked for an actor, an action, an owner, an object and a time`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.makeKey()
            let other = try await plane.makeKey(owner: "other")
            let client = try await plane.makeClient()
            _ = try await plane.client.delete("/v1/keys/\(made.id)")
            func numbers(_ query: String) async throws -> [Int] {
                try await plane.client.get("/v1/audit?\(query)").items.compactMap { $0["number"] as? Int }
            }
            #expect(try await numbers("owner=other") == [2])
            #expect(try await numbers("action=keys_created") == [1, 2])
            #expect(try await numbers("id=\(made.id)") == [1, 4])
            #expect(try await numbers("id=\(client)") == [3])
            #expect(try await numbers("id=\(other.id)&action=credentials_revoked") == [])
            #expect(try await numbers("actor=control_socket") == [1, 2, 3, 4])
            #expect(try await numbers("actor=client") == [])
            let first = try await plane.client.get("/v1/audit?limit=1").items[0]
            let actor = try #require((first["actor"] as? [String: Any])?["id"] as? String)
            #expect(try await numbers("actor=\(actor)") == [1, 2, 3, 4])
            let time = try #require(first["time"] as? Int)
            #expect(try await numbers("since=\(time)").count == 4)
            #expect(try await numbers("until=\(time)") == [])
            #expect(try await numbers("since=\(time + 1_000)") == [])
            // The page ends behind what was looked at, and not behind what was found.
            let page = try await plane.client.get("/v1/audit?owner=other&limit=1")
            #expect(page.text("next") == "2")
            #expect(try await numbers("owner=other&limit=1&after=2") == [])
        }
    }

    @Test func `the log is checked, also against an earlier head`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let empty = try await plane.client.get("/v1/audit/check")
            #expect(empty.json["sound"] as? Bool == true && empty.number("entries") == 0)
            _ = try await plane.makeKey()
            let head = try #require(try await plane.client.get("/v1/audit/check").text("head"))
            _ = try await plane.makeKey()
            let later = try await plane.client.get("/v1/audit/check?head=\(head)")
            #expect(later.json["sound"] as? Bool == true && later.number("entries") == 2)
            let digits = head.dropFirst(2)
            let other = try await plane.client.get("/v1/audit/check?head=2:\(digits)")
            #expect(other.json["sound"] as? Bool == false)
            #expect((other.json["fault"] as? [String: Any])?["number"] as? Int == 2)
            #expect(try await plane.client.get("/v1/audit/check?head=x").problem == "bad-query")
        }
    }
}
