import CredentialModel
import Dispatch
import LMDB
import TestSupport
import Testing

@testable import CredentialStore
@testable import Issuance

extension GrantFixture {
    func withdrawalSlot(_ subject: String, _ client: ClientDefinition) async throws -> Int {
        try await fixture.store.write(creates: false) { writer, _ in
            writer.withdrawalSlot(of: Consent.key(Array(subject.utf8), client.number))
        }
    }

    fileprivate func withdraw() async throws -> Bool {
        try await issuer.revokeConsent(subject: "alice", clientID: client.clientID)
    }
}

@Suite struct `A withdrawal of a consent` {
    private static let key = MetaName.withdrawals.key

    private func row(_ fixture: Fixture) throws -> [UInt8] {
        let table = fixture.store.schema.meta
        let row = try fixture.store.environment.read { try table.get(Self.key.octets, in: $0) { $0.copied() } }
        return try #require(row)
    }

    /// Bytes of the pages of `meta`.
    private func metaBytes(_ fixture: Fixture) throws -> Int {
        let meta = fixture.store.schema.meta.database
        return try fixture.store.environment.read { try $0.occupiedBytes([meta]) - $0.occupiedBytes([]) }
    }

    @Test(arguments: [true, false])
    func `ends earlier decisions in a full map too`(_ remember: Bool) async throws {
        let grant = try await GrantFixture(
            options: StoreOptions(mapBytes: 1 << 20, cacheBytes: 1 << 20, readersMax: 32))
        let fixture = grant.fixture
        let request = try grant.request()
        let decision = try await grant.decision(["read"], remember: remember)
        do {
            for _ in 0..<1_000 {
                _ = try await fixture.plant(count: 20, kind: .apiKey) { _, credential in
                    credential.record.expiresAt = UnixSeconds(1_000)
                }
            }
            Issue.record("the map did not become full")
        } catch StoreFailure.full {
        }
        let isUnderPressure = fixture.store.headRoom.room.isUnderPressure
        #expect(isUnderPressure)
        #expect(try await grant.withdraw() == remember)
        // Make room for codes.
        _ = try await Sweep.run(on: fixture.store, retention: RetentionPolicy(tokenSeconds: 0, keySeconds: 0))
        #expect(await refusal { try await grant.authorize(request, by: decision) } == .accessDenied)
        let anew = try await grant.decision(["read"], remember: remember)
        #expect(try await grant.authorize(request, by: anew) != nil)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `needs no space: the row shares a page with others and is overwritten in place`() async throws {
        let fixture = try Fixture()
        let before = try row(fixture)
        #expect(before.count == WithdrawalSlots.byteCount)
        // LMDB 0.9.24, `me_nodemax` for pages of 4 KiB.
        #expect(8 + Self.key.count + before.count + AuthenticatedTable.codeBytes <= 2_038)
        #expect(try metaBytes(fixture) == 4_096)
        for number in 0..<100 {
            try await fixture.store.write(creates: false) { writer, transaction in
                _ = try writer.removeConsent(of: Array("owner \(number)".utf8), to: 1, in: transaction)
            }
        }
        let after = try row(fixture)
        #expect(after != before && after.count == before.count)
        #expect(try metaBytes(fixture) == 4_096)
        #expect(try fixture.statistic("requests") == 0)
    }

    @Test func `is recorded in one of all slots, which cannot be predicted without the lookup secret`() async throws {
        let (first, second) = (try await GrantFixture(), try await GrantFixture())
        func slots(_ grant: GrantFixture) async throws -> [Int] {
            try await grant.fixture.store.write(creates: false) { writer, _ in
                (0..<10_000).map { writer.withdrawalSlot(of: Consent.key(Array("owner \($0)".utf8), 1)) }
            }
        }
        let (ours, theirs) = (try await slots(first), try await slots(second))
        #expect(Set(ours) == Set(0..<WithdrawalSlots.count))
        #expect(ours.prefix(20) != theirs.prefix(20))
        let others = try await first.fixture.store.write(creates: false) { writer, _ in
            (2..<22 as Range<UInt32>).map { writer.withdrawalSlot(of: Consent.key(Array("owner 0".utf8), $0)) }
        }
        #expect(Set(others).count > 1)
    }

    @Test func `works in a store of an earlier version, which has no row for it`() async throws {
        let grant = try await GrantFixture()
        let fixture = grant.fixture
        try fixture.tamper { schema, transaction in try schema.meta.delete(Self.key, in: transaction) }
        let request = try grant.request()
        let early = try await grant.decision(["read"])
        #expect(try await grant.authorize(request, by: early) != nil)
        let decision = try await grant.decision(["read"])
        #expect(try await grant.withdraw())
        #expect(await refusal { try await grant.authorize(request, by: decision) } == .accessDenied)
        let anew = try await grant.decision(["read"])
        #expect(try await grant.authorize(request, by: anew) != nil)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `whose row is damaged ends all decisions, and until then no code is issued`() async throws {
        let grant = try await GrantFixture()
        let fixture = grant.fixture
        let request = try grant.request()
        let decision = try await grant.decision(["read"])
        var stored = fixture.store.schema.meta.sealed(try row(fixture), key: Self.key)
        stored[0] ^= 1
        try fixture.tamper { schema, transaction in
            try transaction.put(schema.meta.database, key: Self.key.octets, value: stored.octets)
        }
        #expect(await refusal { try await grant.authorize(request, by: decision) } == .temporarilyUnavailable)
        guard case .unavailable = await failure({ try await grant.decision(["read"]) }) else {
            Issue.record("decided")
            return
        }
        #expect(try fixture.check() == ["meta withdrawals: the row is damaged"])
        // Of all users: a new row does not tell whose consents were withdrawn before.
        _ = try await grant.issuer.revokeConsent(subject: "bob", clientID: grant.client.clientID)
        #expect(try fixture.check().isEmpty)
        #expect(await refusal { try await grant.authorize(request, by: decision) } == .accessDenied)
        let anew = try await grant.decision(["read"])
        #expect(try await grant.authorize(request, by: anew) != nil)
    }

    /// The exchange happens between two pages that the withdrawal reads. The new token is on the page that was already read; on
    /// the other page is only the used one.
    @Test(.timeLimit(.minutes(10)), arguments: [CredentialKind.refreshToken, .authorizationCode])
    func `ends tokens that were exchanged while it ran`(_ kind: CredentialKind) async throws {
        let grant = try await GrantFixture()
        let store = grant.fixture.store
        let pageRows = Issuer.revocationsPerRequestMax
        let firstID = UInt64.max - 2 * UInt64(pageRows)
        _ = try await grant.fixture.plant(count: pageRows, kind: .apiKey) { number, credential in
            credential.record.id = CredentialID(rawValue: firstID + UInt64(number))
            credential.record.client = grant.client.number
        }
        let parent = try await plant(kind, CredentialID(rawValue: .max - 1), grant)
        let gate = WriterGate(store)
        async let withdrawn = grant.withdraw()
        try await gate.waitUntilQueued(1)
        // Stops the writer thread after it has acknowledged the removal of the consent, which is earlier in the same batch.
        let pause = DispatchSemaphore(value: 0)
        defer { pause.signal() }
        await withCheckedContinuation { reached in
            store.submit(creates: false) { _, _ in
            } completion: { _ in
                reached.resume()
                pause.wait()
            }
            gate.open()
        }
        // The first page was read, and its revocation waits.
        try await gate.waitUntilQueued(1)
        let exchange = Task {
            try await kind == .refreshToken ? grant.refresh(parent) : grant.redeem(parent)
        }
        try await gate.waitUntilQueued(2)
        pause.signal()
        let answer = try await exchange.value
        _ = try await withdrawn
        // The ids have the intended order.
        for token in [answer.accessToken, answer.refreshToken] {
            let id = try grant.row(token).record.id
            #expect(id.rawValue < firstID)
        }
        #expect(try !grant.isActive(answer.accessToken))
        #expect(await refusal { try await grant.refresh(answer.refreshToken) } == .invalidGrant)
    }

    /// A code or a refresh token with a chosen id.
    private func plant(_ kind: CredentialKind, _ id: CredentialID, _ grant: GrantFixture) async throws -> SecretText {
        let store = grant.fixture.store
        let pending = try #require(
            PendingCredential.mint(id, kind: kind, owner: Array("alice".utf8), store: store))
        try await store.write(creates: true) { writer, transaction in
            var row = pending.credential
            row.record.client = grant.client.number
            row.record.family = writer.nextJournalNumber
            row.record.scopes = try writer.intern(.scopes, Array("read".utf8), in: transaction)
            row.record.issuedAt = writer.now
            row.record.expiresAt = writer.now.adding(600)
            row.grantEndsAt = writer.now.adding(3_600)
            if kind == .authorizationCode { row.codeChallenge = CodeChallenge(GrantFixture.challenge)?.digest }
            try writer.insertPending(row, in: transaction)
        }
        return pending.secret
    }
}
