import ControlPlane
import ControlPlaneFixture
import CredentialModel
import Foundation
import Issuance
import Logging
import TestSupport
import Testing

private let shop =
    #""name": "shop", "grant_types": ["authorization_code", "refresh_token"], "scope": "read write", "#
    + #""redirect_uris": ["https://shop.example/cb"], "public": true"#
private let machine = #""name": "m", "grant_types": ["client_credentials"], "scope": "read write""#

@Suite struct `The token endpoint` {
    @Test func `answers a code as RFC 6749 has it`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let answer = try await server.redeem(client.id, try await server.code(client.id, scope: "read"))
            #expect(answer.status == 200 && answer.headers["cache-control"] == "no-store")
            #expect(answer.headers["content-type"] == "application/json" && answer.headers["pragma"] == "no-cache")
            #expect(answer.text("token_type") == "Bearer" && answer.text("scope") == "read")
            #expect(answer.number("expires_in") == 3_600)
            #expect(answer.text("access_token")?.hasPrefix("iib1_") == true)
            #expect(answer.text("refresh_token")?.hasPrefix("iir1_") == true)
            #expect(try server.isActive(answer.text("access_token")))
        }
    }

    @Test func `says in the log, once for a family, that a code or a refresh token was used twice`() async throws {
        let lines = RoutingTests.LogLines()
        let logger = Logger(label: "test", factory: { _ in lines.handler })
        try await OAuthFixture.serve(logger: logger) { server in
            let client = try await server.client(shop)
            let code = try await server.code(client.id)
            let first = try await server.redeem(client.id, code)
            let refresh = [
                ("grant_type", "refresh_token"), ("client_id", client.id),
                ("refresh_token", first.text("refresh_token") ?? ""),
            ]
            #expect(try await server.post("/oauth2/token", form: refresh).status == 200)
            #expect(!lines.text.contains("a second time"))
            for _ in 0..<3 { #expect(try await server.post("/oauth2/token", form: refresh).status == 400) }
            let other = try await server.code(client.id)
            for status in [200, 400, 400] { #expect(try await server.redeem(client.id, other).status == status) }
            let warnings = lines.text.split(separator: "\n").filter { $0.contains("a second time") }
            #expect(warnings.count == 2, "\(warnings)")
            #expect(warnings.allSatisfy { $0.hasPrefix("warning") && $0.contains(client.id) })
            #expect(!lines.text.contains("iir1_") && !lines.text.contains("iia1_"))
        }
    }

    @Test func `refreshes, and ends the family of a token that is used twice`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let first = try await server.redeem(client.id, try await server.code(client.id))
            func refresh(_ token: String?, _ more: [(String, String)] = []) async throws -> ControlClient.Answer {
                try await server.post(
                    "/oauth2/token",
                    form: [
                        ("grant_type", "refresh_token"), ("client_id", client.id), ("refresh_token", token ?? ""),
                    ] + more)
            }
            let second = try await refresh(first.text("refresh_token"), [("scope", "read")])
            #expect(second.status == 200 && second.text("scope") == "read")
            #expect(
                try await refresh(second.text("refresh_token"), [("scope", "admin")]).text("error") == "invalid_scope")
            let reused = try await refresh(first.text("refresh_token"))
            #expect(reused.status == 400 && reused.text("error") == "invalid_grant")
            #expect(try !server.isActive(second.text("access_token")))
            #expect(try await refresh(second.text("refresh_token")).text("error") == "invalid_grant")
        }
    }

    @Test func `gives a client its own token by each way of saying who it is`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(machine)
            let grant = ("grant_type", "client_credentials")
            let body = [grant, ("client_id", client.id), ("client_secret", client.secret)]
            let byBody = try await server.post("/oauth2/token", form: body)
            #expect(byBody.status == 200 && byBody.text("refresh_token") == nil)
            let basic = OAuthFixture.basic(client.id, client.secret)
            let byBasic = try await server.post("/oauth2/token", form: [grant, ("scope", "read")], headers: basic)
            #expect(byBasic.text("scope") == "read")
            #expect(try await server.post("/oauth2/token", form: body, headers: basic).status == 200)
            let differing = [grant, ("client_id", client.id), ("client_secret", "x")]
            let both = try await server.post("/oauth2/token", form: differing, headers: basic)
            #expect(both.status == 400 && both.text("error") == "invalid_request")
        }
    }

    @Test func `refuses clients that do not prove who they are`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(machine)
            let open = try await server.client(shop)
            let grant = [("grant_type", "client_credentials")]
            let bad: [(form: [(String, String)], headers: [String: String])] = [
                (grant, [:]), (grant + [("client_id", client.id)], [:]),
                (grant + [("client_id", client.id), ("client_secret", client.secret + "x")], [:]),
                (grant + [("client_id", "AAAAAAAAAAA"), ("client_secret", client.secret)], [:]),
                (grant + [("client_id", open.id), ("client_secret", client.secret)], [:]),
                (grant, OAuthFixture.basic(client.id, "")), (grant, ["Authorization": "Basic ???"]),
                (grant, ["Authorization": "Bearer \(client.secret)"]),
            ]
            for (form, headers) in bad {
                let answer = try await server.post("/oauth2/token", form: form, headers: headers)
                #expect(
                    answer.status == 401 && answer.text("error") == "invalid_client", "\(form.count) \(headers.count)")
                #expect(answer.headers["www-authenticate"]?.hasPrefix("Basic realm=") == true)
            }
            let secretless = try await server.post("/oauth2/token", form: grant + [("client_id", open.id)])
            #expect(secretless.text("error") == "unauthorized_client")
        }
    }

    @Test func `gives nothing for a secret that ends while the request waits`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(
                shop.replacing(#", "public": true"#, with: "").replacing(
                    #"["authorization_code","#, with: #"["client_credentials", "authorization_code","#))
            let code = try await server.code(client.id)
            let basic = OAuthFixture.basic(client.id, client.secret)
            let given = [
                ("grant_type", "authorization_code"), ("code", try await server.code(client.id)),
                ("redirect_uri", "https://shop.example/cb"), ("code_verifier", OAuthFixture.verifier),
            ]
            let tokens = try await server.post("/oauth2/token", form: given, headers: basic)
            let access = try #require(tokens.text("access_token"))
            let forms: [(path: String, form: [(String, String)])] = [
                ("/oauth2/token", [("grant_type", "client_credentials")]),
                ("/oauth2/token", given.map { ($0.0, $0.0 == "code" ? code : $0.1) }),
                (
                    "/oauth2/token",
                    [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token") ?? "")]
                ),
                ("/oauth2/revoke", [("token", access)]),
            ]
            // All of them were authenticated before the rotation is committed, which precedes them in the queue.
            let gate = WriterGate(server.fixture.store)
            async let rotated = server.issuer.rotateClientSecret(client.id, overlapSeconds: 0)
            try await gate.waitUntilQueued(1)
            let answers = try await withThrowingTaskGroup(of: ControlClient.Answer.self) { group in
                for (path, form) in forms {
                    group.addTask { try await server.post(path, form: form, headers: basic) }
                }
                try await gate.waitUntilQueued(1 + forms.count)
                gate.open()
                return try await group.reduce(into: []) { $0.append($1) }
            }
            _ = try await rotated
            #expect(answers.count == forms.count)
            for answer in answers { #expect(answer.status == 401 && answer.text("error") == "invalid_client") }
            #expect(try server.isActive(access))
        }
    }

    @Test func `takes forms only, each parameter once`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(machine)
            let form = OAuthFixture.form([
                ("grant_type", "client_credentials"), ("client_id", client.id), ("client_secret", client.secret),
            ])
            let bad: [(body: String, type: String, path: String)] = [
                (form + "&scope=read&scope=write", "application/x-www-form-urlencoded", "/oauth2/token"),
                (form + "&grant_type=client_credentials", "application/x-www-form-urlencoded", "/oauth2/token"),
                (form + "&client_id=\(client.id)", "application/x-www-form-urlencoded", "/oauth2/token"),
                (form + "&scope=%ZZ", "application/x-www-form-urlencoded", "/oauth2/token"),
                (form + "&scope=%FF", "application/x-www-form-urlencoded", "/oauth2/token"),
                (form, "application/json", "/oauth2/token"), (form, "text/plain", "/oauth2/token"),
                ("", "application/x-www-form-urlencoded", "/oauth2/token?" + form),
                (
                    form + "&x=" + String(repeating: "a", count: 70_000), "application/x-www-form-urlencoded",
                    "/oauth2/token"
                ),
            ]
            for (body, type, path) in bad {
                let answer = try await server.post(path, body, type: type)
                #expect(answer.status == 400 && answer.text("error") == "invalid_request", "\(type) \(body.count)")
            }
            let tooLong = try await server.post("/oauth2/token", form + "&x=" + String(repeating: "a", count: 70_000))
            #expect(tooLong.text("error_description") == "the body has more than 65536 bytes")
            // Some clients leave the media type out; nothing else is possible.
            let untyped = try await RawConnection.exchange(
                "http://127.0.0.1:\(server.port)",
                [
                    Array(
                        "POST /oauth2/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: \(form.utf8.count)\r\n\r\n\(form)"
                            .utf8)
                ])
            #expect(try RawAnswer.all(in: untyped).map(\.status) == [200])
            let good = try await server.post(
                "/oauth2/token", form + "&unknown=1&scope=", type: "application/x-www-form-urlencoded; charset=UTF-8")
            #expect(good.status == 200)
            let tooWide = try await server.post("/oauth2/token", form + "&scope=admin")
            #expect(tooWide.text("error") == "invalid_scope")
            let target = try await server.post("/oauth2/token", form + "&resource=https%3A%2F%2Fx")
            #expect(target.text("error") == "invalid_target")
            for grant in ["password", "implicit", "urn:x"] {
                let answer = try await server.post(
                    "/oauth2/token",
                    form: [("grant_type", grant), ("client_id", client.id), ("client_secret", client.secret)])
                #expect(answer.text("error") == "unsupported_grant_type")
            }
            let missing = try await server.post(
                "/oauth2/token", form: [("client_id", client.id), ("client_secret", client.secret)])
            #expect(missing.text("error") == "invalid_request")
            let get = try await server.get("/oauth2/token")
            #expect(get.status == 405 && get.headers["allow"]?.contains("POST") == true)
        }
    }

    @Test func `gives nothing for a foreign code, a wrong verifier and a code used twice`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let other = try await server.client(shop)
            let code = try await server.code(client.id)
            #expect(try await server.redeem(other.id, code).text("error") == "invalid_grant")
            let answer = try await server.redeem(client.id, code)
            #expect(answer.status == 200)
            #expect(try await server.redeem(client.id, code).text("error") == "invalid_grant")
            #expect(try !server.isActive(answer.text("access_token")))
        }
    }

    @Test func `does not tell a client whether a secret that is not its own exists`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let other = try await server.client(shop)
            let code = try await server.code(other.id)
            let tokens = try await server.redeem(other.id, try await server.code(other.id))
            let refreshToken = try #require(tokens.text("refresh_token"))
            func refresh(_ token: String) async throws -> ControlClient.Answer {
                try await server.post(
                    "/oauth2/token",
                    form: [("grant_type", "refresh_token"), ("client_id", client.id), ("refresh_token", token)])
            }
            func unknown(_ kind: CredentialKind) -> String {
                CredentialFormat.mint(kind: kind, id: .random(), vendor: server.fixture.store.vendor).reveal()
            }
            let answers = [
                try await server.redeem(client.id, code),
                try await server.redeem(client.id, unknown(.authorizationCode)),
                try await server.redeem(client.id, refreshToken), try await server.redeem(client.id, "nonsense"),
                try await refresh(refreshToken), try await refresh(unknown(.refreshToken)), try await refresh(code),
                try await refresh("nonsense"),
            ]
            #expect(answers[0].status == 400 && answers[0].text("error") == "invalid_grant")
            #expect(answers.allSatisfy { $0.status == 400 && $0.bytes == answers[0].bytes })
        }
    }

    @Test func `lets pages of registered origins call it, and no others`() async throws {
        try await OAuthFixture.serve(corsOrigins: ["https://app.example"]) { server in
            let client = try await server.client(machine)
            let form = [
                ("grant_type", "client_credentials"), ("client_id", client.id), ("client_secret", client.secret),
            ]
            let known = try await server.post("/oauth2/token", form: form, headers: ["Origin": "https://app.example"])
            #expect(known.headers["access-control-allow-origin"] == "https://app.example")
            #expect(known.headers["vary"] == "Origin")
            let unknown = try await server.post(
                "/oauth2/token", form: form, headers: ["Origin": "https://evil.example"])
            #expect(unknown.headers["access-control-allow-origin"] == nil)
            let authorize = try await server.get(
                OAuthFixture.authorization(client.id), headers: ["Origin": "https://app.example"])
            #expect(authorize.headers["access-control-allow-origin"] == nil)
        }
    }
}

@Suite struct `Revocation and metadata` {
    @Test func `say the same whatever the token was`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let other = try await server.client(shop)
            let tokens = try await server.redeem(client.id, try await server.code(client.id))
            func revoke(_ clientID: String, _ token: String) async throws -> ControlClient.Answer {
                try await server.post("/oauth2/revoke", form: [("client_id", clientID), ("token", token)])
            }
            let access = try #require(tokens.text("access_token"))
            for (id, token) in [(other.id, access), (client.id, "nonsense"), (client.id, access + "x")] {
                let answer = try await revoke(id, token)
                #expect(answer.status == 200 && answer.bytes.isEmpty)
                #expect(try server.isActive(access))
            }
            #expect(try await revoke(client.id, try #require(tokens.text("refresh_token"))).status == 200)
            #expect(try !server.isActive(access))
            #expect(try await revoke(client.id, access).status == 200)
            let missing = try await server.post("/oauth2/revoke", form: [("client_id", client.id)])
            #expect(missing.status == 400 && missing.text("error") == "invalid_request")
            #expect(try await server.post("/oauth2/revoke", form: [("token", access)]).status == 401)
        }
    }

    @Test func `are described by the settings and not by what a request says of its host`() async throws {
        try await OAuthFixture.serve { server in
            let answer = try await server.get(
                "/.well-known/oauth-authorization-server", headers: ["X-Forwarded-Host": "evil.example"])
            #expect(answer.text("issuer") == OAuthFixture.issuerAddress)
            #expect(answer.text("token_endpoint") == OAuthFixture.issuerAddress + "/oauth2/token")
            #expect(answer.text("introspection_endpoint") == "https://gw.example/oauth2/introspect")
            #expect(answer.texts("code_challenge_methods_supported") == ["S256"])
            _ = try await server.client(#""name": "r", "aud": ["https://api.example/orders"]"#)
            let resource = try await server.get("/.well-known/oauth-protected-resource/orders")
            #expect(resource.text("resource") == "https://api.example/orders")
            #expect(resource.texts("authorization_servers") == [OAuthFixture.issuerAddress])
            #expect(try await server.get("/.well-known/oauth-protected-resource/other").status == 404)
            #expect(try await server.get("/nothing").status == 404)
        }
    }

    @Test func `name the scopes that clients are registered for`() async throws {
        try await OAuthFixture.serve { server in
            let path = "/.well-known/oauth-authorization-server"
            // RFC 8414 §3.2: empty members are omitted.
            #expect(try await server.get(path).texts("scopes_supported") == nil)
            _ = try await server.client(#""name": "a", "scope": "read write", "aud": ["http://api.example"]"#)
            let ended = try await server.client(#""name": "b", "scope": "admin", "aud": ["http://api.example/"]"#)
            let document = "/.well-known/oauth-protected-resource"
            #expect(try await server.get(path).texts("scopes_supported") == ["admin", "read", "write"])
            #expect(try await server.get(document).texts("scopes_supported") == ["admin", "read", "write"])
            // Both spellings are one resource.
            #expect(try await server.get(document).text("resource") == "http://api.example")
            _ = try await server.control.delete("/v1/clients/\(ended.id)")
            #expect(try await server.get(path).texts("scopes_supported") == ["read", "write"])
            #expect(try await server.get(document).texts("scopes_supported") == ["read", "write"])
            // RFC 8414 §3.1: an issuer without a path has one metadata path only.
            #expect(try await server.get(path + "/tenant").status == 404)
        }
    }

    @Test(arguments: [
        ("/oauth2/token", "POST, OPTIONS"), ("/oauth2/revoke", "POST, OPTIONS"), ("/v1/leaks", "POST"),
        ("/oauth2/authorize", "GET, HEAD"), ("/.well-known/oauth-authorization-server", "GET, HEAD, OPTIONS"),
        ("/.well-known/oauth-protected-resource", "GET, HEAD, OPTIONS"),
        ("/.well-known/oauth-protected-resource/orders", "GET, HEAD, OPTIONS"),
    ])
    func `say which methods they take`(path: String, allow: String) async throws {
        try await OAuthFixture.serve { server in
            for method in ["PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
                let answer = try await OAuthFixture.send(method, "http://127.0.0.1:\(server.port)\(path)")
                #expect(answer.status == 405 && answer.headers["allow"] == allow, "\(method)")
            }
        }
    }

    @Test func `of a consent end what was given on it`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            try await server.issuer.rememberConsent(subject: "alice", clientID: client.id, scope: ["read"])
            let tokens = try await server.redeem(client.id, try await server.code(client.id))
            let listed = try await server.control.get("/v1/consents?sub=alice")
            #expect(listed.items.first?["client_id"] as? String == client.id)
            let path = "/v1/consents?sub=alice&client_id=\(client.id)"
            #expect(try await server.control.delete(path).status == 204)
            #expect(try !server.isActive(tokens.text("access_token")))
            #expect(try await server.control.delete(path).status == 404)
            #expect(try await server.control.get("/v1/consents").status == 400)
        }
    }
}

@Suite struct `A leak that is reported` {
    @Test func `ends a key, a token and an imported key, and says nothing of it`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let tokens = try await server.redeem(client.id, try await server.code(client.id))
            let made = try await server.control.post("/v1/keys", #"{"owner": "acme"}"#)
            let key = try #require(made.items.first?["key"] as? String)
            let foreign = "live_8fK2pQ9sVx3LmN7t_x"
            _ = try await server.control.post(
                "/v1/keys/import", #"{"lines": [{"key": "\#(foreign)", "owner": "acme"}]}"#)
            let refresh = try #require(tokens.text("refresh_token"))
            for credential in [key, foreign, refresh] {
                #expect(try server.isActive(credential))
                for _ in 0..<2 {
                    let answer = try await server.post(
                        "/v1/leaks", #"{"credential": "\#(credential)"}"#, type: "application/json")
                    #expect(answer.status == 202 && answer.bytes.isEmpty)
                }
                #expect(try !server.isActive(credential))
            }
            #expect(try !server.isActive(tokens.text("access_token")))
        }
    }

    @Test func `must be whole, and ends no client's secret`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(machine)
            let made = try await server.control.post("/v1/keys", #"{"owner": "acme"}"#)
            let key = try #require(made.items.first?["key"] as? String)
            for text in [String(key.dropLast()), key + "x", client.secret, "x", ""] {
                let answer = try await server.post(
                    "/v1/leaks", #"{"credential": "\#(text)"}"#, type: "application/json")
                #expect(answer.status == 202)
            }
            #expect(try server.isActive(key) && server.isActive(client.secret))
            for body in ["", "{}", #"{"credential": 1}"#, "nonsense"] {
                #expect(try await server.post("/v1/leaks", body, type: "application/json").status == 400)
            }
        }
    }
}
