import CredentialModel
import DataPlane
import EnvoyAuthorizationMessages
import ForwardAuth
import Issuance
import Testing
import TestSupport

/// Rule 15: allowed requests.
@Suite(.timeLimit(.minutes(10))) struct `An allowed check over gRPC` {
    private static let policies = [
        Policy(name: "any", rule: PolicyRule(allowsPreflight: true)),
        Policy(name: "orders", rule: PolicyRule(scope: ["orders:read"])),
    ]

    private static let names: Set = [
        "x-auth-subject", "x-auth-client", "x-auth-scope", "x-auth-type", "x-auth-id", "x-auth-expires",
        "x-auth-sunset",
        "x-auth-uri",
    ]

    @Test func `returns the identity in place of forged headers`() async throws {
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

    @Test func `returns the same values as ext_authz`() async throws {
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
    func `removes a key from the query, by the name that the client sent`(_ name: String) async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            let answer = try await client.check(check("/x?a=b&\(name)=\(key)&c=%20d"))
            #expect(answer.passes && answer.identity["x-auth-uri"] == "/x?a=b&c=%20d")
            #expect(answer.okResponse.queryParametersToRemove == [name])
            #expect(answer.okResponse.headersToRemove == ["authorization"])
        }
    }

    @Test func `can be described by raw headers`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            let raw = try await client.check(rawCheck("/x", [("Authorization", "ApiKey \(key)"), ("a", "\u{FF}")]))
            #expect(raw.passes && raw.identity["x-auth-subject"] == "alice")
            var text = rawCheck("/x", [("authorization", "")])
            text.attributes.request.http.headerMap.headers[0].value = "ApiKey \(key)"
            #expect(try await client.check(text).passes)
        }
    }

    @Test func `returns metadata for Envoy's other filters`() async throws {
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

    @Test func `can be a preflight, without an identity`() async throws {
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

    @Test func `can have an owner longer than a record holds, and the largest response`() async throws {
        try await withChecks(Self.policies) { server, client in
            let owner = String(repeating: "ö", count: 100)
            let key = try await server.key(KeyRequest(owner: owner)).secret
            let path = "/" + String(repeating: "\u{1}", count: 12_000)
            let answer = try await client.check(check(path, ["authorization": "ApiKey \(key)"]))
            #expect(answer.dynamicMetadata.fields["subject"]?.stringValue == owner)
            #expect(answer.identity["x-auth-uri"]?.utf8.count == 36_001)
        }
    }

    @Test func `is counted separately`() async throws {
        try await withChecks(Self.policies) { server, client in
            let key = try await server.key().secret
            _ = try await client.check(check("/x", ["authorization": "ApiKey \(key)"]))
            let counted = server.server.figures.verifications.filter { $0.value > 0 }
            #expect(counted == [.init(interface: "grpc", kind: "api_key", outcome: "valid"): 1])
        }
    }
}

/// gRPC and `/ext_authz` are two ways to ask the same.
@Suite(.timeLimit(.minutes(10))) struct `The verdict over gRPC` {
    private static let policies = [
        Policy(
            name: "orders", rule: PolicyRule(scope: ["orders:read"], allowsPreflight: true),
            places: [
                Policy.Place(path: "/orders/admin", rule: PolicyRule(scope: ["orders:admin"], allowsQueryKeys: false)),
                Policy.Place(host: "open.example", rule: PolicyRule()),
            ]),
        Policy(name: "keys", rule: PolicyRule(allowsTokens: false, allowsQueryKeys: false)),
        Policy(name: "tokens", rule: PolicyRule(audience: "https://a.example", allowsKeys: false)),
    ]

    private struct Case {
        var policy, path, host, method: String
        var fields: [(String, String)]
    }

    /// Every policy with every kind of path, credential, place of it, method and host.
    private func cases(_ credentials: [String]) -> [Case] {
        var cases: [Case] = []
        let values =
            credentials.flatMap { ["ApiKey \($0)", "bearer  \($0)"] } + ["Basic x", "ApiKey", "ApiKey a,b", "x y"]
        let fields: [[(String, String)]] =
            [[]] + values.map { [("authorization", $0)] }
            + [[("authorization", values[0]), ("authorization", values[0])]]
            + [[("origin", "https://a.example"), ("access-control-request-method", "PUT")]]
        let queries =
            ["", "?a=b", "?api_key=x"] + credentials.map { "?a&api%5Fkey=\($0)" } + [
                "?api_key=\(credentials[0])&api_key=x"
            ]
        for policy in ["orders", "keys", "tokens", "none"] {
            for path in ["/x", "/orders/admin/7", "/orders/../x", "/orders%2Fadmin"] {
                for query in queries {
                    for field in fields {
                        for (host, method) in [("api.example", "GET"), ("OPEN.example:80", "OPTIONS")] {
                            cases.append(
                                Case(policy: policy, path: path + query, host: host, method: method, fields: field))
                        }
                    }
                }
            }
        }
        return cases
    }

    @Test func `is that of ext_authz, for some thousands of requests`() async throws {
        try await withChecks(Self.policies) { server, client in
            let reader = try await server.key(KeyRequest(owner: "r", scope: ["orders:read"])).secret
            let token = try await server.token(scope: ["orders:admin"], audience: ["https://b.example"]).secret
            let gone = try await server.key()
            _ = try await server.issuer.revoke([gone.id], chain: false)
            let here = try await server.key(KeyRequest(owner: "n", networks: ["192.0.2.0/24"])).secret
            let http = try await server.connect(1)
            var passed = 0
            for one in cases([reader, token, gone.secret, here]) {
                let fields = one.fields.map { "\($0.0): \($0.1)\r\n" }.joined()
                let expected = try await http.ask(
                    "\(one.method) /ext_authz/\(one.policy)\(one.path) HTTP/1.1\r\nHost: \(one.host)\r\n"
                        + "X-Forwarded-For: 192.0.2.7\r\n\(fields)\r\n")
                var request = rawCheck(one.path, one.fields, policy: one.policy, method: one.method)
                request.attributes.request.http.host = one.host
                if expected.status == 404 {
                    let denied = try await client.check(request)
                    #expect(denied.status.code == 7 && denied.deniedResponse.status.code == .forbidden)
                    continue
                }
                let answer = try await client.check(request)
                let status = answer.passes ? 200 : answer.deniedResponse.status.code.rawValue
                #expect(status == expected.status, "\(one.method) \(one.policy) \(one.path) of \(one.host)")
                #expect(answer.refusal("www-authenticate") == expected["WWW-Authenticate"])
                if answer.passes {
                    passed += 1
                    for (name, value) in answer.identity { #expect(expected[name] == value) }
                } else {
                    #expect(answer.deniedResponse.body == expected.text)
                }
            }
            #expect(passed > 50)
        }
    }
}
