import CredentialModel
import DataPlane
import ForwardAuth
import Foundation
import Issuance
import Testing
import TestSupport

/// Rules 9 and 10: places and encodings of a credential.
@Suite(.timeLimit(.minutes(10))) struct `A presented credential` {
    private enum Outcome: String {
        case allowed, unchallenged, invalidToken, invalidRequest
    }

    private func outcome(_ answer: Answer) throws -> Outcome? {
        if answer.isAllowed { return .allowed }
        if try answer.isUnchallenged { return .unchallenged }
        if try answer.isInvalidToken { return .invalidToken }
        return try answer.isInvalidRequest ? .invalidRequest : nil
    }

    @Test func `follows its scheme, in the syntax of RFC 9110`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let token = try await server.token().secret
            let client = try await server.connect()
            let cases: [(String, Outcome)] = [
                ("Bearer \(token)", .allowed), ("bearer \(token)", .allowed), ("BEARER \(token)", .allowed),
                ("bEaReR     \(token)", .allowed), ("ApiKey \(key)", .allowed), ("apikey \(key)", .allowed),
                ("APIKEY  \(key)  ", .allowed), ("Bearer \(key)", .invalidToken), ("ApiKey \(token)", .invalidToken),
                ("Bearer \(token)x", .invalidToken), ("Bearer \(token)=", .invalidToken),
                ("Bearer\t\(token)", .invalidRequest), ("Bearer \t\(token)", .invalidRequest),
                ("Bearer \"\(token)\"", .invalidRequest), ("Bearer =\(token)", .invalidRequest),
                ("Bearer \(token)\u{FC}", .invalidRequest), ("Bearer \(token) \(token)", .invalidRequest),
                ("Bearer \(token),", .invalidRequest), ("Bearer \(token), ApiKey \(key)", .invalidRequest),
                ("ApiKey \(key),\(key)", .invalidRequest), ("Bearer", .invalidRequest), ("Bearer ", .invalidRequest),
                ("ApiKey", .invalidRequest), ("apikey   ", .invalidRequest), ("", .invalidRequest),
                ("Basic", .invalidRequest),
                (", Bearer \(token)", .invalidRequest), ("Bearer: \(token)", .invalidRequest),
                ("=Bearer \(token)", .invalidRequest), ("\"Bearer\" \(token)", .invalidRequest),
                ("Bearer " + String(repeating: "x", count: 8_193), .invalidRequest),
                ("Basic YTpi", .unchallenged), ("Digest username=\"a\", realm=\"b\"", .unchallenged),
                ("Negotiate YTpi", .unchallenged), ("Token \(key)", .unchallenged), ("\(key)", .unchallenged),
                ("Bearer\(token)", .unchallenged), ("Bearer\u{FC} \(token)", .invalidRequest),
            ]
            for (value, expected) in cases {
                let answer = try await client.ask(verification("", "Authorization: \(value)"))
                #expect(try outcome(answer) == expected, "\(value.prefix(60)): \(answer.status)")
            }
            // The scheme ignores case, and nothing else does.
            #expect(try await client.ask(verification("", "aUTHORIZATION: ApiKey \(key)")).isAllowed)
            for name in ["Proxy-Authorization", "X-Authorization", "Authorization_", "X-Forwarded-Authorization"] {
                #expect(try await client.ask(verification("", "\(name): ApiKey \(key)")).isUnchallenged)
            }
        }
    }

    @Test func `must be the only one: two are 400, even if they are equal`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let token = try await server.token().secret
            let client = try await server.connect()
            let uri = "X-Forwarded-Uri: /x?api_key=\(key)"
            for fields in [
                [apiKey(key), uri], [bearer(token), uri], ["Authorization: Basic YTpi", uri],
                ["Authorization: Digest x=\"y\"", uri], ["Authorization: Bearer", uri], ["Authorization:", uri],
                [apiKey(key), apiKey(key)], [apiKey(key), bearer(token)], [apiKey(key), "authorization: Basic YTpi"],
                ["Authorization: Basic YTpi", "Authorization: Basic YTpi"], [apiKey(key), "Authorization:"],
                [apiKey(key), "X-Forwarded-Uri: /x?api%5fkey=\(key)"], [apiKey(key), "X-Original-URI: /x?api_key="],
            ] {
                #expect(try await client.ask(verification(fields: fields)).isInvalidRequest, "\(fields)")
            }
            #expect(try await client.ask(verification("?api_key=\(key)", apiKey(key))).isInvalidRequest)
        }
    }

    @Test func `may be in a query, under one name`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let token = try await server.token().secret
            let client = try await server.connect()
            let cases: [(String, Outcome)] = [
                ("api_key=\(key)", .allowed), ("a=b&api_key=\(key)&c", .allowed), ("api%5Fkey=\(key)", .allowed),
                ("api%5fkey=\(key)", .allowed), ("%61%70%69%5F%6B%65%79=\(percentEncoded(key))", .allowed),
                ("&&api_key=\(key)&", .allowed), ("api_key=\(key)&API_KEY=x", .allowed),
                ("api_key=\(key)&a=%", .allowed),
                ("API_KEY=\(key)", .unchallenged), ("Api_Key=\(key)", .unchallenged), ("api-key=\(key)", .unchallenged),
                ("api%255Fkey=\(key)", .unchallenged), ("api+key=\(key)", .unchallenged),
                ("apikey=\(key)", .unchallenged),
                ("a=b;api_key=\(key)", .unchallenged), ("a;api_key=\(key);b", .unchallenged),
                ("access_token=\(token)", .unchallenged), ("api_key%20=\(key)", .unchallenged),
                ("%00api_key=\(key)", .unchallenged), ("api_key%3D\(key)", .unchallenged),
                ("api_key=\(key);a=b", .invalidToken), ("api_key=x", .invalidToken),
                ("api_key=\(token)", .invalidToken),
                ("api_key=\(key)&api_key=\(key)", .invalidRequest), ("api_key=a&api_key=b", .invalidRequest),
                ("api_key=\(key)&api%5Fkey=\(key)", .invalidRequest), ("api_key=\(key)&api_key=", .invalidRequest),
                ("api_key=\(key)&api_key", .invalidRequest), ("api_key=", .invalidRequest),
                ("api_key", .invalidRequest),
                ("api_key=%", .invalidRequest), ("api_key=\(key)%0", .invalidRequest), ("api_key=%FF", .invalidRequest),
                ("api_key==\(key)", .invalidRequest), ("api_key=+\(key)", .invalidRequest),
                ("api_key=\(key)%2C", .invalidRequest), ("api_key=%22\(key)%22", .invalidRequest),
                ("api_key=\(key)%00", .invalidRequest), ("api_key=\(key)+", .invalidRequest),
            ]
            for (query, expected) in cases {
                for ask in [
                    verification("", "X-Forwarded-Uri: /x?\(query)"), verification("", "X-Original-URI: /x?\(query)"),
                    // Without an original URI, the gateway's own query may be the client's.
                    verification("?" + query),
                ] {
                    let answer = try await client.ask(ask)
                    #expect(try outcome(answer) == expected, "\(query): \(answer.status)")
                }
            }
        }
    }

    @Test func `in the gateway's own query counts only without an original URI`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let client = try await server.connect()
            for uri in ["/", "/x", "/x?a=b", "/x?", "", "*"] {
                for name in ["X-Forwarded-Uri", "X-Original-URI"] {
                    let answer = try await client.ask(verification("?api_key=\(key)", "\(name): \(uri)"))
                    #expect(try answer.isUnchallenged, "\(name): \(uri)")
                }
            }
            #expect(try await client.ask(verification("?api_key=x", "X-Original-URI: /?api_key=\(key)")).isAllowed)
            // A credential outside of the query is ignored.
            for uri in ["/api_key=\(key)", "/x%3Fapi_key=\(key)", "api_key=\(key)"] {
                #expect(try await client.ask(verification("", "X-Original-URI: \(uri)")).isUnchallenged, "\(uri)")
            }
        }
    }
}

/// Keys of another system, sent in its header.
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

    @Test func `in addition to another credential, or malformed, is refused`() async throws {
        try await serve { _, client, key in
            for fields in [
                ["X-Api-Key: \(key)", apiKey(key)], ["X-Api-Key: \(key)", "Authorization: Digest x"],
                ["X-Api-Key: \(key)", "X-Api-Key: \(key)"], ["X-Api-Key: \(key)", "ApiKey: \(key)"],
                ["X-Api-Key: \(key)", "X-Forwarded-Uri: /x?api_key=\(key)"], ["X-Api-Key:"], ["X-Api-Key: a b"],
                ["X-Api-Key: \(key), \(key)"], ["X-Api-Key: \(String(repeating: "a", count: 8_193))"],
            ] {
                #expect(try await client.ask(verification(fields: fields)).isInvalidRequest, "\(fields)")
            }
            // A request with a key is not a preflight.
            let preflight = ["Origin: https://a", "Access-Control-Request-Method: GET"]
            let asked = request("OPTIONS /ext_authz/any/x", preflight)
            let passed = try await client.ask(asked)
            #expect(passed.status == 200)
            let carrying = request("OPTIONS /ext_authz/any/x", preflight + ["X-Api-Key: nonsense"])
            #expect(try await client.ask(carrying).status == 401)
        }
    }

    @Test func `is removed by Envoy`() async throws {
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
    func `must not have another meaning`(_ name: String) {
        var settings = DataPlaneSettings()
        settings.keyHeaders = [Array(name.utf8)]
        #expect(throws: (any Error).self) { try settings.check() }
    }

    @Test func `is not needed if a policy accepts keys as Bearer`() async throws {
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
