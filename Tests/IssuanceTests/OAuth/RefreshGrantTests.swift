import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing

@Suite struct `A refresh token` {
    @Test func `gives new tokens and ends`() async throws {
        let grant = try await GrantFixture()
        var answer = try await grant.tokens()
        for _ in 0..<5 {
            let next = try await grant.refresh(answer.refreshToken)
            #expect(next.refreshToken?.reveal() != answer.refreshToken?.reveal())
            #expect(try grant.isActive(next.accessToken) && grant.isActive(answer.accessToken))
            answer = next
        }
    }

    @Test func `that is used again ends its whole family and no other`() async throws {
        let grant = try await GrantFixture()
        let other = try await grant.tokens()
        let first = try await grant.tokens()
        let second = try await grant.refresh(first.refreshToken)
        let third = try await grant.refresh(second.refreshToken)
        #expect(await refusal { try await grant.refresh(first.refreshToken) } == .invalidGrant)
        for token in [first.accessToken, second.accessToken, third.accessToken, third.refreshToken] {
            #expect(try !grant.isActive(token))
        }
        #expect(await refusal { try await grant.refresh(third.refreshToken) } == .invalidGrant)
        #expect(try grant.isActive(other.accessToken))
        #expect(try await grant.isActive(grant.refresh(other.refreshToken).accessToken))
    }

    /// A revocation by the id of a refresh token is meant for the grant, which may have been refreshed since.
    @Test func `that was already used still ends its grant when it is revoked`() async throws {
        let grant = try await GrantFixture()
        let first = try await grant.tokens()
        let id = try grant.row(first.refreshToken).record.id
        let second = try await grant.refresh(first.refreshToken)
        _ = try await grant.issuer.revoke([id], chain: false)
        #expect(try !grant.isActive(second.accessToken))
        #expect(await refusal { try await grant.refresh(second.refreshToken) } == .invalidGrant)
    }

    @Test func `can restrict the access token and keeps the granted scope`() async throws {
        let grant = try await GrantFixture()
        let first = try await grant.tokens()
        let narrow = try await grant.refresh(first.refreshToken, scope: "read")
        #expect(narrow.scope == ["read"])
        let wide = try await grant.refresh(narrow.refreshToken)
        #expect(wide.scope == ["read", "write"])
        #expect(await refusal { try await grant.refresh(wide.refreshToken, scope: "read admin") } == .invalidScope)
        #expect(
            await refusal { try await grant.refresh(wide.refreshToken, resources: ["https://x"]) } == .invalidTarget)
        // A refused request does not use it up.
        #expect(try await grant.isActive(grant.refresh(wide.refreshToken).accessToken))
    }

    @Test func `works only for its client and only as a refresh token`() async throws {
        let grant = try await GrantFixture()
        let stranger = try GrantFixture.proof(
            of: await grant.issuer.createClient(
                ClientRequest(name: "other", grants: ["refresh_token"], isPublic: true)), in: grant.fixture)
        let answer = try await grant.tokens()
        #expect(
            await refusal { try await grant.refresh(answer.refreshToken, as: stranger) }
                == .invalidGrant)
        #expect(await refusal { try await grant.refresh(answer.accessToken) } == .invalidGrant)
        #expect(await refusal { try await grant.refresh(SecretText(Array("nonsense".utf8))) } == .invalidGrant)
        let forged = CredentialFormat.mint(
            kind: .refreshToken, id: try grant.row(answer.refreshToken).record.id, vendor: .iiniit)
        #expect(await refusal { try await grant.refresh(forged) } == .invalidGrant)
        #expect(try await grant.isActive(grant.refresh(answer.refreshToken).accessToken))
    }

    @Test func `with leeway is accepted again while its successor is unused`() async throws {
        let grant = try await GrantFixture(policy: GrantPolicy(reuseLeewaySeconds: 60))
        let first = try await grant.tokens()
        let lost = try await grant.refresh(first.refreshToken)
        let again = try await grant.refresh(first.refreshToken)
        #expect(try grant.isActive(again.accessToken))
        // The lost successor was replaced. A client that uses it is not the one that repeated the request.
        #expect(await refusal { try await grant.refresh(lost.refreshToken) } == .invalidGrant)
        let fresh = try await grant.tokens()
        let used = try await grant.refresh(fresh.refreshToken)
        _ = try await grant.refresh(used.refreshToken)
        #expect(await refusal { try await grant.refresh(fresh.refreshToken) } == .invalidGrant)
        #expect(try !grant.isActive(used.accessToken))
    }

    @Test func `gives tokens to one of many concurrent requests`() async throws {
        let grant = try await GrantFixture()
        for _ in 0..<GrantFixture.races {
            let token = try await grant.tokens().refreshToken
            let count = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { (try? await grant.refresh(token)) != nil } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(count == 1)
        }
    }

    @Test func `that races a revocation of its owner leaves no valid token after the acknowledgement`() async throws {
        let grant = try await GrantFixture()
        for _ in 0..<GrantFixture.races {
            let token = try await grant.tokens().refreshToken
            async let refreshed = try? await grant.refresh(token)
            _ = try await grant.issuer.revokeOwner("alice", issuedBefore: nil)
            let answer = await refreshed
            #expect(try answer.map { try !grant.isActive($0.accessToken) } ?? true)
            // In either order.
            #expect(await refusal { try await grant.refresh(token) } == .invalidGrant)
        }
    }

    @Test func `ends with its grant, however often it is refreshed`() async throws {
        let grant = try await GrantFixture(policy: GrantPolicy(refreshIdleSeconds: 100, refreshAbsoluteSeconds: 150))
        let first = try await grant.tokens()
        let second = try await grant.refresh(first.refreshToken)
        let row = try grant.row(second.refreshToken)
        let now = grant.fixture.store.clock.now()
        #expect(row.record.expiresAt <= now.adding(100))
        #expect(try #require(row.grantEndsAt) <= now.adding(150))
        // A used one is kept until then and no longer.
        #expect(try grant.row(first.refreshToken).record.expiresAt == row.grantEndsAt)
    }
}

@Suite struct `Client credentials and revocation` {
    @Test func `give a client a token for itself`() async throws {
        let grant = try await GrantFixture(isPublic: false)
        let answer = try await grant.issuer.clientCredentials(of: grant.proof, scope: "read", resources: [])
        let record = try #require(try grant.fixture.verdict(answer.accessToken).record)
        #expect(answer.refreshToken == nil && answer.scope == ["read"] && record.family == 0)
        #expect(String(decoding: record.owner.bytes, as: UTF8.self) == grant.client.clientID)
        let wider = await refusal {
            try await grant.issuer.clientCredentials(of: grant.proof, scope: "admin", resources: [])
        }
        #expect(wider == .invalidScope)
        let open = try await GrantFixture(isPublic: true)
        let unproven = await refusal {
            try await open.issuer.clientCredentials(of: open.proof, scope: nil, resources: [])
        }
        #expect(unproven == .unauthorizedClient)
    }

    @Test func `give a token whose expires_in is its end, also at the year 9999`() async throws {
        let grant = try await GrantFixture(isPublic: false)
        let policy = LifetimePolicy(accessTokenSecondsDefault: .max, accessTokenSecondsMax: .max)
        let issuer = Issuer(store: grant.fixture.store, policy: policy)
        let own = try await issuer.clientCredentials(of: grant.proof, scope: "read", resources: [])
        let redeemed = try await issuer.redeem(
            Issuer.CodeRedemption(
                client: grant.proof, code: try await grant.code(), redirectURI: "https://shop.example/cb",
                verifier: GrantFixture.verifier, resources: []))
        for answer in [own, redeemed] {
            let record = try grant.row(answer.accessToken).record
            #expect(record.expiresAt == .latest)
            #expect(record.issuedAt.adding(exactly: answer.expiresInSeconds) == record.expiresAt)
        }
    }

    @Test func `end an access token alone, and a refresh token with its whole grant`() async throws {
        let grant = try await GrantFixture()
        let first = try await grant.tokens()
        try await grant.issuer.revoke(first.accessToken, by: grant.proof)
        #expect(try !grant.isActive(first.accessToken))
        let second = try await grant.refresh(first.refreshToken)
        try await grant.issuer.revoke(try #require(second.refreshToken), by: grant.proof)
        #expect(try !grant.isActive(second.accessToken))
        #expect(await refusal { try await grant.refresh(second.refreshToken) } == .invalidGrant)
    }

    @Test func `do not change another client's tokens`() async throws {
        let grant = try await GrantFixture()
        let stranger = try GrantFixture.proof(
            of: await grant.issuer.createClient(ClientRequest(name: "other", isPublic: true)), in: grant.fixture)
        let answer = try await grant.tokens()
        for token in [answer.accessToken, try #require(answer.refreshToken), SecretText(Array("x".utf8))] {
            try await grant.issuer.revoke(token, by: stranger)
        }
        #expect(try grant.isActive(answer.accessToken))
        #expect(try await grant.isActive(grant.refresh(answer.refreshToken).accessToken))
    }

    @Test func `by administration end the grant of a refresh token`() async throws {
        let grant = try await GrantFixture()
        let answer = try await grant.tokens()
        let id = try grant.row(answer.refreshToken).record.id
        _ = try await grant.issuer.revoke([id], chain: false)
        #expect(try !grant.isActive(answer.accessToken))
    }
}

@Suite struct `A consent` {
    @Test func `is stored, extended, and withdrawn together with its tokens`() async throws {
        let grant = try await GrantFixture()
        let clientID = grant.client.clientID
        try await grant.issuer.rememberConsent(subject: "alice", clientID: clientID, scope: ["read"])
        try await grant.issuer.rememberConsent(subject: "alice", clientID: clientID, scope: ["write"])
        try await grant.issuer.rememberConsent(subject: "alice2", clientID: clientID, scope: ["read"])
        let consents = try await grant.issuer.consents(of: "alice")
        #expect(consents.count == 1 && consents[0].scope == ["read", "write"] && consents[0].clientName == "shop")
        let answer = try await grant.tokens()
        #expect(try await grant.issuer.revokeConsent(subject: "alice", clientID: clientID))
        #expect(try await grant.issuer.consents(of: "alice").isEmpty)
        #expect(try await grant.issuer.consents(of: "alice2").count == 1)
        #expect(try !grant.isActive(answer.accessToken))
        #expect(await refusal { try await grant.refresh(answer.refreshToken) } == .invalidGrant)
        #expect(try await !grant.issuer.revokeConsent(subject: "alice", clientID: clientID))
    }
}
