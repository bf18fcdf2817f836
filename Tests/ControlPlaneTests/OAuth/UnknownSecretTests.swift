import ControlPlaneFixture
import CredentialModel
import Testing

@Suite struct `What nobody was given` {
    /// The writer has one thread: a flood of unknown credentials must not delay revocations.
    @Test func `costs the writer nothing, wherever it is presented`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let client = try await plane.client(
                #""name": "shop", "public": true, "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": ["https://shop.example/cb"]"#
            )
            let before = plane.fixture.store.commits.mutations
            for kind in [CredentialKind.authorizationCode, .refreshToken, .accessToken, .apiKey] {
                let secret = CredentialFormat.mint(kind: kind, id: .random(), vendor: plane.fixture.store.vendor)
                    .reveal()
                #expect(try await plane.redeem(client.id, secret).text("error") == "invalid_grant")
                let refreshed = try await plane.post(
                    "/oauth2/token",
                    form: [("grant_type", "refresh_token"), ("client_id", client.id), ("refresh_token", secret)])
                #expect(refreshed.text("error") == "invalid_grant")
                let revoked = try await plane.post(
                    "/oauth2/revoke", form: [("client_id", client.id), ("token", secret)])
                #expect(revoked.status == 200)
                let leak = #"{"credential": "\#(secret)"}"#
                #expect(try await plane.post("/v1/leaks", leak, type: "application/json").status == 202)
            }
            #expect(plane.fixture.store.commits.mutations == before)
            // Known credentials reach the writer, even if they are revoked.
            let code = try await plane.code(client.id)
            let known = plane.fixture.store.commits.mutations
            #expect(try await plane.redeem(client.id, code).status == 200)
            #expect(try await plane.redeem(client.id, code).text("error") == "invalid_grant")
            #expect(plane.fixture.store.commits.mutations == known + 2)
        }
    }

    @Test func `a HEAD of the address that a sign-in ends with does not use it up`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let client = try await plane.client(
                #""name": "shop", "public": true, "grant_types": ["authorization_code"], "redirect_uris": ["https://shop.example/cb"]"#
            )
            let begun = try await plane.get(OAuthFixture.authorization(client.id))
            let cookie = String((begun.headers["set-cookie"] ?? "").prefix { $0 != ";" })
            let challenge = OAuthFixture.parameter("login_challenge", of: begun.headers["location"]) ?? ""
            let decided = try await plane.control.post(
                "/v1/authorizations/acceptance", #"{"login_challenge": "\#(challenge)", "sub": "alice"}"#)
            let path = (decided.text("redirect_to") ?? "").dropFirst(OAuthFixture.issuerAddress.count)
            let address = "http://127.0.0.1:\(plane.port)\(path)"
            #expect(try await OAuthFixture.send("HEAD", address, headers: ["Cookie": cookie]).status == 405)
            let resumed = try await plane.follow(decided.text("redirect_to"), cookie: cookie)
            #expect(OAuthFixture.parameter("code", of: resumed.headers["location"]) != nil)
        }
    }
}
