import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing

@Suite struct `An authorization code` {
    @Test func `gives an access and a refresh token of one family with the agreed scope`() async throws {
        let grant = try await GrantFixture()
        let answer = try await grant.tokens(scope: "read")
        #expect(answer.scope == ["read"] && answer.expiresInSeconds == 3_600)
        let access = try grant.fixture.verdict(answer.accessToken)
        let record = try #require(access.record)
        #expect(access.isActive && record.kind == .accessToken && record.family != 0)
        #expect(String(decoding: record.owner.bytes, as: UTF8.self) == "alice")
        let refresh = try grant.row(answer.refreshToken).record
        #expect(refresh.kind == .refreshToken && refresh.family == record.family)
    }

    @Test func `gives no refresh token to a client that is not registered for it`() async throws {
        let grant = try await GrantFixture(grants: ["authorization_code"])
        #expect(try await grant.tokens().refreshToken == nil)
    }

    @Test func `works once: a replay revokes its tokens`() async throws {
        let grant = try await GrantFixture()
        let code = try await grant.code()
        let answer = try await grant.redeem(code)
        let later = try await grant.refresh(answer.refreshToken)
        #expect(try grant.isActive(answer.accessToken) && grant.isActive(later.accessToken))
        #expect(await refusal { try await grant.redeem(code) } == .invalidGrant)
        for token in [answer.accessToken, answer.refreshToken, later.accessToken, later.refreshToken] {
            #expect(try !grant.isActive(token))
        }
        #expect(await refusal { try await grant.refresh(later.refreshToken) } == .invalidGrant)
    }

    @Test func `is issued once for a sign-in, however many requests there are, and also after a restart`() async throws
    {
        let grant = try await GrantFixture()
        let request = try grant.request()
        let decision = try await grant.decision(["read"])
        let codes = try await withThrowingTaskGroup(of: SecretText?.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    try await grant.authorize(request, by: decision, signIn: "one")
                }
            }
            return try await group.reduce(into: []) { if let code = $1 { $0.append(code) } }
        }
        #expect(codes.count == 1)
        let reopened = try grant.fixture.reopened()
        let again = try await reopened.issuer.authorize(request, by: decision, signIn: "one")
        #expect(again == nil)
        let other = try await reopened.issuer.authorize(request, by: decision, signIn: "other")
        #expect(other != nil)
    }

    @Test func `is not used up by what is refused`() async throws {
        let grant = try await GrantFixture()
        let other = try await GrantFixture()
        let stranger = try GrantFixture.proof(
            of: await grant.issuer.createClient(
                ClientRequest(
                    name: "other", grants: ["authorization_code"], redirectURIs: ["https://shop.example/cb"],
                    isPublic: true)), in: grant.fixture)
        let code = try await grant.code()
        let wrong = String(GrantFixture.verifier.dropLast()) + "l"
        #expect(await refusal { try await grant.redeem(code, verifier: wrong) } == .invalidGrant)
        #expect(await refusal { try await grant.redeem(code, verifier: nil) } == .invalidGrant)
        #expect(await refusal { try await grant.redeem(code, verifier: "short") } == .invalidGrant)
        #expect(
            await refusal { try await grant.redeem(code, redirectURI: "https://shop.example/cb/") } == .invalidGrant)
        #expect(await refusal { try await grant.redeem(code, redirectURI: nil) } == .invalidGrant)
        #expect(await refusal { try await grant.redeem(code, as: stranger) } == .invalidGrant)
        #expect(await refusal { try await grant.redeem(code, resources: ["https://x"]) } == .invalidTarget)
        #expect(await refusal { try await other.redeem(code) } == .invalidGrant)
        #expect(try await grant.isActive(grant.redeem(code).accessToken))
    }

    @Test func `needs no redirect URI if the request had none, and accepts only the registered one`() async throws {
        let grant = try await GrantFixture()
        #expect(try await grant.isActive(grant.redeem(grant.code(names: false), redirectURI: nil).accessToken))
        let code = try await grant.code(names: false)
        #expect(await refusal { try await grant.redeem(code, redirectURI: "https://evil.example") } == .invalidGrant)
        #expect(try await grant.isActive(grant.redeem(code).accessToken))
    }

    @Test func `ends with its client and with its owner`() async throws {
        let grant = try await GrantFixture()
        let first = try await grant.code()
        _ = try await grant.issuer.revokeOwner("alice", issuedBefore: nil)
        #expect(await refusal { try await grant.redeem(first) } == .invalidGrant)
        let second = try await grant.code()
        let answer = try await grant.tokens()
        let decided = try await grant.decision(["read"])
        _ = try await grant.issuer.revokeClient(grant.client.clientID)
        #expect(await refusal { try await grant.redeem(second) } == .invalidClient)
        #expect(await refusal { try await grant.refresh(answer.refreshToken) } == .invalidClient)
        #expect(try !grant.isActive(answer.accessToken))
        let request = try grant.request()
        #expect(await refusal { try await grant.authorize(request, by: decided) } == .invalidClient)
        #expect(await failure { try await grant.decision(["read"]) } == .gone(reason: "the client is revoked"))
    }

    @Test func `is restricted by resources and by the scope to which the user agrees`() async throws {
        let grant = try await GrantFixture(audience: ["https://a", "https://b"])
        let answer = try await grant.redeem(
            try await grant.code(resources: ["https://a", "https://b"]), resources: ["https://b"])
        let record = try #require(try grant.fixture.verdict(answer.accessToken).record)
        let audience = grant.fixture.store.published.interned.withText(.audiences, record.audiences) {
            String(decoding: $0.copied(), as: UTF8.self)
        }
        #expect(audience == "https://b")
        let request = try grant.request(scope: "read")
        let more = try await grant.decision(["read", "write"])
        #expect(await refusal { try await grant.authorize(request, by: more) } == .invalidScope)
        #expect(await refusal { try grant.request(scope: "read admin") } == .invalidScope)
        #expect(await refusal { try grant.request(resources: ["https://c"]) } == .invalidTarget)
    }

    @Test func `gives tokens to one of many concurrent requests, and then all of them are revoked`() async throws {
        let grant = try await GrantFixture()
        for _ in 0..<GrantFixture.races {
            let code = try await grant.code()
            let answers = await withTaskGroup(of: TokenAnswer?.self) { group in
                for _ in 0..<8 { group.addTask { try? await grant.redeem(code) } }
                return await group.reduce(into: [TokenAnswer]()) { if let answer = $1 { $0.append(answer) } }
            }
            #expect(answers.count == 1)
            // The others came later, so theirs were replays.
            #expect(try answers.allSatisfy { try !grant.isActive($0.accessToken) })
        }
    }

    @Test func `has the challenge of RFC 7636, appendix B`() throws {
        let challenge = try #require(CodeChallenge(GrantFixture.challenge))
        #expect(challenge.text == GrantFixture.challenge)
        for bad in ["", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"] {
            #expect(CodeChallenge(bad) == nil)
        }
        // The last character has two unused bits: only one spelling is valid.
        #expect(CodeChallenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN") == nil)
    }

    @Test func `is sent only to a registered address`() async throws {
        let grant = try await GrantFixture()
        func address(_ asked: String?, _ registered: [String], isPublic: Bool = true) -> String? {
            var client = grant.client
            client.metadata.redirectURIs = registered
            client.metadata.isPublic = isPublic
            return AuthorizationRequest.redirectURI(asked, of: client)
        }
        #expect(address(nil, ["https://a/cb"]) == "https://a/cb")
        #expect(address(nil, ["https://a/cb", "https://b/cb"]) == nil)
        for near in [
            "https://a/cb/", "https://a/cb?x", "https://a:443/cb", "HTTPS://a/cb", "https://a/CB", "https://a", "",
        ] {
            #expect(address(near, ["https://a/cb"]) == nil)
        }
        let loopback = ["http://127.0.0.1/cb", "http://[::1]:1234/cb"]
        for good in ["http://127.0.0.1:9/cb", "http://127.0.0.1/cb", "http://[::1]/cb", "http://[::1]:65535/cb"] {
            #expect(address(good, loopback) == good)
        }
        let bad = [
            "http://127.0.0.1:9/cb2", "http://127.0.0.1:99999/cb", "http://127.0.0.1:/cb", "http://127.0.0.2:9/cb",
            "http://127.0.0.1:9@evil/cb", "http://127.0.0.1.evil/cb", "https://127.0.0.1:9/cb", "http://localhost:9/cb",
        ]
        for uri in bad { #expect(address(uri, loopback) == nil) }
        #expect(address("http://127.0.0.1:9/cb", loopback, isPublic: false) == nil)
    }
}
