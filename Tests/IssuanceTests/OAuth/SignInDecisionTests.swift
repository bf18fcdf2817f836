import CredentialModel
import Foundation
import TestSupport
import Testing

@testable import CredentialStore
@testable import Issuance

/// For up to ten minutes between the decision and the code there is no row that could be revoked.
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
    func `gives no code if something that it relied on was revoked since`(_ ending: Ending, _ remember: Bool)
        async throws
    {
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
        // The sign-in is not used up: a new decision gets a code.
        let again = try await grant.decision(["read"], remember: remember)
        #expect(try await grant.authorize(request, by: again, signIn: "s") != nil)
        // Also if another withdrawal follows.
        let last = try await grant.decision(["read"], remember: remember)
        _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: grant.client.clientID)
        #expect(await refusal { try await grant.authorize(request, by: last) } == .accessDenied)
    }

    @Test func `gives no code after the revocation of its owner in the same batch`() async throws {
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

    @Test func `is compared with the time of a bulk revocation that has one`() async throws {
        let grant = try await GrantFixture()
        let now = grant.fixture.store.clock.now()
        func decided(_ time: UnixSeconds) async throws -> SignInDecision {
            let decision = try await grant.decision(["read"])
            return SignInDecision(
                subject: decision.subject, scope: decision.scope, incarnation: decision.incarnation,
                journalNumber: decision.journalNumber, decidedAt: time.rawValue, withdrawal: decision.withdrawal,
                decider: nil)
        }
        _ = try await grant.issuer.revokeOwner("alice", issuedBefore: now.adding(-50))
        let request = try grant.request()
        let (old, new) = (try await decided(now.adding(-51)), try await decided(now.adding(-50)))
        #expect(await refusal { try await grant.authorize(request, by: old) } == .accessDenied)
        #expect(try await grant.authorize(request, by: new) != nil)
    }

    @Test func `is not ended by earlier revocations, or by those of others`() async throws {
        let grant = try await GrantFixture()
        func makeClient() async throws -> ClientDefinition {
            let made = try await grant.issuer.createClient(
                ClientRequest(
                    name: "other", grants: ["authorization_code"], redirectURIs: ["https://o.example"], isPublic: true))
            return try #require(grant.fixture.store.published.clients.client(id: made.summary.clientID))
        }
        // Withdrawals of others have an effect if they share a slot.
        let slot = try await grant.withdrawalSlot("alice", grant.client)
        var (bob, other) = ("bob", try await makeClient())
        while try await grant.withdrawalSlot(bob, grant.client) == slot { bob += "b" }
        while try await grant.withdrawalSlot("alice", other) == slot { other = try await makeClient() }
        _ = try await grant.issuer.revokeOwner("alice", issuedBefore: nil)
        _ = try await grant.issuer.revokeClientCredentials(grant.client.clientID, issuedBefore: nil)
        _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: grant.client.clientID)
        let decision = try await grant.decision(["read"])
        _ = try await grant.issuer.revokeOwner("bob", issuedBefore: nil)
        _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: other.clientID)
        _ = try await grant.issuer.revokeClient(other.clientID)
        _ = try await grant.issuer.revokeConsent(subject: bob, clientID: grant.client.clientID)
        #expect(try await grant.authorize(try grant.request(), by: decision) != nil)
    }

    @Test(arguments: [true, false]) func `cannot be made by a revoked credential`(_ remember: Bool) async throws {
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

    /// The backup contains neither the decision nor the revocation that ended it.
    @Test func `gives no code after a restore`() async throws {
        let grant = try await GrantFixture()
        let fixture = grant.fixture
        try fixture.backup(toFile: fixture.folder("backup"))
        let decision = try await grant.decision(["read"])
        _ = try await grant.issuer.revokeOwner("alice", issuedBefore: nil)
        _ = try await grant.issuer.revokeConsent(subject: "alice", clientID: grant.client.clientID)
        fixture.close()
        _ = try Replacing.restore(
            fixture.folder("backup"), fixture, PepperFileOnDisk.read(fixture.pepperPath), nil)
        let again = try fixture.reopened()
        let request = try grant.request()
        #expect(
            await refusal { try await again.issuer.authorize(request, by: decision, signIn: "s") } == .accessDenied)
        let anew = try await again.issuer.decideSignIn(
            for: grant.client.clientID, subject: "alice", scope: ["read"], remember: false)
        #expect(try await again.issuer.authorize(request, by: anew, signIn: "s") != nil)
        #expect(try again.check().isEmpty)
    }

    @Test func `of a version without an incarnation cannot be read`() async throws {
        let grant = try await GrantFixture()
        let text = String(decoding: try JSONEncoder().encode(await grant.decision(["read"])), as: UTF8.self)
        func read(_ text: String) -> SignInDecision? {
            try? JSONDecoder().decode(SignInDecision.self, from: Data(text.utf8))
        }
        #expect(read(text)?.incarnation == grant.fixture.store.incarnation)
        #expect(read(text.replacing("\"incarnation\":", with: "\"other\":")) == nil)
    }

    enum DeciderEnd: CaseIterable {
        case asPlanned, shortened, rotated, revoked
    }

    /// Each ends the decider before the code is requested.
    @Test(arguments: DeciderEnd.allCases, [true, false])
    func `is valid if its decider expired as planned, and not if it was ended earlier`(
        _ end: DeciderEnd, _ isDecidedBefore: Bool
    ) async throws {
        let grant = try await GrantFixture()
        let (fixture, issuer) = (grant.fixture, grant.issuer)
        let key = KeyRequest(owner: "login", scope: ["countersign:authorizations:decide"], expiresInSeconds: 600)
        let id = try await issuer.createKeys(key)[0].summary.id
        func decide() async throws -> SignInDecision {
            let record = try #require(try fixture.row(id)).record
            return try await grant.decision(["read"], by: .holder(of: record, in: fixture.store))
        }
        var decision: SignInDecision?
        if isDecidedBefore || end == .revoked { decision = try await decide() }
        switch end {
        case .asPlanned: break
        case .shortened:
            let end = fixture.store.clock.now().adding(300)
            _ = try await issuer.editKey(id, KeyEdit(expiresAt: .set(end)))
        // The overlap ends with the key itself, so nothing is shortened.
        case .rotated: _ = try await issuer.rotate(id, overlapSeconds: 3_600)
        case .revoked: _ = try await issuer.revoke([id], chain: false)
        }
        let decided = if let decision { decision } else { try await decide() }
        var options = fixture.options
        let now = TrustedClock.Reading.current
        options.reading = TrustedClock.Reading(wall: now.wall + 1_000, boot: now.boot)
        let again = try fixture.reopened(options: options)
        let refused = await refusal {
            try await again.issuer.authorize(try grant.request(), by: decided, signIn: "s")
        }
        #expect(refused == (end == .asPlanned ? nil : .accessDenied))
        // One that expired as planned can still be revoked, and then counts as revoked.
        _ = try await again.issuer.revoke([id], chain: false)
        #expect(
            await refusal { try await again.issuer.authorize(try grant.request(), by: decided, signIn: "t") }
                == .accessDenied)
    }
}
