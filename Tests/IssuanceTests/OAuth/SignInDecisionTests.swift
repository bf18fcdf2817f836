import CredentialModel
import CredentialStore
import TestSupport
import Testing

@testable import Issuance

/// Between the agreement and the code lie up to ten minutes in which no row exists that could be revoked.
@Suite struct `A decided sign-in` {
    private func holder(_ grant: GrantFixture, _ scope: [String]) async throws -> (
        authority: Authority, id: CredentialID
    ) {
        let id = try await grant.issuer.createKeys(KeyRequest(owner: "login", scope: scope))[0].summary.id
        let record = try #require(try grant.fixture.row(id)).record
        return (.holder(of: record, in: grant.fixture.store), id)
    }

    enum Ending: CaseIterable {
        case ownerRevoked, clientCredentialsRevoked, consentRevoked, deciderRevoked, deciderEdited, deciderRotated
        case decidersOwnerRevoked
    }

    @Test(arguments: Ending.allCases, [true, false])
    func `gives no code when what it relied on was revoked since`(_ ending: Ending, _ remember: Bool) async throws {
        let grant = try await GrantFixture()
        let (authority, id) = try await holder(grant, ["countersign:authorizations:decide"])
        let request = try grant.request()
        let early = try await grant.decision(["read"], remember: remember, by: authority)
        #expect(try await grant.authorize(request, by: early) != nil)
        let decision = try await grant.decision(["read"], remember: remember, by: authority)
        switch ending {
        case .ownerRevoked: _ = try await grant.issuer.revokeOwner("alice", issuedBefore: nil)
        case .clientCredentialsRevoked:
            _ = try await grant.issuer.revokeClientCredentials(grant.client.clientID, issuedBefore: nil)
        case .consentRevoked:
            _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: grant.client.clientID)
        case .deciderRevoked: _ = try await grant.issuer.revoke([id], chain: false)
        case .deciderEdited: _ = try await grant.issuer.editKey(id, KeyEdit(scope: []))
        case .deciderRotated: _ = try await grant.issuer.rotate(id, overlapSeconds: 0)
        case .decidersOwnerRevoked: _ = try await grant.issuer.revokeOwner("login", issuedBefore: nil)
        }
        #expect(await refusal { try await grant.authorize(request, by: decision, signIn: "s") } == .accessDenied)
        // It is not used up: whoever decides again gets a code.
        let again = try await grant.decision(["read"], remember: remember)
        #expect(try await grant.authorize(request, by: again, signIn: "s") != nil)
        // Also when the withdrawal is remembered and another follows.
        let last = try await grant.decision(["read"], remember: remember)
        _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: grant.client.clientID)
        #expect(await refusal { try await grant.authorize(request, by: last) } == .accessDenied)
    }

    @Test func `gives no code behind the revocation of its owner in the same batch`() async throws {
        let grant = try await GrantFixture()
        let request = try grant.request()
        let decision = try await grant.decision(["read"])
        let gate = WriterGate(grant.fixture.store)
        async let revoked = grant.issuer.revokeOwner("alice", issuedBefore: nil)
        try await gate.waitUntilQueued(1)
        async let refused = refusal { try await grant.authorize(request, by: decision) }
        try await gate.waitUntilQueued(2)
        gate.open()
        _ = try await revoked
        #expect(await refused == .accessDenied)
    }

    @Test func `is held against the time of a bulk revocation that names one`() async throws {
        let grant = try await GrantFixture()
        let now = grant.fixture.store.clock.now()
        func decided(_ time: UnixSeconds) async throws -> SignInDecision {
            let number = try grant.fixture.journal().last?.number ?? 0
            return SignInDecision(
                subject: "alice", scope: ["read"], journalNumber: number, decidedAt: time.rawValue, withdrawal: 0,
                decider: nil)
        }
        _ = try await grant.issuer.revokeOwner("alice", issuedBefore: now.adding(-50))
        let request = try grant.request()
        let (old, new) = (try await decided(now.adding(-51)), try await decided(now.adding(-50)))
        #expect(await refusal { try await grant.authorize(request, by: old) } == .accessDenied)
        #expect(try await grant.authorize(request, by: new) != nil)
    }

    @Test func `is not ended by what was revoked before, or of others`() async throws {
        let grant = try await GrantFixture()
        let other = try await grant.issuer.createClient(
            ClientRequest(
                name: "other", grants: ["authorization_code"], redirectURIs: ["https://o.example"], isPublic: true)
        ).summary.clientID
        _ = try await grant.issuer.revokeOwner("alice", issuedBefore: nil)
        _ = try await grant.issuer.revokeClientCredentials(grant.client.clientID, issuedBefore: nil)
        _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: grant.client.clientID)
        let decision = try await grant.decision(["read"])
        _ = try await grant.issuer.revokeOwner("bob", issuedBefore: nil)
        _ = try await grant.issuer.revokeClient(other)
        _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: other)
        _ = try await grant.issuer.revokeConsent(subject: "bob", clientID: grant.client.clientID)
        #expect(try await grant.authorize(try grant.request(), by: decision) != nil)
    }

    @Test(arguments: [true, false]) func `is not decided by whoever was revoked`(_ remember: Bool) async throws {
        let grant = try await GrantFixture()
        let (authority, id) = try await holder(grant, ["countersign:authorizations:decide"])
        _ = try await grant.issuer.revoke([id], chain: false)
        guard
            case .forbidden = await failure({
                try await grant.decision(["read"], remember: remember, by: authority)
            })
        else {
            Issue.record("decided")
            return
        }
    }
}
