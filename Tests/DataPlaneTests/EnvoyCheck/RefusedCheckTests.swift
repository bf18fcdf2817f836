import CredentialModel
import DataPlane
import EnvoyAuthorizationMessages
import ForwardAuth
import GRPCCore
import Issuance
import TestSupport
import Testing

@testable import CredentialStore

/// Rule 15: denied requests. Envoy allows everything with code 0.
@Suite(.timeLimit(.minutes(10))) struct `A denied check over gRPC` {
    private static let policies = [
        Policy(name: "any", rule: PolicyRule()),
        Policy(
            name: "orders", rule: PolicyRule(scope: ["orders:read"]),
            places: [Policy.Place(path: "/orders/admin", rule: PolicyRule(scope: ["orders:admin"]))]),
        Policy(name: "keys", rule: PolicyRule(allowsTokens: false, allowsQueryKeys: false)),
        Policy(name: "tokens", rule: PolicyRule(audience: "https://a.example", allowsKeys: false)),
    ]

    private func expect(
        _ answer: CheckResponse, _ code: Int32, _ error: String?, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let status: Int = code == 16 ? 401 : code == 7 ? 403 : 400
        #expect(answer.status.code == code && code != 0, sourceLocation: sourceLocation)
        #expect(answer.deniedResponse.status.code.rawValue == status, sourceLocation: sourceLocation)
        let challenge = answer.refusal("www-authenticate") ?? ""
        #expect(challenge.hasPrefix("Bearer realm=\"countersign\""), sourceLocation: sourceLocation)
        #expect(challenge.contains("error=") == (error != nil), sourceLocation: sourceLocation)
        if let error { #expect(challenge.contains("error=\"\(error)\""), sourceLocation: sourceLocation) }
        #expect(answer.refusal("content-type") == "application/problem+json", sourceLocation: sourceLocation)
        #expect(answer.deniedResponse.body.contains("\"status\":\(status)"), sourceLocation: sourceLocation)
        #expect(!answer.hasDynamicMetadata && answer.okResponse.headers.isEmpty, sourceLocation: sourceLocation)
    }

    @Test func `has no credential, or one of an unknown scheme: 16`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            let token = try await server.token().secret
            expect(try await client.check(check("/x")), 16, nil)
            expect(try await client.check(check("/x", ["authorization": "Basic YTpi"])), 16, nil)
            expect(try await client.check(check("/x?api_key=\(key)", policy: "keys")), 16, nil)
            expect(try await client.check(check("/x", ["authorization": "Bearer \(token)"], policy: "keys")), 16, nil)
            expect(try await client.check(check("/x", ["authorization": "ApiKey \(key)"], policy: "tokens")), 16, nil)
            expect(try await client.check(check("/x", ["x-api-key": key])), 16, nil)
        }
    }

    @Test func `has a credential that is not accepted: 16`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            let token = try await server.token(audience: ["https://b.example"]).secret
            let expired = try await server.plant(.apiKey) { $0.record.expiresAt = UnixSeconds(1_000) }.secret
            let refresh = try await server.plant(.refreshToken).secret
            for value in [
                "ApiKey \(mistyped(key))", "ApiKey x", "Bearer \(key)", "ApiKey \(token)", "ApiKey \(expired)",
                "Bearer \(refresh)",
            ] {
                expect(try await client.check(check("/x", ["authorization": value])), 16, "invalid_token")
            }
            expect(
                try await client.check(check("/x", ["authorization": "Bearer \(token)"], policy: "tokens")), 16,
                "invalid_token")
        }
    }

    @Test func `has a credential that was just revoked: 16`() async throws {
        try await withChecks(Self.policies) { server, client in
            for _ in 0..<20 {
                let key = try await server.key()
                let request = check("/x", ["authorization": "ApiKey \(key.secret)"])
                for _ in 0..<3 { #expect(try await client.check(request).passes) }
                _ = try await server.issuer.revoke([key.id], chain: false)
                expect(try await client.check(request), 16, "invalid_token")
            }
        }
    }

    @Test func `lacks a scope: 7, and names it`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key(KeyRequest(owner: "a", scope: ["orders:read"])).secret
            func ask(_ path: String, _ key: String) async throws -> CheckResponse {
                try await client.check(check(path, ["authorization": "ApiKey \(key)"], policy: "orders"))
            }
            #expect(try await ask("/orders", key).passes)
            let refused = try await ask("/orders/admin/7", key)
            expect(refused, 7, "insufficient_scope")
            #expect(refused.refusal("www-authenticate")?.contains(#"scope="orders:admin""#) == true)
            expect(try await ask("/x", try await server.key().secret), 7, "insufficient_scope")
        }
    }

    @Test func `is malformed, or has two credentials: 3`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            let authorization = "ApiKey \(key)"
            for request in [
                check("/x?api_key=\(key)", ["authorization": authorization]),
                check("/x?api_key=\(key)&api%5Fkey=\(key)"),
                check("/x", ["authorization": "\(authorization),\(authorization)"]),
                check("/x", ["authorization": "\(authorization), Bearer x"]),
                check("/x", ["authorization": authorization, "Authorization": authorization]),
                check("/x", ["authorization": "ApiKey"]), check("/x", ["authorization": ""]),
                check("/x", ["authorization": "ApiKey \"\(key)\""]), check("/x", ["authorization": "ApiKey\t\(key)"]),
                check("/x", ["authorization": "ApiKey ä"]), check("/x?api_key=%zz"), check("/x?api_key="),
                rawCheck("/x", [("authorization", authorization), ("authorization", authorization)]),
                rawCheck("/x", [("authorization", authorization), ("a", "b"), ("AUTHORIZATION", "Basic x")]),
                rawCheck("/x?api_key=\(key)", [("authorization", authorization)]),
                check("/orders/../orders/admin", ["authorization": authorization], policy: "orders"),
                check("//orders", ["authorization": authorization], policy: "orders"),
                check("/%6Frders/admin", ["authorization": authorization], policy: "orders"),
                check("/" + String(repeating: "a", count: 16_384), ["authorization": authorization]),
                check("", ["authorization": authorization], policy: "orders"),
            ] {
                expect(try await client.check(request), 3, "invalid_request")
            }
            // Both kinds of headers: a reader of one kind would miss what is only in the other.
            var both = check("/x", ["authorization": authorization])
            both.attributes.request.http.headerMap =
                rawCheck("/x", [("authorization", authorization)])
                .attributes.request.http.headerMap
            expect(try await client.check(both), 3, "invalid_request")
        }
    }

    /// A credential with a network limit is accepted from that network, by the address that Envoy saw.
    @Test func `comes from another network: 16`() async throws {
        try await withChecks(
            Self.policies, settings: { $0.trustedProxies = [Network("10.0.0.1/32")].compactMap { $0 } }
        ) { server, client in
            let key = try await server.key(KeyRequest(owner: "a", networks: ["192.0.2.0/24"])).secret
            func passes(_ source: String?, _ forwarded: String...) async throws -> Bool {
                var request = check("/x", ["authorization": "ApiKey \(key)"], source: source)
                if forwarded.count == 1 { request.attributes.request.http.headers["x-forwarded-for"] = forwarded[0] }
                if forwarded.count > 1 {
                    request = rawCheck(
                        "/x", [("authorization", "ApiKey \(key)")] + forwarded.map { ("x-forwarded-for", $0) })
                    request.attributes.source.address.socketAddress.address = source ?? ""
                }
                let answer = try await client.check(request)
                if !answer.passes { expect(answer, 16, "invalid_token") }
                return answer.passes
            }
            #expect(try await passes("192.0.2.7"))
            #expect(try await passes("::ffff:192.0.2.7"))
            #expect(try await !passes("198.51.100.1"))
            #expect(try await !passes(nil))
            #expect(try await !passes(""))
            #expect(try await !passes("somewhere"))
            // Only a trusted proxy may name the client.
            #expect(try await !passes("198.51.100.1", "192.0.2.7"))
            #expect(try await !passes(nil, "192.0.2.7"))
            #expect(try await passes("10.0.0.1", "192.0.2.7"))
            #expect(try await passes("10.0.0.1", "203.0.113.1, 192.0.2.7:80, 10.0.0.1"))
            #expect(try await !passes("10.0.0.1", "192.0.2.7, 203.0.113.1"))
            #expect(try await !passes("10.0.0.1"))
            #expect(try await passes("10.0.0.1", "203.0.113.1", "192.0.2.7", "10.0.0.1"))
            #expect(try await !passes("10.0.0.1", "192.0.2.7", "203.0.113.1"))
        }
    }

    /// `failure_mode_allow` would allow an error of the call.
    @Test func `that names no policy, or an unknown one, is denied without an error`() async throws {
        try await withChecks(Self.policies) { server, client in
            let authorization = ["authorization": "ApiKey \(try await server.key().secret)"]
            for policy in [nil, "", "none", "any/x"] {
                let request = check("/x", authorization, policy: policy)
                let answer = try await client.check(request)
                #expect(answer.status.code == 7 && answer.status.message.contains("policy"))
                #expect(answer.deniedResponse.status.code == .forbidden && answer.refusal("www-authenticate") == nil)
            }
        }
    }

    @Test func `uses the listener's policy if its route names none`() async throws {
        try await withChecks(Self.policies, options: "?policy=orders") { server, client in
            let authorization = ["authorization": "ApiKey \(try await server.key().secret)"]
            #expect(try await client.check(check("/x", authorization, policy: nil)).status.code == 7)
            #expect(try await client.check(check("/x", authorization, policy: "any")).passes)
            #expect(try await client.check(check("/x", authorization, policy: "")).status.code == 7)
        }
    }

    @Test func `uses new policies as a whole`() async throws {
        try await withChecks(Self.policies) { server, client in
            let request = check("/x", ["authorization": "ApiKey \(try await server.key().secret)"])
            #expect(try await client.check(request).passes)
            server.server.use(try PolicySet([Policy(name: "any", rule: PolicyRule(scope: ["a"]))]))
            #expect(try await eventually { try await client.check(request).status.code == 7 })
            #expect(try await client.check(check("/x", policy: "keys")).status.code == 7)
        }
    }

    @Test func `meets a store that cannot answer: UNAVAILABLE, which is no verdict`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key()
            let store = server.fixture.store
            try await store.tamper { _, transaction in
                let table = store.schema.credentials.database
                _ = try transaction.put(table, key: key.id.rawValue, value: [1, 2, 3].octets)
            }
            #expect(try await client.code(check("/x", ["authorization": "ApiKey \(key.secret)"])) == .unavailable)
            let trouble = server.server.figures.verifications
            #expect(trouble[.init(interface: "grpc", kind: "none", outcome: "trouble")] == 1)
            let good = try await server.key().secret
            #expect(try await client.check(check("/x", ["authorization": "ApiKey \(good)"])).passes)
        }
    }
}
