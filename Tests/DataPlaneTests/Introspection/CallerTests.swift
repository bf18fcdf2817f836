import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

private let challenge = "Basic realm=\"countersign\", charset=\"UTF-8\""
private let invalidClient = "{\"error\":\"invalid_client\"}"

/// Rule 3: the caller is authenticated before anything is looked up.
@Suite(.timeLimit(.minutes(10))) struct `A caller of introspection` {
    @Test func `without credentials is refused alike for valid and invalid tokens, without a look-up`() async throws {
        try await withServer { server in
            let key = try await server.key()
            let client = try await server.connect()
            var answers: Set<String> = []
            for form in ["token=\(key.secret)", "token=x", "token=", "other=1", "token=a&token=b"] {
                for field in [nil, "Authorization: Digest username=\"x\"", "Authorization: Negotiate abc"] {
                    let answer = try await client.ask(introspection(form, field))
                    #expect(answer.status == 401 && answer.values("WWW-Authenticate") == [challenge])
                    #expect(answer.text == invalidClient && answer["Cache-Control"] == "no-store")
                    answers.insert(answer.withoutDate)
                }
            }
            #expect(answers.count == 1 && server.lookUps == 0)
        }
    }

    @Test func `with wrong credentials is refused, whatever is wrong`() async throws {
        try await withServer { server in
            let good = try await server.caller()
            let other = try await server.caller()
            let revoked = try await server.caller()
            let rotated = try await server.caller()
            _ = try await server.issuer.revokeClient(revoked.id)
            _ = try await server.issuer.rotateClientSecret(rotated.id, overlapSeconds: 0)
            let open = try await server.issuer.createClient(
                ClientRequest(name: "spa", grants: ["authorization_code"], redirectURIs: ["https://x"], isPublic: true))
            let key = try await server.key(KeyRequest(owner: good.id, scope: ["countersign:introspect"]))
            let victim = try await server.key()
            let unknown = CredentialFormat.mint(kind: .clientSecret, id: .random(), vendor: server.fixture.store.vendor)
            let fields = [
                basic(good.id, other.secret), basic(other.id, good.secret), basic(good.id, good.secret + "x"),
                basic(good.id, ""), basic(good.id, unknown.reveal()), basic("nobody", good.secret),
                basic("", good.secret), basic(good.id.lowercased() + "x", good.secret),
                basic(revoked.id, revoked.secret),
                basic(rotated.id, rotated.secret), basic(open.summary.clientID, ""), basic(good.id, key.secret),
                "Authorization: Basic !!!", "Authorization: Basic \(Data(good.id.utf8).base64EncodedString())",
                "Authorization: Basic YQ", basic(good.id, good.secret + "\u{0}"), basic(good.id, "%zz"),
            ]
            let client = try await server.connect()
            var answers: Set<String> = []
            for field in fields {
                let answer = try await client.ask(introspection("token=\(victim.secret)", field))
                #expect(answer.status == 401 && answer.values("WWW-Authenticate") == [challenge], "\(field)")
                #expect(answer.text == invalidClient)
                answers.insert(answer.withoutDate)
            }
            for body in [
                "client_id=\(good.id)", "client_id=\(good.id)&client_secret=",
                "client_id=\(good.id)&client_secret=\(other.secret)", "client_id=\(open.summary.clientID)",
                revoked.parameters, rotated.parameters,
            ] {
                let answer = try await client.ask(introspection("token=\(victim.secret)&\(body)"))
                #expect(answer.status == 401 && answer.text == invalidClient, "\(body)")
                answers.insert(answer.withoutDate)
            }
            #expect(answers.count == 1)
            #expect(try await client.ask(introspection("token=\(victim.secret)", good.authorization)).isActive)
        }
    }

    @Test func `may send identifier and secret raw, form-encoded, in the body, or twice if equal`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key()
            let token = "token=\(key.secret)"
            let client = try await server.connect()
            let requests = [
                introspection(token, caller.authorization),
                introspection(token, basic(percentEncoded(caller.id), percentEncoded(caller.secret))),
                introspection(token, basic(percentEncoded(caller.id).lowercased(), caller.secret)),
                introspection(
                    token, caller.authorization.replacing("Authorization: Basic", with: "authorization:bAsIc  ")),
                introspection(token + "&" + caller.parameters), introspection(caller.parameters + "&" + token),
                introspection("client_id=\(percentEncoded(caller.id))&client%5Fsecret=\(caller.secret)&\(token)"),
                introspection(token + "&" + caller.parameters, caller.authorization),
                introspection(token + "&client_id=\(caller.id)", caller.authorization),
                introspection(token + "&client_secret=\(caller.secret)", caller.authorization),
                // A parameter without a value counts as absent (RFC 6749 §3.1): Dovecot always sends both.
                introspection(token + "&client_id=&client_secret=", caller.authorization),
                introspection(token + "&client_id=", caller.authorization),
                introspection(token + "&client_secret", caller.authorization),
                introspection(token + "&client_secret=&client%5Fid=", caller.authorization),
                introspection("client_id=&\(caller.parameters)&client_secret=&\(token)&client_ip="),
                introspection("token=&\(token)", caller.authorization),
            ]
            for request in requests { #expect(try await client.ask(request).isActive, "\(request)") }
        }
    }

    @Test func `with contradictory credentials gets an error`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let other = try await server.caller()
            let token = "token=\(try await server.key().secret)"
            let requests = [
                introspection(token + "&" + other.parameters, caller.authorization),
                introspection(token + "&client_id=\(other.id)", caller.authorization),
                introspection(token + "&client_secret=\(other.secret)", caller.authorization),
                introspection(token + "&client_secret=\(caller.secret)"),
                introspection(token + "&client_id=&client_secret=\(caller.secret)"),
                introspection(token + "&\(caller.parameters)&client_id=\(caller.id)"),
                introspection(token + "&\(caller.parameters)&client_secret=\(caller.secret)"),
                introspection(token, caller.authorization, caller.authorization),
                introspection(token, caller.authorization, "Authorization: Digest x"),
                introspection(token, "Authorization: Basic"), introspection(token, "Authorization: Bearer "),
                introspection(token, "Authorization:"), introspection(token, "Authorization: Bearer a, Bearer b"),
                introspection(token, caller.authorization + ", " + caller.authorization.dropFirst(15)),
            ]
            let client = try await server.connect()
            // Also after a valid request: a remembered caller does not override contradictory credentials.
            for remembered in [false, true] {
                if remembered { #expect(try await client.ask(introspection(token, caller.authorization)).isActive) }
                for request in requests {
                    let answer = try await client.ask(request)
                    #expect(answer.status == 400, "\(request)")
                    #expect(try answer.json()["error"] as? String == "invalid_request")
                }
            }
        }
    }

    @Test func `needs the right, with any kind of credential`() async throws {
        try await withServer { server in
            let none = try await server.caller(rights: [])
            let other = try await server.caller(rights: ["changes", "admin"])
            let weak = try await server.key(
                KeyRequest(
                    owner: "w", scope: ["countersign:changes", "countersign:keys:read", "introspect", "read"]))
            let plainToken = try await server.token()
            let token = "token=\(try await server.key().secret)"
            let client = try await server.connect()
            for field in [
                none.authorization, other.authorization, apiKey(weak.secret), bearer(plainToken.secret),
            ] {
                // Twice: the second time the caller is remembered.
                for _ in 0..<2 {
                    let answer = try await client.ask(introspection(token, field))
                    #expect(answer.status == 403, "\(answer.status)")
                    #expect(answer.text == "{\"error\":\"insufficient_scope\"}")
                }
            }
            #expect(try await client.ask(introspection(token + "&" + none.parameters)).status == 403)
        }
    }

    @Test func `may use a key or token whose scope includes the right`() async throws {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: "gw", scope: ["a", "countersign:introspect"]))
            let token = try await server.plant(.accessToken, scope: "countersign:introspect b")
            let about = "token=\(try await server.key().secret)"
            let client = try await server.connect()
            for field in [apiKey(key.secret), bearer(key.secret), bearer(token.secret)] {
                for _ in 0..<2 { #expect(try await client.ask(introspection(about, field)).isActive) }
            }
            // A token is not a key; nor are the other secrets of the client.
            let caller = try await server.caller()
            let limited = try await server.key(
                KeyRequest(owner: "gw", scope: ["countersign:introspect"], networks: ["10.0.0.0/8"]))
            let gone = try await server.key(KeyRequest(owner: "gw", scope: ["countersign:introspect"]))
            _ = try await server.issuer.revoke([gone.id], chain: false)
            for field in [
                apiKey(token.secret), bearer("unknown"), apiKey("unknown"), bearer(caller.secret),
                apiKey(caller.secret), apiKey(limited.secret), apiKey(gone.secret),
            ] {
                let answer = try await client.ask(introspection(about, field))
                #expect(answer.status == 401, "\(field)")
                #expect(
                    answer["WWW-Authenticate"]?.hasPrefix("Bearer realm=\"countersign\", error=\"invalid_token\"")
                        == true)
            }
        }
    }

    @Test func `may use its own access token while the client has the right`() async throws {
        try await withServer(settings: { $0.issuer = "https://us.example" }) { server in
            func client(_ rights: [String], audience: [String] = []) async throws -> CallingClient {
                let made = try await server.issuer.createClient(
                    ClientRequest(
                        name: "gw", grants: ["client_credentials"], scope: ["read"], audience: audience, rights: rights)
                )
                return CallingClient(id: made.summary.clientID, secret: made.secret?.reveal() ?? "")
            }
            func own(_ client: CallingClient, _ resources: [String] = []) async throws -> String {
                let definition = try #require(server.fixture.store.published.clients.client(id: client.id))
                let secret = try server.fixture.verifier().verdict(client.secret, at: server.now)
                let record = try #require(secret.record)
                let proof = try #require(ClientProof(of: definition, secret: record))
                let granted = try await server.issuer.clientCredentials(of: proof, scope: "read", resources: resources)
                return bearer(granted.accessToken.reveal())
            }
            let about = "token=\(try await server.key().secret)"
            let meant = "token=\(try await server.token(audience: ["urn:a"]).secret)"
            let connection = try await server.connect()
            let gateway = try await client(["introspect"])
            let token = try await own(gateway)
            for _ in 0..<2 { #expect(try await connection.ask(introspection(about, token)).isActive) }
            #expect(try await connection.ask(introspection(meant, token)).isInactive)
            // A token for another resource has been seen by that resource.
            let wide = try await client(["introspect"], audience: ["urn:a", "https://us.example"])
            #expect(try await connection.ask(introspection(about, own(wide, ["urn:a"]))).status == 403)
            let here = try await own(wide, ["https://us.example"])
            #expect(try await connection.ask(introspection(meant, here)).isActive)
            // A token of a user who signed in is not the client's own.
            let subject = try await server.issuer.issueToken(
                TokenRequest(clientID: gateway.id, subject: "alice", scope: ["read"]))
            let powerless = try await client(["changes"])
            for field in [bearer(subject.secret.reveal()), try await own(powerless)] {
                for _ in 0..<2 { #expect(try await connection.ask(introspection(about, field)).status == 403) }
            }
            // It is not valid as an ApiKey, and it ends with the client.
            #expect(
                try await connection.ask(introspection(about, token.replacing("Bearer", with: "ApiKey"))).status == 401)
            _ = try await server.issuer.revokeClient(gateway.id)
            #expect(try await connection.ask(introspection(about, token)).status == 401)
        }
    }

    @Test func `with a key for some networks must connect from them`() async throws {
        try await withServer { server in
            let near = try await server.key(
                KeyRequest(owner: "gw", scope: ["countersign:introspect"], networks: ["127.0.0.0/8"]))
            let about = "token=\(try await server.key().secret)"
            let client = try await server.connect()
            for _ in 0..<2 { #expect(try await client.ask(introspection(about, apiKey(near.secret))).isActive) }
            // Addresses in the form or in headers are not those of the caller.
            let far = try await server.key(
                KeyRequest(owner: "gw", scope: ["countersign:introspect"], networks: ["10.0.0.0/8"]))
            let forged = introspection(about + "&client_ip=10.0.0.1", apiKey(far.secret), "X-Forwarded-For: 10.0.0.1")
            #expect(try await client.ask(forged).status == 401)
        }
    }

    @Test func `that presents the very credential to introspect is not authenticated`() async throws {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: "gw", scope: ["countersign:introspect"]))
            let token = try await server.plant(.accessToken, scope: "countersign:introspect")
            let client = try await server.connect()
            for (secret, field) in [(key.secret, apiKey(key.secret)), (token.secret, bearer(token.secret))] {
                #expect(try await client.ask(introspection("token=\(secret)", field)).status == 401)
                #expect(try await client.ask(introspection("token=\(percentEncoded(secret))", field)).status == 401)
                // Also if the caller is remembered from another request.
                #expect(try await client.ask(introspection("token=other", field)).isInactive)
                #expect(try await client.ask(introspection("token=\(secret)", field)).status == 401)
            }
        }
    }

    @Test func `with a key or token sees credentials of its audience`() async throws {
        try await withServer { server in
            let mine = try await server.key(
                KeyRequest(owner: "gw", scope: ["countersign:introspect"], audience: ["urn:a"]))
            let unmeant = try await server.key(KeyRequest(owner: "gw", scope: ["countersign:introspect"]))
            let about = "token=\(try await server.token(audience: ["urn:a"]).secret)"
            let client = try await server.connect()
            #expect(try await client.ask(introspection(about, apiKey(mine.secret))).isActive)
            #expect(try await client.ask(introspection(about, apiKey(unmeant.secret))).isInactive)
            #expect(try await client.ask(introspection(about, apiKey(mine.secret))).isActive)
        }
    }

    @Test func `is accepted on a Unix socket with the right`() async throws {
        let folder = try TemporaryFolder()
        let listeners = [
            "unix:\(folder("a"))?may=introspect", "unix:\(folder("b"))?may=introspect&audience=urn:a",
            "unix:\(folder("c"))",
        ]
        try await withServer(listeners) { server in
            let plain = "token=\(try await server.key().secret)"
            let meant = "token=\(try await server.token(audience: ["urn:a"]).secret)"
            let caller = try await server.caller(rights: [])
            let open = try await server.connect(0)
            #expect(try await open.ask(introspection(plain)).isActive)
            #expect(try await open.ask(introspection(meant)).isInactive)
            // Credentials in the request take precedence.
            #expect(try await open.ask(introspection(plain, caller.authorization)).status == 403)
            #expect(try await open.ask(introspection(plain, basic(caller.id, "x"))).status == 401)
            #expect(try await open.ask(introspection(plain + "&client_id=\(caller.id)")).status == 401)
            let meaning = try await server.connect(1)
            #expect(try await meaning.ask(introspection(plain)).isActive)
            #expect(try await meaning.ask(introspection(meant)).isActive)
            #expect(try await server.connect(2).ask(introspection(plain)).status == 401)
        }
    }
}
