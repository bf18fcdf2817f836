import CredentialModel
import CredentialStore
import Issuance
import TestSupport
import Testing
import Verification

@Suite struct `Revoking` {
    /// Four valid keys, each the successor of the one before.
    private func chain(_ fixture: Fixture) async throws -> [IssuedCredential] {
        var chain = [try await fixture.key()]
        for _ in 0..<3 {
            chain.append(try await fixture.issuer.rotate(chain[chain.count - 1].summary.id, overlapSeconds: 600))
        }
        return chain
    }

    @Test func `reports revoked, already revoked and unknown ids`() async throws {
        let fixture = try Fixture()
        let keys = try await fixture.issuer.createKeys(KeyRequest(owner: "a", count: 3))
        let ids = keys.map(\.summary.id)
        let stranger = CredentialID.random()
        _ = try await fixture.issuer.revoke([ids[0]], chain: false)
        let report = try await fixture.issuer.revoke([ids[0], ids[1], stranger, ids[1]], chain: false)
        #expect(report.revoked == [ids[1]] && report.alreadyRevoked == [ids[0]] && report.unknown == [stranger])
        #expect(report.livingRelatives.isEmpty)
        #expect(try fixture.verdict(keys[2].secret).isActive)
        let summary = try #require(try await fixture.issuer.credential(ids[1]))
        #expect(summary.state == .revoked && summary.revokedAt != nil)
        #expect(try fixture.journal().filter { $0.event == .revoked }.map(\.id) == [ids[0], ids[1]])
    }

    @Test func `works for every kind`() async throws {
        let fixture = try Fixture()
        for kind in CredentialKind.allCases {
            let (id, secret) = try await fixture.plant(kind)
            #expect(try await fixture.issuer.revoke([id], chain: false).revoked == [id])
            #expect(try fixture.verdict(secret).reason == .revoked)
        }
    }

    @Test func `one of a chain reports its valid predecessor and successor`() async throws {
        let fixture = try Fixture()
        let keys = try await chain(fixture)
        let ids = keys.map(\.summary.id)
        let report = try await fixture.issuer.revoke([ids[1]], chain: false)
        #expect(report.revoked == [ids[1]] && Set(report.livingRelatives) == [ids[0], ids[2]])
        for (index, key) in keys.enumerated() { #expect(try fixture.verdict(key.secret).isActive == (index != 1)) }
        // A revoked one is not reported.
        #expect(try await fixture.issuer.revoke([ids[0]], chain: false).livingRelatives.isEmpty)
    }

    @Test(arguments: 0..<4) func `a chain revokes all of it from any of its keys`(_ start: Int) async throws {
        let fixture = try Fixture()
        let keys = try await chain(fixture)
        let report = try await fixture.issuer.revoke([keys[start].summary.id], chain: true)
        #expect(Set(report.revoked) == Set(keys.map(\.summary.id)) && report.livingRelatives.isEmpty)
        for key in keys { #expect(try fixture.verdict(key.secret).reason == .revoked) }
    }

    @Test func `has a maximum number of ids`() async throws {
        let fixture = try Fixture()
        #expect(await refusedField { try await fixture.issuer.revoke([], chain: false) } == "ids")
        let many = (0..<1_001).map { _ in CredentialID.random() }
        #expect(await refusedField { try await fixture.issuer.revoke(many, chain: false) } == "ids")
        #expect(try await fixture.issuer.revoke(Array(many.prefix(1_000)), chain: true).unknown.count == 1_000)
    }

    @Test func `an owner ends all keys and tokens of that owner that were issued before`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let key = try await fixture.key(owner: "bob")
        let token = try await fixture.issuer.issueToken(TokenRequest(clientID: client.summary.clientID, subject: "bob"))
        let other = try await fixture.key(owner: "bobby")
        let number = try await fixture.issuer.revokeOwner("bob", issuedBefore: nil).journalNumber
        #expect(number == (try fixture.journal().last?.number))
        #expect(try fixture.verdict(key.secret).reason == .revoked && fixture.verdict(token.secret).reason == .revoked)
        #expect(try fixture.verdict(other.secret).isActive)
        let new = try await fixture.key(owner: "bob")
        #expect(try fixture.verdict(new.secret).isActive)
        #expect(try await fixture.issuer.credential(key.summary.id)?.state == .revoked)
        #expect(try await fixture.issuer.revoke([key.summary.id], chain: false).alreadyRevoked == [key.summary.id])
    }

    @Test func `an owner that is a client needs the right to revoke clients`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client()
        let secret = try #require(client.secret)
        func holder(_ scope: [String]) async throws -> Issuer {
            let id = try await fixture.issuer.createKeys(KeyRequest(owner: "operator", scope: scope))[0].summary.id
            let record = try #require(try fixture.row(id)).record
            return fixture.issuer.acting(as: .holder(of: record, in: fixture.store))
        }
        let weak = try await holder(["countersign:owners:revoke"])
        let error = await failure { try await weak.revokeOwner(client.summary.clientID, issuedBefore: nil) }
        guard case .forbidden(_, "owner") = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try fixture.verdict(secret).isActive)
        _ = try await weak.revokeOwner("alice", issuedBefore: nil)
        let strong = try await holder(["countersign:owners:revoke", "countersign:clients:revoke"])
        _ = try await strong.revokeOwner(client.summary.clientID, issuedBefore: nil)
        #expect(try fixture.verdict(secret).reason == .revoked)
    }

    @Test func `an owner with a time keeps what was issued from then on`() async throws {
        let fixture = try Fixture()
        let now = fixture.store.clock.now()
        let old = try await fixture.plant { $0.record.issuedAt = now.adding(-100) }
        let new = try await fixture.plant { $0.record.issuedAt = now.adding(-50) }
        _ = try await fixture.issuer.revokeOwner("alice", issuedBefore: now.adding(-50))
        #expect(try fixture.verdict(old.secret).reason == .revoked && fixture.verdict(new.secret).isActive)
        #expect(
            await refusedField { try await fixture.issuer.revokeOwner("a", issuedBefore: now.adding(100)) }
                == "issued_before")
        #expect(
            await refusedField { try await fixture.issuer.revokeOwner("a", issuedBefore: UnixSeconds(-1)) }
                == "issued_before")
        for owner in ["", "a\u{0}", String(repeating: "x", count: 256)] {
            #expect(await refusedField { try await fixture.issuer.revokeOwner(owner, issuedBefore: nil) } == "owner")
        }
    }
}

@Suite struct `A request queued with the revocation of its parent` {
    /// Queues a bulk revocation and, after it in the same batch, a request whose parent it revokes.
    private func behind<Value: Sendable>(
        _ fixture: Fixture, revoke: @escaping @Sendable () async throws -> BulkRevocation,
        derive: @escaping @Sendable () async throws -> Value
    ) async throws -> IssuanceError? {
        let gate = WriterGate(fixture.store)
        async let revoked = revoke()
        try await gate.waitUntilQueued(1)
        async let derived = failure { try await derive() }
        try await gate.waitUntilQueued(2)
        gate.open()
        _ = try await revoked
        return await derived
    }

    @Test func `as a rotation after the revocation of its owner has no successor`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let error = try await behind(fixture) {
            try await fixture.issuer.revokeOwner("alice", issuedBefore: nil)
        } derive: {
            try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 60)
        }
        #expect(error == .gone(reason: "is revoked"))
        #expect(try fixture.pages(owner: "alice", limit: 10) == [[key.summary.id]])
    }

    @Test func `as a rotation before the revocation of its owner leaves no valid successor`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let gate = WriterGate(fixture.store)
        async let next = fixture.issuer.rotate(key.summary.id, overlapSeconds: 60)
        try await gate.waitUntilQueued(1)
        async let revoked = fixture.issuer.revokeOwner("alice", issuedBefore: nil)
        try await gate.waitUntilQueued(2)
        gate.open()
        let secret = try await next.secret
        _ = try await revoked
        #expect(try fixture.verdict(secret).reason == .revoked)
    }

    @Test func `as an edit after the revocation of its owner is refused`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let error = try await behind(fixture) {
            try await fixture.issuer.revokeOwner("alice", issuedBefore: nil)
        } derive: {
            try await fixture.issuer.editKey(key.summary.id, KeyEdit(expiresAt: .removed))
        }
        #expect(error == .gone(reason: "is revoked"))
    }

    @Test func `as a token after the revocation of its client is refused`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client().summary.clientID
        let error = try await behind(fixture) {
            try await fixture.issuer.revokeClient(client)
        } derive: {
            try await fixture.issuer.issueToken(TokenRequest(clientID: client))
        }
        #expect(error == .gone(reason: "the client is revoked"))
    }

    @Test func `as a new client's secret after the revocation of its client is refused`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client().summary.clientID
        let error = try await behind(fixture) {
            try await fixture.issuer.revokeClient(client)
        } derive: {
            try await fixture.issuer.rotateClientSecret(client, overlapSeconds: 60)
        }
        #expect(error == .gone(reason: "is revoked"))
    }

    @Test func `as a token before the revocation of its client is not valid`() async throws {
        let fixture = try Fixture()
        let client = try await fixture.client().summary.clientID
        let gate = WriterGate(fixture.store)
        async let token = fixture.issuer.issueToken(TokenRequest(clientID: client))
        try await gate.waitUntilQueued(1)
        async let revoked = fixture.issuer.revokeClient(client)
        try await gate.waitUntilQueued(2)
        gate.open()
        let secret = try await token.secret
        _ = try await revoked
        #expect(try fixture.verdict(secret).reason == .revoked)
    }
}
