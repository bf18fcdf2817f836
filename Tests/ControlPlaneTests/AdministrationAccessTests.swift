import ControlPlaneFixture
import CredentialModel
import CredentialStore
import Foundation
import HTTPTypes
import Issuance
import TestSupport
import Testing

@testable import ControlPlane

/// Administration over the network, with a credential whose scope has the rights.
@Suite struct AdministrationAccessTests {
    private func key(
        _ plane: OAuthFixture, _ scope: [String], audience: [String] = [], networks: [String] = []
    ) async throws -> [String: String] {
        let made = try await plane.issuer.createKeys(
            KeyRequest(owner: "operator", scope: scope, audience: audience, networks: networks))[0]
        return ["Authorization": "ApiKey \(made.secret.reveal())"]
    }

    @Test func `needs a valid credential`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let good = try await key(plane, ["countersign:admin"])
            #expect(try await plane.get("/v1/keys", headers: good).status == 200)
            let text = good["Authorization"] ?? ""
            let secret = String(text.dropFirst("ApiKey ".count))
            // A key as Bearer too: Prometheus supports no other scheme.
            #expect(try await plane.get("/v1/keys", headers: ["Authorization": "Bearer \(secret)"]).status == 200)
            let bad = [
                "", "ApiKey", "ApiKey x", "Bearer x", "\(text)x", "Basic eDp5", "Digest a",
                mistyped(text), "\(text), \(text)",
            ]
            for field in bad {
                let answer = try await plane.get("/v1/keys", headers: ["Authorization": field])
                #expect(answer.status == 401, "\(field.prefix(8))")
                #expect(answer.problem == "unauthenticated")
                #expect(answer.headers["www-authenticate"]?.hasPrefix("Bearer") == true)
            }
            // Not in the URI, where it would be logged.
            #expect(try await plane.get("/v1/keys?api_key=\(secret)").status == 401)
        }
    }

    @Test func `is refused from the first request after a revocation`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let admin = try await plane.issuer.createKeys(KeyRequest(owner: "o", scope: ["countersign:admin"]))[0]
            let field = ["Authorization": "ApiKey \(admin.secret.reveal())"]
            #expect(try await plane.get("/v1/keys", headers: field).status == 200)
            _ = try await plane.issuer.revoke([admin.summary.id], chain: false)
            #expect(try await plane.get("/v1/keys", headers: field).status == 401)
        }
    }

    /// The table of routes is enforced: each route refuses a caller that has every right but the one it needs.
    @Test func `each route asks for its right`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let services = try ControlPlaneServices(
                issuer: plane.issuer, readiness: { .ready }, backupFolder: "/nonexistent")
            let routes = administrationRoutes(services)
            #expect(routes.count > 30)
            for route in routes {
                let right = try #require(route.right, "\(route.path)")
                let path = route.path.replacing("{id}", with: "0Fz8kQ2mXbA").replacing("{client_id}", with: "c")
                    .replacing("{owner}", with: "o").replacing("{number}", with: "9")
                let others = Right.allCases.filter { $0 != right }.map(\.rawValue)
                let without = try await key(plane, others)
                let with = try await key(plane, [right.rawValue])
                func status(_ headers: [String: String]) async throws -> Int {
                    try await OAuthFixture.send(
                        route.method.rawValue, "http://127.0.0.1:\(plane.port)\(path)", body: nil, headers: headers
                    ).status
                }
                #expect(try await status([:]) == 401, "\(route.path)")
                #expect(try await status(without) == 403, "\(route.path)")
                // The backup itself would fail; it is enough that the caller is admitted.
                #expect(![401, 403].contains(try await status(with)), "\(route.path)")
            }
        }
    }

    @Test func `respects the networks and the audiences of a credential`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let scope = ["countersign:keys:read"]
            func status(_ audience: [String], _ networks: [String]) async throws -> Int {
                try await plane.get(
                    "/v1/keys", headers: try await key(plane, scope, audience: audience, networks: networks)
                ).status
            }
            #expect(try await status([], ["127.0.0.0/8"]) == 200)
            #expect(try await status([], ["10.0.0.0/8"]) == 401)
            #expect(try await status([OAuthFixture.issuerAddress], []) == 200)
            #expect(try await status(["https://api.example"], []) == 401)
        }
    }

    @Test func `accepts the secret of a client that may administer`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let admin = try await plane.client(#""name": "ops", "may": ["admin"]"#)
            let other = try await plane.client(#""name": "gw", "may": ["introspect"]"#)
            let path = "/v1/keys"
            #expect(try await plane.get(path, headers: OAuthFixture.basic(admin.id, admin.secret)).status == 200)
            #expect(try await plane.get(path, headers: OAuthFixture.basic(other.id, admin.secret)).status == 401)
            #expect(try await plane.get(path, headers: OAuthFixture.basic(other.id, other.secret)).status == 403)
        }
    }

    @Test func `refuses to issue rights that the caller does not have`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let writer = try await key(plane, ["countersign:keys:write"])
            func create(_ scope: String) async throws -> ControlClient.Answer {
                try await plane.post(
                    "/v1/keys", #"{"owner": "acme", "scope": "\#(scope)"}"#, headers: writer, type: "application/json")
            }
            let refused = try await create("countersign:admin")
            #expect(refused.status == 403)
            #expect(refused.problem == "forbidden")
            #expect(try await create("a:read countersign:keys:write").status == 201)
        }
    }

    @Test func `names the acting credential in the audit log`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let made = try await plane.issuer.createKeys(
                KeyRequest(owner: "operator", scope: ["countersign:admin"]))[0]
            let field = ["Authorization": "ApiKey \(made.secret.reveal())"]
            _ = try await plane.post("/v1/keys", #"{"owner": "acme"}"#, headers: field, type: "application/json")
            _ = try await plane.control.post("/v1/keys", #"{"owner": "acme"}"#)
            let actors = try await plane.control.get("/v1/audit").items.suffix(2).compactMap {
                $0["actor"] as? [String: Any]
            }
            #expect(actors.first?["type"] as? String == "credential")
            #expect(actors.first?["id"] as? String == made.summary.id.description)
            #expect(actors.last?["type"] as? String == "control_socket")
            #expect(actors.last?["id"] as? String == String(geteuid()))
        }
    }

    @Test func `keeps the Idempotency-Keys of two callers apart`() async throws {
        try await OAuthFixture.serve { plane async throws in
            func create(_ field: [String: String]) async throws -> String? {
                let headers = field.merging(["Idempotency-Key": "1"]) { $1 }
                let answer = try await plane.post(
                    "/v1/keys", #"{"owner": "acme"}"#, headers: headers, type: "application/json")
                return answer.items.first?["id"] as? String
            }
            let (one, other) = (
                try await key(plane, ["countersign:admin"]), try await key(plane, ["countersign:admin"])
            )
            let id = try await create(one)
            #expect(try await create(one) == id && id != nil)
            #expect(try await create(other) != id)
        }
    }

    @Test func `serves the open routes without a credential, and 404 and 405`() async throws {
        try await OAuthFixture.serve { plane async throws in
            for path in ["/livez", "/readyz", "/openapi.json"] {
                #expect(try await plane.get(path).status == 200)
            }
            #expect(try await plane.get("/v1/nothing").status == 404)
            #expect(try await plane.get("/oauth2/nothing").status == 404)
            let wrong = try await OAuthFixture.send("PUT", "http://127.0.0.1:\(plane.port)/v1/keys")
            #expect(wrong.status == 405)
            #expect(wrong.headers["allow"] == "GET, HEAD, POST")
        }
    }
}
