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
            for query in ["after=x", "after=-1", "limit=0", "limit=1001", "after=1&after=1", "other=1"] {
                let refusal = try await plane.client.get("/v1/audit?\(query)")
                #expect(refusal.status == 400 && refusal.problem == "bad-query", "\(query)")
            }
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
