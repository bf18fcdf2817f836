import CredentialModel
import DataPlane
import ForwardAuth
import Issuance
import TestSupport
import Testing

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
