import CredentialModel
import Foundation
import Issuance
import Testing
import TestSupport

private let realm = "Bearer realm=\"countersign\""
private let keys = ", ApiKey realm=\"countersign\""

extension Answer {
    /// Whether it is a refusal according to rules 8 and 12, with this challenge.
    func isRefusal(_ code: Int, _ challenge: String?) throws -> Bool {
        let problem = try json()
        return status == code && values("WWW-Authenticate") == (challenge.map { [$0] } ?? [])
            && self["Content-Type"] == "application/problem+json" && problem["status"] as? Int == code
            && problem["type"] as? String == "about:blank" && (problem["detail"] as? String)?.isEmpty == false
            && self["Cache-Control"] == "private, no-store"
            && !fields.contains { $0.name.hasPrefix("X-Auth-") && $0.name != "X-Auth-Status" }
    }

    var isUnchallenged: Bool { get throws { try isRefusal(401, realm + keys) } }
    var isInvalidToken: Bool { get throws { try isRefusal(401, realm + ", error=\"invalid_token\"" + keys) } }
    var isInvalidRequest: Bool { get throws { try isRefusal(400, realm + ", error=\"invalid_request\"" + keys) } }

    func isInsufficientScope(_ scope: String) throws -> Bool {
        try isRefusal(403, realm + ", error=\"insufficient_scope\", scope=\"\(scope)\"" + keys)
    }
}

/// Rules 8 and 12: refusals that every gateway can pass on (RFC 6750 §3, RFC 9457).
@Suite(.timeLimit(.minutes(10))) struct `A refusal` {
    @Test func `without a credential has a challenge on one line and no error`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            #expect(try await client.ask(verification()).isUnchallenged)
            // The challenge names the required scopes, so that a client need not request all (RFC 6750 §3).
            #expect(
                try await client.ask(verification("?scope=read+a:b&audience=urn:a"))
                    .isRefusal(401, realm + ", scope=\"read a:b\"" + keys))
            #expect(try await client.ask(verification("?audience=urn:a")).isUnchallenged)
            #expect(try await client.ask(verification("", "X-Forwarded-Uri: /x?y")).isUnchallenged)
            #expect(try await client.ask(verification("", "Cookie: api_key=x", "X-Api-Key: y")).isUnchallenged)
            #expect(server.lookUps == 0)
        }
    }

    @Test func `names the configured realm and metadata`() async throws {
        try await withServer(settings: {
            $0.realm = "the api"
            $0.resourceMetadata = "https://api.example/.well-known/oauth-protected-resource"
        }) { server in
            let key = try await server.key()
            let metadata = ", resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\""
            let client = try await server.connect()
            func challenge(_ error: String) -> String {
                "Bearer realm=\"the api\"\(error)\(metadata), ApiKey realm=\"the api\""
            }
            #expect(try await client.ask(verification()).isRefusal(401, challenge("")))
            #expect(
                try await client.ask(verification("", apiKey("x"))).isRefusal(
                    401, challenge(", error=\"invalid_token\"")))
            #expect(
                try await client.ask(verification("?scope=a", apiKey(key.secret)))
                    .isRefusal(403, challenge(", error=\"insufficient_scope\", scope=\"a\"")))
            let introspection = try await client.ask(introspection("token=x"))
            #expect(introspection["WWW-Authenticate"] == "Basic realm=\"the api\", charset=\"UTF-8\"")
        }
    }

    @Test func `is the same for all credentials that are not accepted`() async throws {
        try await withServer { server in
            let now = server.now
            let revoked = try await server.key()
            _ = try await server.issuer.revoke([revoked.id], chain: false)
            let limited = try await server.key(KeyRequest(owner: "n", networks: ["10.0.0.0/8"]))
            let elsewhere = try await server.key(KeyRequest(owner: "e", audience: ["urn:other"]))
            let caller = try await server.caller()
            let token = try await server.token()
            let key = try await server.key()
            let fields = [
                apiKey("unknown"), bearer("unknown"), apiKey(revoked.secret), apiKey(limited.secret),
                apiKey(elsewhere.secret), apiKey(caller.secret), bearer(caller.secret),
                // The kind must match the scheme.
                bearer(key.secret), apiKey(token.secret),
                apiKey(try await server.plant(.apiKey) { $0.record.expiresAt = now }.secret),
                apiKey(try await server.key(KeyRequest(owner: "f", notBefore: now.adding(1_000))).secret),
                bearer(try await server.plant(.refreshToken).secret),
                bearer(try await server.plant(.authorizationCode).secret),
                apiKey(CredentialFormat.mint(kind: .apiKey, id: key.id, vendor: .iiniit).reveal()),
                apiKey(String(repeating: "x", count: 8_192)),
            ]
            let client = try await server.connect()
            var answers: Set<String> = []
            for field in fields {
                let answer = try await client.ask(verification("?audience=urn:mine", field))
                #expect(try answer.isInvalidToken, "\(field)")
                answers.insert(answer.withoutDate)
            }
            for secret in ["x", revoked.secret, elsewhere.secret, caller.secret, token.secret] {
                answers.insert(
                    try await client.ask(verification("?audience=urn:mine", "X-Original-URI: /?api_key=\(secret)"))
                        .withoutDate)
            }
            #expect(answers.count == 1)
        }
    }

    @Test func `for a missing scope names the required ones, and only for otherwise valid credentials`() async throws {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: "s", scope: ["read", "write:all", "x"]))
            let bare = try await server.key()
            let client = try await server.connect()
            for (query, needed) in [
                ("?scope=admin", "admin"), ("?scope=read+admin", "read admin"), ("?scope=read%20admin", "read admin"),
                ("?scope=READ", "READ"), ("?scope=write", "write"), ("?scope=rea", "rea"), ("?scope=readx", "readx"),
                ("?%73cope=a%2Bb", "a+b"), ("?scope=read,x", "read,x"),
            ] {
                #expect(try await client.ask(verification(query, apiKey(key.secret))).isInsufficientScope(needed))
            }
            for query in [
                "?scope=read", "?scope=x+read", "?scope=read+write:all+x", "?scope=read%20read", "?scope=+read+", "",
                "?",
                "?other=1", "?SCOPE=admin", "?a;scope=admin",
            ] {
                #expect(try await client.ask(verification(query, apiKey(key.secret))).isAllowed, "\(query)")
            }
            #expect(try await client.ask(verification("?scope=read", apiKey(bare.secret))).isInsufficientScope("read"))
            #expect(try await client.ask(verification("?scope=admin", apiKey("x"))).isInvalidToken)
        }
    }

    @Test func `for a wrong audience is that for an unknown credential`() async throws {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: "a", audience: ["urn:a", "https://b.example/x"]))
            let plain = try await server.key()
            let client = try await server.connect()
            for query in [
                "?audience=urn:a", "?audience=https%3A%2F%2Fb.example%2Fx", "?audience=https://b.example/x", "",
            ] {
                #expect(try await client.ask(verification(query, apiKey(key.secret))).isAllowed, "\(query)")
                #expect(try await client.ask(verification(query, apiKey(plain.secret))).isAllowed, "\(query)")
            }
            for query in [
                "?audience=urn:c", "?audience=urn:A", "?audience=urn", "?audience=urn:a/", "?audience=urn:c&scope=z",
            ] {
                #expect(try await client.ask(verification(query, apiKey(key.secret))).isInvalidToken, "\(query)")
                if !query.contains("scope") {
                    #expect(try await client.ask(verification(query, apiKey(plain.secret))).isAllowed)
                }
            }
        }
    }

    @Test(arguments: [
        "?scope=", "?scope", "?scope=a&scope=a", "?scope=%22", "?scope=a%5C", "?scope=%00", "?scope=%C3%BC", "?scope=%",
        "?scope=a%0D%0AX-Auth-Subject:%20root", "?audience=", "?audience=a+b", "?audience=a&audience=b",
        "?audience=%zz",
        "?audience=%C3%BC", "?profile=envoy", "?profile=", "?profile=NGINX", "?profile=nginx&profile=nginx",
        "?scope=a%09b",
    ])
    func `of an invalid scope or audience parameter is 400, with any credential`(_ query: String) async throws {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: "a", scope: ["a"]))
            let client = try await server.connect()
            #expect(try await client.ask(verification(query, apiKey(key.secret))).isInvalidRequest)
            #expect(try await client.ask(verification(query)).isInvalidRequest)
        }
    }

    @Test func `uses requirements from the gateway's own query only`() async throws {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: "s", scope: ["read"]))
            let client = try await server.connect()
            for (uri, query) in [
                ("/x?scope=read", "?scope=admin"), ("/x?scope=", "?scope=admin"), ("/x?profile=nginx", "?scope=admin"),
            ] {
                let answer = try await client.ask(verification(query, apiKey(key.secret), "X-Forwarded-Uri: \(uri)"))
                #expect(try answer.isInsufficientScope("admin"))
            }
            for uri in ["/x?scope=admin", "/x?audience=urn:z", "/x?scope=%00&profile=x"] {
                #expect(try await client.ask(verification("", apiKey(key.secret), "X-Original-URI: \(uri)")).isAllowed)
            }
        }
    }

    @Test func `contains nothing of the request`() async throws {
        try await withServer { server in
            let mark = "zqzqzq"
            let key = try await server.key(KeyRequest(owner: mark))
            let client = try await server.connect()
            for ask in [
                verification("", bearer(mark)), verification("?\(mark)=1", "X-Forwarded-Uri: /\(mark)"),
                verification("?profile=\(mark)"), verification("?audience=\(mark)+x", "\(mark): \(mark)"),
                verification("?scope=admin", apiKey(key.secret), "X-Original-URI: /\(mark)"),
                verification("", "Authorization: \(mark) \(mark)"), request("GET /\(mark)"), request("\(mark) /livez"),
                request("GET /verify?\(mark)", ["X-Forwarded-Uri: /\(mark)", "X-Original-URI: /"]),
            ] {
                let answer = try await client.ask(ask)
                #expect(answer.status >= 400 && !String(decoding: answer.bytes, as: UTF8.self).contains(mark), "\(ask)")
            }
            for bad in ["GET /\(mark) HTTP/9.9\r\n\r\n", "\(mark)\r\n\r\n", "GET / HTTP/1.1\r\n\(mark) : x\r\n\r\n"] {
                let answer = try await server.connect().ask(bad)
                #expect(answer.status >= 400 && !String(decoding: answer.bytes, as: UTF8.self).contains(mark))
                #expect(try answer.json()["status"] as? Int == answer.status)
            }
        }
    }
}

/// Rule 11: nginx passes on 200, 401 and 403, and turns everything else into 500.
@Suite(.timeLimit(.minutes(10))) struct `The profile for nginx` {
    @Test func `has only statuses that nginx passes on, and the actual one in a header`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let client = try await server.connect()
            let cases: [(String, [String], Int, String)] = [
                ("", [apiKey(key)], 200, "200"), ("", [], 401, "401"), ("", [apiKey("x")], 401, "401"),
                ("", ["Authorization: Basic YTpi"], 401, "401"), ("&scope=a", [apiKey(key)], 403, "403"),
                ("", ["Authorization: Bearer"], 403, "400"), ("", [apiKey(key), apiKey(key)], 403, "400"),
                ("", ["X-Forwarded-Uri: /", "X-Original-URI: /x"], 403, "400"),
                ("", ["X-Original-URI: /?api_key=a&api_key=b"], 403, "400"),
                ("", ["Authorization: Basic YTpi", "X-Original-URI: /?api_key=a"], 403, "400"),
                ("&scope=", [apiKey(key)], 403, "400"), ("&audience=", [apiKey(key)], 403, "400"),
                ("&scope=a&scope=b", [], 403, "400"),
            ]
            for (more, fields, status, real) in cases {
                for query in ["?profile=nginx" + more, "?" + more.dropFirst() + "&%70rofile=ngin%78"] {
                    let answer = try await client.ask(verification(query, fields: fields))
                    #expect(answer.status == status && answer["X-Auth-Status"] == real, "\(query) \(fields)")
                    let challenges = answer.values("WWW-Authenticate")
                    #expect(challenges.count == (status == 200 ? 0 : 1))
                    if real == "400" { #expect(challenges[0].contains("error=\"invalid_request\"")) }
                    if status == 200 { #expect(answer.isAllowed) }
                }
            }
            // Without the profile there is no such header.
            #expect(try await client.ask(verification("", apiKey(key)))["X-Auth-Status"] == nil)
            #expect(try await client.ask(verification("", "X-Auth-Status: 200")).values("X-Auth-Status").isEmpty)
        }
    }

    @Test func `works with HTTP 1.0, which nginx uses for sub-requests`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let client = try await server.connect()
            for _ in 0..<3 {
                let answer = try await client.ask(
                    "GET /verify?profile=nginx HTTP/1.0\r\nConnection: keep-alive\r\n\(apiKey(key))\r\n\r\n")
                #expect(answer.isAllowed && answer["Connection"] == "keep-alive")
            }
            let last = try await client.ask("GET /verify?profile=nginx HTTP/1.0\r\n\(apiKey(key))\r\n\r\n")
            #expect(last.isAllowed && last["Connection"] == "close")
            #expect(try await client.rest().isEmpty)
        }
    }
}
