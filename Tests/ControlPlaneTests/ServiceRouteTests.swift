import ControlPlane
import ControlPlaneFixture
import CredentialModel
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite struct ServiceRouteTests {
    @Test func `peppers are listed, added and retired`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let before = try await plane.client.get("/v1/peppers").items
            let oldest = try #require(before.first?["number"] as? Int)
            let added = try await plane.client.post("/v1/peppers")
            #expect(added.status == 201)
            let number = try #require(added.number("number"))
            #expect(added.json["newest"] as? Bool == true)
            #expect(try await plane.client.delete("/v1/peppers/\(number)").status == 409)
            let retired = try await plane.client.delete("/v1/peppers/\(oldest)")
            #expect(retired.status == 204)
            #expect(retired.bytes.isEmpty)
            #expect(try await plane.client.get("/v1/peppers").items.count == before.count)
            #expect(try await plane.client.delete("/v1/peppers/99").status == 404)
            #expect(try await plane.client.delete("/v1/peppers/x").status == 404)
        }
    }

    @Test func `the store has statistics and a check`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let statistics = try await plane.client.get("/v1/store/statistics")
            #expect(statistics.items.allSatisfy { $0["name"] is String && $0["value"] is Int })
            #expect(!statistics.items.isEmpty)
            let check = try await plane.client.get("/v1/store/check")
            #expect(check.json["sound"] as? Bool == true)
            #expect(check.texts("problems") == [])
        }
    }

    @Test func `a backup arrives whole and leaves nothing behind`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let before = try FileManager.default.contentsOfDirectory(atPath: plane.folder.path)
            let copy = try await plane.client.post("/v1/store/backup")
            #expect(copy.status == 200)
            #expect(copy.headers["content-type"] == "application/octet-stream")
            #expect(copy.headers["content-length"] == String(copy.bytes.count))
            #expect(!copy.bytes.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: plane.folder.path) == before)
        }
    }

    @Test func `an explanation has the verdict, the reason and the credential`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.makeKey()
            let good = try await plane.client.post("/v1/explain", #"{"credential": "\#(made.key)"}"#)
            #expect(good.status == 200)
            #expect(good.json["active"] as? Bool == true)
            #expect(good.text("reason") == "valid")
            #expect((good.json["credential"] as? [String: Any])?["id"] as? String == made.id)
            #expect(!String(decoding: good.bytes, as: UTF8.self).contains(made.key))
            let scoped = try await plane.client.post(
                "/v1/explain", #"{"credential": "\#(made.key)", "scope": "a:write"}"#)
            #expect(scoped.text("reason") == "insufficient_scope")
            let malformed = try await plane.client.post("/v1/explain", #"{"credential": "x"}"#)
            #expect(malformed.text("reason") == "malformed")
            #expect(malformed.isNull("credential"))
        }
    }

    @Test func `an explanation of a kind that callers cannot present names the kind and is never valid`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let client = try await plane.client.post("/v1/clients", #"{"name": "n"}"#)
            let secret = try #require(client.text("client_secret"))
            let answer = try await plane.client.post("/v1/explain", #"{"credential": "\#(secret)"}"#)
            #expect(answer.json["active"] as? Bool == false && answer.text("reason") == "unknown")
            let known = try #require(answer.json["credential"] as? [String: Any])
            #expect(known["kind"] as? String == "client_secret" && known["state"] as? String == "active")
        }
    }

    @Test(arguments: [CredentialKind.refreshToken, .authorizationCode, .clientSecret])
    func `no kind but keys and access tokens is explained as valid`(kind: CredentialKind) async throws {
        let fixture = try Fixture()
        let explaining = try Explainer(issuer: fixture.issuer)
        let planted = try await fixture.plant(kind)
        let explanation = try await explaining.explain(
            planted.secret.revealBytes(), scope: [], clientID: nil, address: nil)
        #expect(
            explanation.inactive == .wrongKind && explanation.code == "unknown" && explanation.summary?.kind == kind)
    }

    @Test func `an explanation checks the network of a limited key`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.client.post("/v1/keys", #"{"owner": "a", "network": ["10.0.0.0/8"]}"#)
            let key = try #require(made.items.first?["key"] as? String)
            func reason(_ address: String?) async throws -> String? {
                let member = address.map { #", "client_ip": "\#($0)""# } ?? ""
                return try await plane.client.post("/v1/explain", #"{"credential": "\#(key)"\#(member)}"#).text(
                    "reason")
            }
            #expect(try await reason("10.1.2.3") == "valid")
            #expect(try await reason("192.0.2.7") == "wrong_network")
            #expect(try await reason(nil) == "wrong_network")
            let wrong = try await plane.client.post(
                "/v1/explain", #"{"credential": "\#(key)", "client_ip": "ten"}"#)
            #expect(wrong.status == 422 && wrong.text("member") == "client_ip")
        }
    }

    @Test func `readiness follows the node and liveness does not`() async throws {
        let readiness = Mutex(Readiness.ready)
        let shared = Shared(readiness)
        try await ControlPlaneFixture.serve(readiness: { shared.value }) { plane async throws in
            #expect(try await plane.client.get("/readyz").text("status") == "ready")
            shared.set(.notReady(reason: "The store is being opened."))
            let unready = try await plane.client.get("/readyz")
            #expect(unready.status == 503)
            #expect(unready.problem == "not-ready")
            #expect(unready.text("detail") == "The store is being opened.")
            #expect(unready.headers["retry-after"] == "1")
            #expect(try await plane.client.get("/livez").text("status") == "alive")
        }
    }

    private final class Shared: Sendable {
        private let state: Mutex<Readiness>
        init(_ state: consuming Mutex<Readiness>) { self.state = state }
        var value: Readiness { state.withLock { $0 } }
        func set(_ value: Readiness) { state.withLock { $0 = value } }
    }

    @Test func `HEAD answers like GET without a body`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let head = try await plane.client.send("HEAD", "/v1/keys")
            #expect(head.status == 200)
            #expect(head.bytes.isEmpty)
            #expect(try await plane.client.send("HEAD", "/v1/keys/00000000001").status == 404)
        }
    }
}
