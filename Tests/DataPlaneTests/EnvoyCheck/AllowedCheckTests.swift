import CredentialModel
import DataPlane
import EnvoyAuthorizationMessages
import ForwardAuth
import Issuance
import TestSupport
import Testing

/// Rule 15, of what may pass.
@Suite(.timeLimit(.minutes(10))) struct `A check over gRPC that passes` {
    private static let policies = [
        Policy(name: "any", rule: PolicyRule(allowsPreflight: true)),
        Policy(name: "orders", rule: PolicyRule(scope: ["orders:read"])),
    ]

    private static let names: Set = [
        "x-auth-subject", "x-auth-client", "x-auth-scope", "x-auth-type", "x-auth-id", "x-auth-expires",
        "x-auth-sunset",
        "x-auth-uri",
    ]

    @Test func `tells the identity in place of whatever the client said`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key(KeyRequest(owner: "alice ä", scope: ["orders:read", "b"]))
            let answer = try await client.check(
                check("/orders/7?a=b", ["authorization": "ApiKey \(key.secret)"], policy: "orders"))
            #expect(answer.passes && answer.hasStatus)
            #expect(Set(answer.identity.keys) == Self.names && answer.okResponse.headers.count == Self.names.count)
            #expect(answer.okResponse.headers.allSatisfy { $0.appendAction == .overwriteIfExistsOrAdd })
            #expect(answer.identity["x-auth-subject"] == "alice%20%C3%A4")
            #expect(answer.identity["x-auth-client"] == "-" && answer.identity["x-auth-expires"] == "-")
            #expect(answer.identity["x-auth-scope"] == "orders:read%20b" && answer.identity["x-auth-type"] == "ApiKey")
            #expect(answer.identity["x-auth-id"] == "\(key.id)")
            #expect(answer.identity["x-auth-uri"] == "/orders/7?a=b")
            #expect(answer.okResponse.headersToRemove == ["authorization"])
            #expect(answer.okResponse.queryParametersToRemove == [])
        }
    }

    @Test func `tells the values that ext_authz tells`() async throws {
        try await withChecks(Self.policies) { server, client in
            let http = try await server.connect(1)
            let token = try await server.token(scope: ["orders:read"], subject: "bob %-", expiresIn: 600)
            let old = try await server.key()
            _ = try await server.issuer.rotate(old.id, overlapSeconds: 3_600)
            for authorization in ["Bearer \(token.secret)", "ApiKey \(old.secret)", "apikey   \(old.secret)"] {
                let answer = try await client.check(check("/x/%20?a=%41&b", ["authorization": authorization]))
                let other = try await http.ask(
                    "GET /ext_authz/any/x/%20?a=%41&b HTTP/1.1\r\nHost: a\r\nAuthorization: \(authorization)\r\n\r\n")
                #expect(answer.passes && other.status == 200)
                for name in Self.names { #expect(answer.identity[name] == other[name], "\(name)") }
            }
        }
    }

    @Test(arguments: ["api_key", "api%5Fkey", "%61pi_key"])
    func `has a key in its query taken out, by the name that the client spelled`(_ name: String) async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            let answer = try await client.check(check("/x?a=b&\(name)=\(key)&c=%20d"))
            #expect(answer.passes && answer.identity["x-auth-uri"] == "/x?a=b&c=%20d")
            #expect(answer.okResponse.queryParametersToRemove == [name])
            #expect(answer.okResponse.headersToRemove == ["authorization"])
        }
    }

    @Test func `may be described by fields as they came`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            let raw = try await client.check(rawCheck("/x", [("Authorization", "ApiKey \(key)"), ("a", "\u{FF}")]))
            #expect(raw.passes && raw.identity["x-auth-subject"] == "alice")
            var text = rawCheck("/x", [("authorization", "")])
            text.attributes.request.http.headerMap.headers[0].value = "ApiKey \(key)"
            #expect(try await client.check(text).passes)
        }
    }

    @Test func `gives Envoy's other filters what it knows`() async throws {
        try await withChecks(Self.policies) { server, client in
            let token = try await server.token(scope: ["a", "b"], subject: "ü", expiresIn: 600)
            let known = try await client.check(check("/x", ["authorization": "Bearer \(token.secret)"])).dynamicMetadata
            let fields = known.fields
            #expect(fields["subject"]?.stringValue == "ü" && fields["client_id"]?.stringValue == token.clientID)
            #expect(fields["scope"]?.stringValue == "a b" && fields["type"]?.stringValue == "Bearer")
            #expect(fields["id"]?.stringValue == "\(token.id)")
            let ends = try #require(fields["expires"]?.numberValue)
            #expect(abs(ends - Double(server.now.rawValue) - 600) < 60)
            let key = try await server.key().secret
            let other = try await client.check(check("/x", ["authorization": "ApiKey \(key)"])).dynamicMetadata.fields
            #expect(other["client_id"] == nil && other["expires"] == nil && other["type"]?.stringValue == "ApiKey")
        }
    }

    @Test func `may be a preflight, with nobody in it`() async throws {
        try await withChecks(Self.policies) { server, client in
            let preflight = ["origin": "https://shop.example", "access-control-request-method": "POST"]
            let passed = try await client.check(check("/x?api%5fkey=k&api_key=l", preflight, method: "OPTIONS"))
            #expect(passed.passes && Set(passed.identity.keys) == Self.names)
            #expect(passed.identity["x-auth-uri"] == "/x" && passed.identity["x-auth-subject"] == "-")
            #expect(passed.okResponse.queryParametersToRemove == ["api%5fkey", "api_key"])
            #expect(passed.okResponse.headersToRemove == ["authorization"])
            #expect(try await client.check(check("/x", preflight)).status.code == 16)
            #expect(
                try await client.check(check("/x", preflight, policy: "orders", method: "OPTIONS")).status.code == 16)
        }
    }

    @Test func `may have an owner longer than a record's, and the largest answer`() async throws {
        try await withChecks(Self.policies) { server, client in
            let owner = String(repeating: "ö", count: 100)
            let key = try await server.key(KeyRequest(owner: owner)).secret
            let path = "/" + String(repeating: "\u{1}", count: 12_000)
            let answer = try await client.check(check(path, ["authorization": "ApiKey \(key)"]))
            #expect(answer.dynamicMetadata.fields["subject"]?.stringValue == owner)
            #expect(answer.identity["x-auth-uri"]?.utf8.count == 36_001)
        }
    }

    @Test func `is counted apart`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            _ = try await client.check(check("/x", ["authorization": "ApiKey \(key)"]))
            let counted = server.server.figures.verifications.filter { $0.value > 0 }
            #expect(counted == [.init(interface: "grpc", kind: "api_key", outcome: "valid"): 1])
        }
    }
}
