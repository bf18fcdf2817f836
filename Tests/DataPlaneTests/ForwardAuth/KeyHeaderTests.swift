import DataPlane
import ForwardAuth
import Foundation
import Issuance
import TestSupport
import Testing

/// Keys of another system as its users send them.
@Suite(.timeLimit(.minutes(10))) struct `A header that holds a key` {
    private func serve(_ body: (RunningServer, WireClient, String) async throws -> Void) async throws {
        let policies = try PolicySet([Policy(name: "any", rule: PolicyRule(allowsPreflight: true))])
        try await withServer(settings: {
            $0.keyHeaders = [Array("x-api-key".utf8), Array("apikey".utf8)]
            $0.policies = policies
        }) { server in
            try await body(server, try await server.connect(), try await server.key().secret)
        }
    }

    @Test func `is a credential like any other`() async throws {
        try await serve { server, client, key in
            for field in ["X-Api-Key: \(key)", "x-api-key:\(key)", "ApiKey: \(key)"] {
                #expect(try await client.ask(verification("", field)).status == 200)
            }
            #expect(try await client.ask(verification("", "X-Api-Key: nonsense")).isInvalidToken)
            let token = try await server.token().secret
            #expect(try await client.ask(verification("", "X-Api-Key: \(token)")).isInvalidToken)
            #expect(try await client.ask(verification("", "X-Api-Keys: \(key)")).isUnchallenged)
        }
    }

    @Test func `beside another credential, or of no shape, is refused`() async throws {
        try await serve { _, client, key in
            for fields in [
                ["X-Api-Key: \(key)", apiKey(key)], ["X-Api-Key: \(key)", "Authorization: Digest x"],
                ["X-Api-Key: \(key)", "X-Api-Key: \(key)"], ["X-Api-Key: \(key)", "ApiKey: \(key)"],
                ["X-Api-Key: \(key)", "X-Forwarded-Uri: /x?api_key=\(key)"], ["X-Api-Key:"], ["X-Api-Key: a b"],
                ["X-Api-Key: \(key), \(key)"], ["X-Api-Key: \(String(repeating: "a", count: 8_193))"],
            ] {
                #expect(try await client.ask(verification(fields: fields)).isInvalidRequest, "\(fields)")
            }
            // A preflight that sends one is none.
            let preflight = ["Origin: https://a", "Access-Control-Request-Method: GET"]
            let asked = request("OPTIONS /ext_authz/any/x", preflight)
            let passed = try await client.ask(asked)
            #expect(passed.status == 200)
            let carrying = request("OPTIONS /ext_authz/any/x", preflight + ["X-Api-Key: nonsense"])
            #expect(try await client.ask(carrying).status == 401)
        }
    }

    @Test func `is taken away by Envoy`() async throws {
        try await serve { _, client, key in
            let answer = try await client.ask(request("GET /ext_authz/any/x", ["X-Api-Key: \(key)"]))
            #expect(answer.status == 200)
            #expect(answer["x-envoy-auth-headers-to-remove"] == "authorization,x-api-key,apikey")
        }
        try await withChecks(
            [Policy(name: "any", rule: PolicyRule())], settings: { $0.keyHeaders = [Array("x-api-key".utf8)] }
        ) { server, client in
            let key = try await server.key().secret
            let answer = try await client.check(check("/x", ["x-api-key": key]))
            #expect(answer.passes && answer.okResponse.headersToRemove == ["authorization", "x-api-key"])
            let both = try await client.check(check("/x", ["x-api-key": key, "authorization": "ApiKey \(key)"]))
            #expect(both.status.code == 3)
        }
    }

    @Test(arguments: ["authorization", "host", "cookie", "x-forwarded-for", "x-auth-subject", "", "a b", "X-Api-Key"])
    func `is not one that means something else`(_ name: String) {
        var settings = DataPlaneSettings()
        settings.keyHeaders = [Array(name.utf8)]
        #expect(throws: (any Error).self) { try settings.check() }
    }

    @Test func `is not needed where a policy takes keys as Bearer`() async throws {
        let policies = try PolicySet([
            Policy(name: "both", rule: PolicyRule(allowsBearerKeys: true)),
            Policy(name: "keys", rule: PolicyRule(allowsTokens: false, allowsBearerKeys: true)),
            Policy(name: "strict", rule: PolicyRule()),
        ])
        try await withServer(settings: { $0.policies = policies }) { server in
            let (key, token) = (try await server.key().secret, try await server.token().secret)
            let client = try await server.connect()
            func status(_ policy: String, _ field: String) async throws -> Int {
                try await client.ask(request("GET /ext_authz/\(policy)/x", [field])).status
            }
            for (policy, field, expected) in [
                ("both", bearer(key), 200), ("both", bearer(token), 200), ("both", apiKey(key), 200),
                ("both", apiKey(token), 401), ("keys", bearer(key), 200), ("keys", bearer(token), 401),
                ("strict", bearer(key), 401), ("strict", bearer(token), 200),
            ] {
                #expect(try await status(policy, field) == expected, "\(policy) \(field.prefix(22))")
            }
            let answer = try await client.ask(request("GET /ext_authz/both/x", [bearer(key)]))
            #expect(answer["X-Auth-Type"] == "ApiKey")
        }
        #expect(throws: (any Error).self) {
            try PolicySet([Policy(name: "none", rule: PolicyRule(allowsKeys: false, allowsBearerKeys: true))])
        }
    }
}
