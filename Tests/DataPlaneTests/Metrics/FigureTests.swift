import CredentialModel
import DataPlane
import Foundation
import Issuance
import Testing

@Suite struct `The figures of the data plane` {
    private func count(_ server: RunningServer, _ interface: String, _ kind: String, _ outcome: String) -> UInt64 {
        server.server.figures.verifications[.init(interface: interface, kind: kind, outcome: outcome)] ?? 0
    }

    @Test func `tell verifications by interface, kind and outcome`() async throws {
        try await withServer(["http://127.0.0.1:0"]) { server in
            let key = try await server.issuer.createKeys(KeyRequest(owner: "a", scope: ["read"]))[0]
            let limited = try await server.issuer.createKeys(KeyRequest(owner: "a", networks: ["10.0.0.0/8"]))[0]
            let meant = try await server.issuer.createKeys(KeyRequest(owner: "a", audience: ["https://x.example"]))[0]
            let client = try await server.connect()
            func verify(_ secret: SecretText, _ query: String = "", scheme: String = "ApiKey") async throws {
                _ = try await client.ask(
                    "GET /verify\(query) HTTP/1.1\r\nHost: a\r\nAuthorization: \(scheme) \(secret.reveal())\r\n\r\n")
            }
            for _ in 0..<3 { try await verify(key.secret) }
            try await verify(key.secret, "?scope=write")
            try await verify(key.secret, scheme: "Bearer")
            try await verify(limited.secret)
            try await verify(meant.secret, "?audience=https://y.example")
            try await verify(SecretText(Array("nonsense".utf8)))
            _ = try await server.issuer.revoke([key.summary.id], chain: false)
            try await verify(key.secret)
            #expect(count(server, "verify", "api_key", "valid") == 3)
            #expect(count(server, "verify", "api_key", "insufficient_scope") == 1)
            #expect(count(server, "verify", "api_key", "wrong_kind") == 1)
            #expect(count(server, "verify", "api_key", "wrong_network") == 1)
            #expect(count(server, "verify", "api_key", "wrong_audience") == 1)
            #expect(count(server, "verify", "none", "malformed") == 1)
            #expect(count(server, "verify", "api_key", "revoked") == 1)
            #expect(server.server.figures.verifications.values.reduce(0, +) == 9)
            #expect(server.server.figures.connections == 1)
        }
    }

    @Test func `tell introspections and verdicts, and the use of what was rotated`() async throws {
        try await withServer { server in
            let caller = try await server.caller(rights: ["introspect"])
            let key = try await server.issuer.createKeys(KeyRequest(owner: "a"))[0]
            _ = try await server.issuer.rotate(key.summary.id, overlapSeconds: 600)
            let client = try await server.connect()
            _ = try await client.ask(introspection("token=\(key.secret.reveal())", caller.authorization))
            _ = try await client.ask(introspection("token=unknown", caller.authorization))
            _ = try await client.ask(introspection("token=\(caller.secret)", caller.authorization))
            #expect(count(server, "introspect", "api_key", "valid") == 1)
            #expect(count(server, "introspect", "none", "malformed") == 1)
            #expect(count(server, "introspect", "client_secret", "wrong_kind") == 1)
            #expect(server.server.figures.supersededUses == 1)
            let body = #"{"credentials": ["\#(key.secret.reveal())", "x"]}"#
            _ = try await client.ask(
                "POST /v1/verify HTTP/1.1\r\nHost: a\r\n\(caller.authorization)\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            #expect(count(server, "v1_verify", "api_key", "valid") == 1)
            #expect(count(server, "v1_verify", "none", "malformed") == 1)
            #expect(server.server.figures.supersededUses == 2)
        }
    }

    @Test func `are scraped from the listener for health only`() async throws {
        try await withServer(health: "http://127.0.0.1:0") { server in
            let open = try await server.connect(1)
            let answer = try await open.ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(answer.status == 200)
            #expect(answer["Content-Type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            let other = try await server.connect()
            #expect(try await other.ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").status == 404)
            #expect(try await open.ask("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status == 405)
        }
    }
}
