import CredentialModel
import DataPlane
import ForwardAuth
import Issuance
import TestSupport
import Testing

@Suite struct `An external authorization` {
    private static let policies = [
        Policy(
            name: "orders", rule: PolicyRule(scope: ["orders:read"], allowsPreflight: true),
            places: [
                Policy.Place(path: "/orders/admin", rule: PolicyRule(scope: ["orders:admin"])),
                Policy.Place(host: "open.example", rule: PolicyRule()),
            ]),
        Policy(name: "keys", rule: PolicyRule(allowsTokens: false, allowsQueryKeys: false)),
        Policy(name: "tokens", rule: PolicyRule(audience: "https://a.example", allowsKeys: false)),
    ]

    private func serve(
        _ listeners: [String] = ["http://127.0.0.1:0?headers=x-forwarded"], _ body: (RunningServer) async throws -> Void
    ) async throws {
        let set = try PolicySet(Self.policies)
        try await withServer(listeners, settings: { $0.policies = set }, body)
    }

    private func ask(
        _ client: WireClient, _ target: String, _ fields: [String] = [], method: String = "GET",
        host: String = "api.example"
    ) async throws -> Answer {
        let lines = ["\(method) \(target) HTTP/1.1", "Host: \(host)"] + fields
        return try await client.ask(lines.joined(separator: "\r\n") + "\r\n\r\n")
    }

    private func key(_ server: RunningServer, _ scope: [String] = []) async throws -> String {
        try await server.issuer.createKeys(KeyRequest(owner: "alice", scope: scope))[0].secret.reveal()
    }

    @Test func `judges the request after the policy's name, and returns the identity`() async throws {
        try await serve { server in
            let client = try await server.connect()
            let key = try await key(server, ["orders:read"])
            let passed = try await ask(client, "/ext_authz/orders/orders/7?a=b", ["Authorization: ApiKey \(key)"])
            #expect(passed.status == 200 && passed["X-Auth-Subject"] == "alice")
            #expect(passed["X-Auth-Uri"] == "/orders/7?a=b")
            #expect(passed["x-envoy-auth-headers-to-remove"] == "authorization")
            let query = try await ask(client, "/ext_authz/orders/orders/7?a=b&api_key=\(key)&c=%20d")
            #expect(query.status == 200 && query["X-Auth-Uri"] == "/orders/7?a=b&c=%20d")
            #expect(try await ask(client, "/ext_authz/orders/x").status == 401)
            #expect(try await ask(client, "/ext_authz/none/x", ["Authorization: ApiKey \(key)"]).status == 404)
            let lacking = try await ask(
                client, "/ext_authz/orders/x", ["Authorization: ApiKey \(try await self.key(server))"])
            #expect(lacking.status == 403 && lacking["WWW-Authenticate"]?.contains(#"scope="orders:read""#) == true)
            let twice = try await ask(client, "/ext_authz/orders/x?api_key=\(key)", ["Authorization: ApiKey \(key)"])
            #expect(twice.status == 400)
        }
    }

    /// The raw bytes decide: everything after the policy belongs to the original request.
    @Test func `is never routed by the path after the policy`() async throws {
        try await serve { server in
            let client = try await server.connect()
            for path in ["/../oauth2/introspect", "/..%2f..%2freadyz", "//livez", "/readyz", "/../../v1/verify"] {
                #expect(try await ask(client, "/ext_authz/keys" + path).status == 401, "\(path)")
            }
            let key = try await key(server)
            let passed = try await ask(client, "/ext_authz/keys/../livez", ["Authorization: ApiKey \(key)"])
            #expect(passed.status == 200 && passed["X-Auth-Uri"] == "/../livez")
        }
    }

    @Test func `uses the rule of the host and the longest path`() async throws {
        try await serve { server in
            let client = try await server.connect()
            let reader = "Authorization: ApiKey \(try await key(server, ["orders:read"]))"
            let admin = "Authorization: ApiKey \(try await key(server, ["orders:admin"]))"
            let nobody = "Authorization: ApiKey \(try await key(server))"
            #expect(try await ask(client, "/ext_authz/orders/orders/admin/x", [reader]).status == 403)
            #expect(try await ask(client, "/ext_authz/orders/orders/admin", [admin]).status == 200)
            #expect(try await ask(client, "/ext_authz/orders/orders/admin2", [reader]).status == 200)
            #expect(try await ask(client, "/ext_authz/orders/x", [nobody], host: "OPEN.example:8443").status == 200)
            #expect(try await ask(client, "/ext_authz/orders/x", [nobody], host: "open.example.evil").status == 403)
            for host in ["open.example.", "open.example.:443"] {
                #expect(try await ask(client, "/ext_authz/orders/x", [nobody], host: host).status == 200)
            }
            #expect(try await ask(client, "/ext_authz/orders/x", [nobody], host: "open.example..").status == 400)
            // If servers disagree on the path, no rule is chosen.
            for path in [
                "/a/../orders/admin", "/orders/./admin", "//orders/admin", "/orders%2Fadmin", "/%6Frders/admin",
                "/orders/%2e%2e/x", "/orders\\admin", "/orders;x/admin", "/orders/%",
            ] {
                #expect(try await ask(client, "/ext_authz/orders" + path, [reader]).status == 400, "\(path)")
            }
        }
    }

    @Test func `accepts only the schemes of its policy`() async throws {
        try await serve { server in
            let client = try await server.connect()
            let key = try await key(server)
            let app = try await server.issuer.createClient(
                ClientRequest(name: "a", scope: ["x"], audience: ["https://a.example", "https://b.example"]))
            func token(_ audience: String) async throws -> String {
                try await server.issuer.issueToken(
                    TokenRequest(clientID: app.summary.clientID, audience: [audience])
                ).secret.reveal()
            }
            let (a, b) = (try await token("https://a.example"), try await token("https://b.example"))
            #expect(try await ask(client, "/ext_authz/keys/x", ["Authorization: ApiKey \(key)"]).status == 200)
            let refused = try await ask(client, "/ext_authz/keys/x", ["Authorization: Bearer \(a)"])
            #expect(refused.status == 401 && refused["WWW-Authenticate"]?.contains("error") == false)
            #expect(try await ask(client, "/ext_authz/keys/x?api_key=\(key)").status == 401)
            #expect(try await ask(client, "/ext_authz/tokens/x", ["Authorization: Bearer \(a)"]).status == 200)
            #expect(try await ask(client, "/ext_authz/tokens/x", ["Authorization: Bearer \(b)"]).status == 401)
            #expect(try await ask(client, "/ext_authz/tokens/x", ["Authorization: ApiKey \(key)"]).status == 401)
        }
    }

    @Test func `allows only a preflight without a credential, if its policy does`() async throws {
        try await serve { server in
            let client = try await server.connect()
            let preflight = ["Origin: https://shop.example", "Access-Control-Request-Method: POST"]
            let passed = try await ask(client, "/ext_authz/orders/x?api_key=k", preflight, method: "OPTIONS")
            #expect(passed.status == 200 && passed["X-Auth-Subject"] == "-" && passed["X-Auth-Id"] == "-")
            #expect(passed["X-Auth-Uri"] == "/x")
            for (fields, method, policy) in [
                (preflight, "POST", "orders"), ([preflight[0]], "OPTIONS", "orders"),
                ([preflight[1]], "OPTIONS", "orders"),
                (preflight, "OPTIONS", "keys"), (preflight + ["Authorization: ApiKey x"], "OPTIONS", "orders"),
            ] {
                #expect(try await ask(client, "/ext_authz/\(policy)/x", fields, method: method).status == 401)
            }
        }
    }

    @Test func `is all that an authz-only listener serves`() async throws {
        try await serve(["http://127.0.0.1:0?authz-only=keys"]) { server in
            let client = try await server.connect()
            let key = try await key(server)
            for path in ["/", "/livez", "/oauth2/introspect", "/ext_authz/orders/x", "/verify?scope=a"] {
                #expect(try await ask(client, path).status == 401)
                let passed = try await ask(client, path, ["Authorization: ApiKey \(key)"])
                #expect(passed.status == 200 && passed["X-Auth-Uri"] == path)
            }
        }
    }

    @Test func `has its policies replaced as a whole`() async throws {
        try await serve { server in
            let client = try await server.connect()
            let field = "Authorization: ApiKey \(try await key(server, ["orders:read"]))"
            #expect(try await ask(client, "/ext_authz/orders/x", [field]).status == 200)
            server.server.use(try PolicySet([Policy(name: "orders", rule: PolicyRule(scope: ["orders:write"]))]))
            #expect(try await eventually { try await ask(client, "/ext_authz/orders/x", [field]).status == 403 })
            #expect(try await ask(client, "/ext_authz/keys/x", [field]).status == 404)
        }
    }

    @Test func `is counted separately`() async throws {
        try await serve { server in
            let client = try await server.connect()
            _ = try await ask(client, "/ext_authz/keys/x", ["Authorization: ApiKey \(try await key(server))"])
            let counted = server.server.figures.verifications.filter { $0.value > 0 }
            #expect(counted == [.init(interface: "ext_authz", kind: "api_key", outcome: "valid"): 1])
        }
    }

    @Test func `by policy is also available through the query of verify`() async throws {
        try await serve { server in
            let client = try await server.connect()
            let reader = "Authorization: ApiKey \(try await key(server, ["orders:read"]))"
            func verify(_ uri: String, _ query: String = "policy=orders") async throws -> Int {
                try await ask(client, "/verify?" + query, [reader, "X-Forwarded-Uri: \(uri)", "X-Forwarded-Host: a.b"])
                    .status
            }
            #expect(try await verify("/orders/7") == 200)
            #expect(try await verify("/orders/admin") == 403)
            #expect(try await verify("/orders/../orders/admin") == 400)
            #expect(try await verify("/x", "policy=none") == 400)
            #expect(try await verify("/x", "policy=orders&scope=a") == 400)
        }
    }
}
