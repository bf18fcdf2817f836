import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing

/// A request is authenticated before it waits for the writer. Its secret may end in between.
@Suite struct `A client that has authenticated` {
    enum Ending: CaseIterable {
        case secretRevoked, secretRotated, secretExpired, credentialsRevoked, ownerRevoked, clientRevoked
    }

    private func end(_ grant: GrantFixture, _ ending: Ending) async throws {
        let clientID = grant.client.clientID
        let secret = try grant.row(grant.secret).record.id
        switch ending {
        case .secretRevoked: _ = try await grant.issuer.revoke([secret], chain: false)
        case .secretRotated: _ = try await grant.issuer.rotateClientSecret(clientID, overlapSeconds: 0)
        case .secretExpired:
            try await grant.fixture.store.write(creates: false) { writer, transaction in
                let old = try #require(try writer.credential(secret, in: transaction))
                var new = old
                new.record.expiresAt = writer.now
                try writer.replace(old, by: new, event: .edited, in: transaction)
            }
        case .credentialsRevoked: _ = try await grant.issuer.revokeClientCredentials(clientID, issuedBefore: nil)
        case .ownerRevoked: _ = try await grant.issuer.revokeOwner(clientID, issuedBefore: nil)
        case .clientRevoked: _ = try await grant.issuer.revokeClient(clientID)
        }
    }

    @Test(arguments: Ending.allCases) func `gets nothing for a secret that has ended since`(_ ending: Ending)
        async throws
    {
        let grant = try await GrantFixture(isPublic: false)
        let code = try await grant.code()
        let answer = try await grant.tokens()
        let count = try grant.fixture.pages(limit: 1_000).joined().count
        try await end(grant, ending)
        let issuer = grant.issuer
        #expect(
            await refusal { try await issuer.clientCredentials(of: grant.proof, scope: nil, resources: []) }
                == .invalidClient)
        #expect(await refusal { try await grant.redeem(code) } == .invalidClient)
        #expect(await refusal { try await grant.refresh(answer.refreshToken) } == .invalidClient)
        #expect(await refusal { try await issuer.revoke(answer.accessToken, by: grant.proof) } == .invalidClient)
        let made = try grant.fixture.pages(limit: 1_000).joined().count - count
        // A rotation creates the new secret.
        #expect(made == (ending == .secretRotated ? 1 : 0))
        // The codes and tokens were not used up.
        if [.secretRevoked, .secretRotated, .secretExpired, .ownerRevoked].contains(ending) {
            let new = try await issuer.rotateClientSecret(grant.client.clientID, overlapSeconds: 60)
            let proof = try GrantFixture.proof(of: new, in: grant.fixture)
            #expect(try await grant.isActive(grant.redeem(code, as: proof).accessToken))
            #expect(try grant.isActive(answer.accessToken))
            #expect(try await grant.isActive(grant.refresh(answer.refreshToken, as: proof).accessToken))
        }
    }

    @Test func `gets nothing after the end of its secret in the same batch`() async throws {
        let grant = try await GrantFixture(isPublic: false)
        let code = try await grant.code()
        let answer = try await grant.tokens()
        let secret = try grant.row(grant.secret).record.id
        let gate = WriterGate(grant.fixture.store)
        async let ended = grant.issuer.revoke([secret], chain: false)
        try await gate.waitUntilQueued(1)
        async let own = refusal {
            try await grant.issuer.clientCredentials(of: grant.proof, scope: nil, resources: [])
        }
        async let redeemed = refusal { try await grant.redeem(code) }
        async let refreshed = refusal { try await grant.refresh(answer.refreshToken) }
        async let revoked = refusal { try await grant.issuer.revoke(answer.accessToken, by: grant.proof) }
        try await gate.waitUntilQueued(5)
        gate.open()
        #expect(try await ended.revoked == [secret])
        #expect(await [own, redeemed, refreshed, revoked] == Array(repeating: .invalidClient, count: 4))
        #expect(try grant.isActive(answer.accessToken))
    }

    @Test func `continues to work during the overlap of its rotated secret`() async throws {
        let grant = try await GrantFixture(isPublic: false)
        _ = try await grant.issuer.rotateClientSecret(grant.client.clientID, overlapSeconds: 60)
        let answer = try await grant.issuer.clientCredentials(of: grant.proof, scope: nil, resources: [])
        #expect(try grant.isActive(answer.accessToken))
    }

    @Test func `is not authenticated by another client's secret, by another kind, or by its id alone`() async throws {
        let grant = try await GrantFixture(isPublic: false)
        let other = try await GrantFixture(isPublic: false)
        let key = try await grant.fixture.plant { $0.record.client = grant.client.number }
        for row in [try other.row(other.secret), try #require(try grant.fixture.row(key.id))] {
            var record = row.record
            if record.kind == .clientSecret { record.client = grant.client.number + 1 }
            #expect(ClientProof(of: grant.client, secret: record) == nil)
        }
        #expect(ClientProof(publicClient: grant.client) == nil)
    }
}
