import ControlPlaneFixture
import CredentialModel
import Foundation
import Issuance
import Testing

@Suite struct `The change feed of the control plane` {
    @Test func `lists changes in order, with ids to look them up, and without names of owners`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let begin = try await plane.client.get("/v1/changes")
            let next = try #require(begin.number("next"))
            #expect(begin.status == 200 && (begin.json["changes"] as? [Any])?.isEmpty == true)
            let key = try await plane.makeKey()
            let client = try await plane.makeClient()
            _ = try await plane.client.delete("/v1/keys/\(key.id)")
            _ = try await plane.client.delete("/v1/clients/\(client)")
            _ = try await plane.client.post("/v1/owners/acme/revocations", "{}")
            let told = try await plane.client.get("/v1/changes?after=\(next)")
            let changes = try #require(told.json["changes"] as? [[String: Any]])
            let events = changes.compactMap { $0["event"] as? String }
            #expect(!events.contains("issued") && events.contains("client_revoked") && events.last == "owner_revoked")
            let revoked = try #require(changes.first { $0["event"] as? String == "revoked" })
            #expect(revoked["id"] as? String == key.id && revoked["kind"] as? String == "api_key")
            #expect(changes.first { $0["event"] as? String == "client_revoked" }?["client_id"] as? String == client)
            #expect(changes.last?["flush"] as? Bool == true)
            #expect(!String(decoding: told.bytes, as: UTF8.self).contains("acme"))
            #expect(told.text("incarnation") == String(plane.issuer.store.incarnation))
            // Page by page they are the same; issuances are included on request.
            var (after, pieces): (Int, [String]) = (next, [])
            while true {
                let piece = try await plane.client.get("/v1/changes?after=\(after)&limit=1")
                let found = (piece.json["changes"] as? [[String: Any]] ?? []).compactMap { $0["event"] as? String }
                if found.isEmpty { break }
                pieces += found
                after = try #require(piece.number("next"))
            }
            #expect(pieces == events)
            let issued = try await plane.client.get("/v1/changes?after=\(next)&issued=true")
            let all = (issued.json["changes"] as? [[String: Any]])?.compactMap { $0["event"] as? String }
            #expect(all?.first == "issued")
        }
    }

    @Test func `can be waited for, and issuances wake only callers that requested them`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let key = try await plane.makeKey()
            let next = try #require(try await plane.client.get("/v1/changes").number("next"))
            async let waiting = plane.client.get("/v1/changes?after=\(next)&wait=60")
            async let issuances = plane.client.get("/v1/changes?after=\(next)&wait=60&issued=true")
            _ = try await plane.makeKey()
            #expect(((try await issuances.json)["changes"] as? [[String: Any]])?.first?["event"] as? String == "issued")
            _ = try await plane.client.delete("/v1/keys/\(key.id)")
            let told = try await waiting
            #expect((told.json["changes"] as? [[String: Any]])?.first?["id"] as? String == key.id)
            let nothing = try await plane.client.get("/v1/changes?wait=1")
            #expect(nothing.status == 200 && (nothing.json["changes"] as? [Any])?.isEmpty == true)
        }
    }

    @Test func `answers 410 for an unknown position, and refuses what is not a number`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            _ = try await plane.makeKey()
            for query in ["after=999999", "after=0&incarnation=1"] {
                let answer = try await plane.client.get("/v1/changes?\(query)")
                #expect(answer.status == 410 && answer.problem == "changes-gone", "\(query)")
            }
            for query in [
                "after=x", "after=-1", "after=+1", "limit=0", "limit=1001", "wait=61", "issued=yes", "incarnation=x",
                "after=1&after=1", "other=1", "after=99999999999999999999",
            ] {
                let answer = try await plane.client.get("/v1/changes?\(query)")
                #expect(answer.status == 400 && answer.problem == "bad-query", "\(query)")
            }
        }
    }

    @Test func `is not sent to a caller that lost the right while it waited`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let own = try await plane.issuer.createKeys(KeyRequest(owner: "o", scope: ["countersign:changes"]))[0]
            let field = ["Authorization": "ApiKey \(own.secret.reveal())"]
            let begin = try await plane.get("/v1/changes", headers: field)
            #expect(begin.status == 200)
            async let waiting = plane.get("/v1/changes?wait=60", headers: field)
            // Usually it waits by then; otherwise it is refused before it does.
            try await Task.sleep(for: .milliseconds(300))
            _ = try await plane.issuer.revoke([own.summary.id], chain: false)
            #expect(try await waiting.status == 401)
        }
    }
}
