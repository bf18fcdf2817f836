import ControlPlane
import ControlPlaneFixture
import Foundation
import Testing

private let shop =
    #""name": "shop", "grant_types": ["authorization_code", "refresh_token"], "scope": "read write", "#
    + #""redirect_uris": ["https://shop.example/cb"], "aud": ["https://api.example"], "public": true"#

@Suite struct `The authorization endpoint` {
    @Test func `sends the browser to sign in, and back with a code`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let begun = try await server.get(OAuthFixture.authorization(client.id, changing: ["scope": "read"]))
            #expect(begun.status == 303)
            #expect(begun.headers["location"]?.hasPrefix("https://login.example/start?login_challenge=") == true)
            #expect(begun.headers["referrer-policy"] == "no-referrer")
            #expect(begun.headers["content-security-policy"]?.contains("frame-ancestors 'none'") == true)
            let field = try #require(begun.headers["set-cookie"])
            #expect(field.contains("HttpOnly") && field.contains("SameSite=Lax") && field.hasPrefix("countersign="))
            let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
            let shown = try await server.control.post(
                "/v1/authorizations/inspection", #"{"login_challenge": "\#(challenge)", "sub": "alice"}"#)
            #expect(shown.text("client_name") == "shop" && shown.text("scope") == "read")
            #expect(shown.text("consented_scope") == "" && shown.texts("aud") == ["https://api.example"])
            let decided = try await server.control.post(
                "/v1/authorizations/acceptance",
                #"{"login_challenge": "\#(challenge)", "sub": "alice", "remember": true}"#)
            let cookie = String(field.prefix { $0 != ";" })
            let answered = try await server.follow(decided.text("redirect_to"), cookie: cookie)
            #expect(answered.status == 303)
            let location = try #require(answered.headers["location"])
            #expect(location.hasPrefix("https://shop.example/cb?"))
            #expect(OAuthFixture.parameter("state", of: location) == "s t+&")
            #expect(OAuthFixture.parameter("iss", of: location) == OAuthFixture.issuerAddress)
            let code = try #require(OAuthFixture.parameter("code", of: location))
            #expect(try await server.redeem(client.id, code).status == 200)
            // Single use, whatever the browser does.
            #expect(try await server.follow(decided.text("redirect_to"), cookie: cookie).status == 400)
            let again = try await server.control.post(
                "/v1/authorizations/inspection", #"{"login_challenge": "\#(challenge)", "sub": "alice"}"#)
            #expect(again.text("consented_scope") == "read")
        }
    }

    @Test func `finishes only in the browser that began`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let begun = try await server.get(OAuthFixture.authorization(client.id))
            let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
            let decided = try await server.control.post(
                "/v1/authorizations/acceptance", #"{"login_challenge": "\#(challenge)", "sub": "mallory"}"#)
            let other = try await server.get(OAuthFixture.authorization(client.id))
            let cookies = [
                "", "countersign=x", String((other.headers["set-cookie"] ?? "").prefix { $0 != ";" }),
            ]
            for cookie in cookies {
                let answer = try await server.follow(decided.text("redirect_to"), cookie: cookie)
                #expect(answer.status == 400 && answer.headers["location"] == nil)
            }
            let right = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
            #expect(try await server.follow(decided.text("redirect_to"), cookie: right).status == 303)
        }
    }

    @Test(arguments: ["owner", "consent", "client"])
    func `gives no code for a sign-in whose owner, consent or client was revoked since`(_ what: String) async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let begun = try await server.get(OAuthFixture.authorization(client.id))
            let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
            let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
            func accept() async throws -> String? {
                try await server.control.post(
                    "/v1/authorizations/acceptance",
                    #"{"login_challenge": "\#(challenge)", "sub": "alice", "remember": true}"#
                ).text("redirect_to")
            }
            let decided = try await accept()
            switch what {
            case "owner": _ = try await server.issuer.revokeOwner("alice", issuedBefore: nil)
            case "consent": _ = try await server.issuer.revokeConsent(subject: "alice", clientID: client.id)
            default: _ = try await server.issuer.revokeClientCredentials(client.id, issuedBefore: nil)
            }
            let refused = try await server.follow(decided, cookie: cookie)
            #expect(OAuthFixture.parameter("error", of: refused.headers["location"]) == "access_denied")
            #expect(OAuthFixture.parameter("code", of: refused.headers["location"]) == nil)
            // Nobody has given consent since, so there is none.
            #expect(try await server.issuer.consents(of: "alice").isEmpty == (what == "consent"))
            let again = try await server.follow(try await accept(), cookie: cookie)
            #expect(OAuthFixture.parameter("code", of: again.headers["location"]) != nil)
        }
    }

    @Test func `never sends a browser to where the client is not registered`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let bad: [[String: String?]] = [
                ["client_id": "AAAAAAAAAAA"], ["client_id": nil], ["redirect_uri": "https://evil.example/cb"],
                ["redirect_uri": "https://shop.example/cb?x=1"], ["redirect_uri": "javascript:alert(1)"],
            ]
            for change in bad {
                let answer = try await server.get(OAuthFixture.authorization(client.id, changing: change))
                #expect(answer.status == 400 && answer.headers["location"] == nil, "\(change)")
                #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
                #expect(answer.headers["content-security-policy"]?.contains("default-src 'none'") == true)
                let page = String(decoding: answer.bytes, as: UTF8.self)
                #expect(!page.contains("evil") && !page.contains("javascript"))
            }
            for twice in ["&client_id=\(client.id)", "&redirect_uri=https%3A%2F%2Fshop.example%2Fcb"] {
                #expect(try await server.get(OAuthFixture.authorization(client.id) + twice).status == 400)
            }
            #expect(try await server.get(OAuthFixture.authorization(client.id) + "&state=%zz").status == 400)
        }
    }

    @Test(
        arguments: [
            (["response_type": nil], "invalid_request"), (["response_type": "token"], "unsupported_response_type"),
            (["code_challenge": nil], "invalid_request"), (["code_challenge_method": "plain"], "invalid_request"),
            (["code_challenge_method": nil], "invalid_request"), (["code_challenge": "short"], "invalid_request"),
            (["scope": "read admin"], "invalid_scope"), (["scope": "a\"b"], "invalid_scope"),
            (["resource": "https://other.example"], "invalid_target"),
            (["response_mode": "fragment"], "invalid_request"),
        ] as [([String: String?], String)])
    func `tells the client by redirect what else is wrong`(_ change: [String: String?], _ error: String) async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let answer = try await server.get(OAuthFixture.authorization(client.id, changing: change))
            #expect(answer.status == 303)
            let location = try #require(answer.headers["location"])
            #expect(location.hasPrefix("https://shop.example/cb?"))
            #expect(OAuthFixture.parameter("error", of: location) == error)
            #expect(OAuthFixture.parameter("state", of: location) == "s t+&")
            #expect(OAuthFixture.parameter("iss", of: location) == OAuthFixture.issuerAddress)
            #expect(OAuthFixture.parameter("code", of: location) == nil)
        }
    }

    @Test func `keeps the query of a redirect URI`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(
                shop.replacing("https://shop.example/cb", with: "https://shop.example/cb?tenant=a"))
            let answer = try await server.get(
                OAuthFixture.authorization(
                    client.id, changing: ["redirect_uri": "https://shop.example/cb?tenant=a", "scope": "admin"]))
            #expect(answer.headers["location"]?.hasPrefix("https://shop.example/cb?tenant=a&error=") == true)
        }
    }

    @Test func `carries a state of 8 KiB through, of any bytes, and refuses more on a page of its own`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            for state in [
                String(repeating: "s", count: 8_192), String(repeating: #""/\"#, count: 1_000), "ä\u{0}\n{\"a\": 1}",
            ] {
                // The request line has 16 KiB, so not all bytes can be percent-encoded to three times their length.
                guard OAuthFixture.form([("state", state)]).utf8.count < 14_000 else { continue }
                let begun = try await server.get(OAuthFixture.authorization(client.id, changing: ["state": state]))
                #expect(begun.status == 303)
                let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
                let decided = try await server.control.post(
                    "/v1/authorizations/acceptance", #"{"login_challenge": "\#(challenge)", "sub": "alice"}"#)
                let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
                let answered = try await server.follow(decided.text("redirect_to"), cookie: cookie)
                #expect(OAuthFixture.parameter("state", of: answered.headers["location"]) == state)
                #expect(OAuthFixture.parameter("code", of: answered.headers["location"]) != nil)
                // Errors return it too.
                let refused = try await server.get(
                    OAuthFixture.authorization(client.id, changing: ["state": state, "response_type": "token"]))
                #expect(OAuthFixture.parameter("state", of: refused.headers["location"]) == state)
            }
            for change in [[:], ["response_type": "token"]] as [[String: String?]] {
                let state = ["state": String(repeating: "s", count: 8_193)] as [String: String?]
                let answer = try await server.get(
                    OAuthFixture.authorization(client.id, changing: change.merging(state) { $1 }))
                #expect(answer.status == 400 && answer.headers["location"] == nil)
                #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
                #expect(String(decoding: answer.bytes, as: UTF8.self).contains("8192"))
            }
        }
    }

    @Test func `asks for a resource however it is spelled, and for no scope or description beyond its alphabet`()
        async throws
    {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let slash = try await server.get(
                OAuthFixture.authorization(client.id, changing: ["resource": "HTTPS://API.example:443/"]))
            #expect(slash.headers["location"]?.hasPrefix("https://login.example/start?") == true)
            let other = try await server.get(
                OAuthFixture.authorization(client.id, changing: ["resource": "https://api.example/x"]))
            #expect(OAuthFixture.parameter("error", of: other.headers["location"]) == "invalid_target")
            let begun = try await server.get(OAuthFixture.authorization(client.id))
            let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
            let decided = try await server.control.post(
                "/v1/authorizations/rejection",
                #"{"login_challenge": "\#(challenge)", "reason": "no \"way\", Jörg"}"#)
            let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
            let answer = try await server.follow(decided.text("redirect_to"), cookie: cookie)
            // RFC 6749 Appendix A.8.
            #expect(
                OAuthFixture.parameter("error_description", of: answer.headers["location"]) == "no 'way', J?rg")
        }
    }

    @Test func `takes no parameter twice but resource, and no client without the grant`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            for twice in ["&scope=read&scope=write", "&state=a", "&code_challenge_method=S256"] {
                let answer = try await server.get(OAuthFixture.authorization(client.id) + twice)
                #expect(OAuthFixture.parameter("error", of: answer.headers["location"]) == "invalid_request")
            }
            let machine = try await server.client(
                #""name": "m", "grant_types": ["client_credentials"], "redirect_uris": ["https://shop.example/cb"]"#)
            let answer = try await server.get(OAuthFixture.authorization(machine.id))
            #expect(OAuthFixture.parameter("error", of: answer.headers["location"]) == "unauthorized_client")
            _ = try await server.control.delete("/v1/clients/\(client.id)")
            #expect(try await server.get(OAuthFixture.authorization(client.id)).status == 400)
        }
    }

    @Test func `refuses when the person refuses`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let begun = try await server.get(OAuthFixture.authorization(client.id))
            let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
            let decided = try await server.control.post(
                "/v1/authorizations/rejection", #"{"login_challenge": "\#(challenge)", "reason": "not today"}"#)
            let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
            let answer = try await server.follow(decided.text("redirect_to"), cookie: cookie)
            let location = answer.headers["location"]
            #expect(OAuthFixture.parameter("error", of: location) == "access_denied")
            #expect(OAuthFixture.parameter("error_description", of: location) == "not today")
        }
    }

    @Test func `accepts only its own signed texts, and only for their purpose`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(shop)
            let begun = try await server.get(OAuthFixture.authorization(client.id))
            let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
            let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
            // A challenge is not accepted as a verdict.
            #expect(
                try await server.get(
                    "/oauth2/authorize/resume?verdict=\(challenge)", headers: ["Cookie": cookie]
                ).status == 400)
            var changed = Array(challenge)
            changed[10] = changed[10] == "A" ? "B" : "A"
            for text in [String(changed), String(challenge.dropLast()), challenge + ".x", "", "a.b"] {
                let answer = try await server.control.post(
                    "/v1/authorizations/acceptance", #"{"login_challenge": "\#(text)", "sub": "alice"}"#)
                #expect(answer.status == 422)
            }
            let wider = try await server.control.post(
                "/v1/authorizations/acceptance",
                #"{"login_challenge": "\#(challenge)", "sub": "alice", "scope": "read admin"}"#)
            #expect(wider.status == 422)
            // A client id is refused as a subject: its tokens would be taken for those of the client itself.
            let machine = try await server.client(#""name": "m", "may": ["introspect"]"#)
            let impersonated = try await server.control.post(
                "/v1/authorizations/acceptance",
                #"{"login_challenge": "\#(challenge)", "sub": "\#(machine.id)"}"#)
            #expect(impersonated.status == 422)
        }
    }
}

@Suite struct `The demonstration sign-in` {
    @Test func `leads through the whole flow, and takes only its own form`() async throws {
        try await OAuthFixture.serve(login: .demonstration) { server in
            let client = try await server.client(shop.replacing("\"shop\"", with: #""<b>shop</b>""#))
            let begun = try await server.get(OAuthFixture.authorization(client.id))
            let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
            let page = try await server.follow(begun.headers["location"], cookie: cookie)
            let html = String(decoding: page.bytes, as: UTF8.self)
            #expect(page.status == 200 && html.contains("&lt;b&gt;shop&lt;/b&gt;") && !html.contains("<b>shop"))
            #expect(
                page.headers["content-security-policy"]?.contains("form-action 'self' https://shop.example;") == true)
            #expect(page.headers["referrer-policy"] == "no-referrer" && page.headers["x-frame-options"] == "DENY")
            #expect(try await server.follow(begun.headers["location"]).status == 400)
            func hidden(_ name: String) -> String {
                let parts = html.components(separatedBy: "name=\"\(name)\" value=\"")
                return String((parts.count > 1 ? parts[1] : "").prefix { $0 != "\"" })
            }
            let form = [
                ("login_challenge", hidden("login_challenge")), ("form", hidden("form")), ("subject", "alice"),
                ("grant", "read"), ("decision", "allow"),
            ]
            let forged = form.map { ($0.0, $0.0 == "form" ? "x" : $0.1) }
            #expect(
                try await server.post("/oauth2/demonstration", form: forged, headers: ["Cookie": cookie]).status == 400)
            #expect(try await server.post("/oauth2/demonstration", form: form).status == 400)
            let decided = try await server.post("/oauth2/demonstration", form: form, headers: ["Cookie": cookie])
            let answer = try await server.follow(decided.headers["location"], cookie: cookie)
            let code = try #require(OAuthFixture.parameter("code", of: answer.headers["location"]))
            #expect(try await server.redeem(client.id, code).text("scope") == "read")
        }
    }

    @Test func `is not there where people sign in elsewhere`() async throws {
        try await OAuthFixture.serve { server async throws in
            #expect(try await server.get("/oauth2/demonstration?login_challenge=x").status == 404)
        }
        try await OAuthFixture.serve(login: nil) { server in
            #expect(try await server.get("/oauth2/authorize?client_id=x").status == 404)
            let metadata = try await server.get("/.well-known/oauth-authorization-server")
            #expect(metadata.text("authorization_endpoint") == nil)
        }
    }
}
