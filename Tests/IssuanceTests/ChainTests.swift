import CredentialModel
import LMDB
import TestSupport
import Testing

@testable import CredentialStore
@testable import Issuance

@Suite struct `A long chain` {
    /// Keys linked like rotated keys, the oldest first. Written directly, since a thousand rotations are a thousand commits.
    private func chain(
        _ fixture: Fixture, count: Int, _ change: (Int, inout StoredCredential) -> Void = { _, _ in }
    ) async throws -> [CredentialID] {
        var ids: [CredentialID] = []
        _ = try await fixture.plant(count: count, kind: .apiKey) { number, credential in
            credential.predecessor = ids.last
            change(number, &credential)
            ids.append(credential.record.id)
        }
        let planted = ids
        try await fixture.store.write(creates: true) { writer, transaction in
            for (id, next) in zip(planted, planted.dropFirst()) {
                let old = try #require(try writer.credential(id, in: transaction))
                var new = old
                new.successor = next
                try writer.replace(old, by: new, event: .edited, in: transaction)
            }
        }
        return planted
    }

    private func living(_ ids: [CredentialID], _ fixture: Fixture) throws -> [CredentialID] {
        try ids.filter { try fixture.row($0)?.record.flags.contains(.revoked) != true }
    }

    @Test func `of more than ten thousand keys is revoked completely, named ids first`() async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: 10_500)
        let bystander = try await fixture.key(owner: "bob").summary.id
        let newest = try #require(ids.last)
        let report = try await fixture.issuer.revoke([newest, bystander], chain: true)
        #expect(try living(ids + [bystander], fixture).isEmpty)
        #expect(report.revoked.count == 10_501 && Set(report.revoked) == Set(ids + [bystander]))
        #expect(report.revoked.prefix(2) == [newest, bystander])
        #expect(report.unknown.isEmpty && report.alreadyRevoked.isEmpty && report.livingRelatives.isEmpty)
        // Each transaction has an entry in the audit log with all of its ids.
        let audited = try await fixture.auditedRevocations()
        #expect(Set(audited) == Set(report.revoked) && audited.count == report.revoked.count)
        #expect(try fixture.check().isEmpty)
        let again = try await fixture.issuer.revoke([newest], chain: true)
        #expect(again.revoked.isEmpty && again.alreadyRevoked == [newest])
    }

    @Test(arguments: [0, 1_100, 2_199]) func `is revoked completely from any of its keys`(_ start: Int) async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: 2_200)
        let report = try await fixture.issuer.revoke([ids[start]], chain: true)
        #expect(report.revoked.count == ids.count)
        #expect(try living(ids, fixture).isEmpty)
    }

    @Test func `is finished by a repeated request, which continues through revoked keys`() async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: 2_200)
        _ = try await fixture.issuer.revoke(Array(ids[500..<1_500]), chain: false)
        let report = try await fixture.issuer.revoke([ids[1_000]], chain: true)
        #expect(report.alreadyRevoked == [ids[1_000]] && report.revoked.count == 1_200)
        #expect(try living(ids, fixture).isEmpty)
    }

    @Test func `that grows meanwhile is revoked with its new keys`() async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: Issuer.rowsPerPiece * 2)
        let newest = try #require(ids.last)
        let gate = WriterGate(fixture.store)
        async let report = fixture.issuer.revoke([ids[0]], chain: true)
        try await gate.waitUntilQueued(1)
        // After the first transaction and before the last.
        async let rotated = fixture.issuer.rotate(newest, overlapSeconds: 600)
        try await gate.waitUntilQueued(2)
        gate.open()
        let successor = try await rotated
        #expect(try await report.revoked.contains(successor.summary.id))
        #expect(try fixture.verdict(successor.secret).reason == .revoked)
        #expect(try living(ids, fixture).isEmpty)
    }

    @Test func `can be revoked by a caller whose own key is part of it`() async throws {
        let fixture = try Fixture()
        let scopes = try await fixture.store.write(creates: true) { writer, transaction in
            try writer.intern(.scopes, Array("countersign:keys:revoke".utf8), in: transaction)
        }
        let ids = try await chain(fixture, count: 2_200) { $1.record.scopes = scopes }
        let own = try #require(ids.last)
        let record = try #require(try fixture.row(own)).record
        let issuer = fixture.issuer.acting(as: .holder(of: record, in: fixture.store))
        #expect(try await issuer.revoke([own], chain: true).revoked.count == ids.count)
        #expect(try living(ids, fixture).isEmpty)
        guard case .forbidden = await failure({ try await issuer.revoke([own], chain: true) }) else {
            Issue.record("a revoked caller began a revocation")
            return
        }
    }

    @Test func `can be revoked when the map is full`() async throws {
        let fixture = try Fixture(options: StoreOptions(mapBytes: 8 << 20, cacheBytes: 1 << 20, readersMax: 32))
        var ids: [CredentialID] = []
        do {
            while ids.count < 50_000 {
                var last = ids.last
                let planted = try await fixture.plant(count: 100, kind: .apiKey) { _, credential in
                    credential.predecessor = last
                    last = credential.record.id
                }
                ids += planted.map(\.id)
            }
        } catch StoreFailure.full {
        }
        #expect(ids.count > 5_000 && ids.count < 50_000)
        let most = try #require(fixture.store.revocationsPerTransactionMax)
        #expect(most < Issuer.rowsPerPiece / 4)
        let report = try await fixture.issuer.revoke([try #require(ids.last)], chain: true)
        #expect(report.revoked.count == ids.count)
        #expect(try living(ids, fixture).isEmpty)
        // The first transaction has the size that the free pages allow; it was not found by trial.
        #expect(try await fixture.auditedPieces().first?.count == most)
    }

    @Test func `reports only named ids as unknown`() async throws {
        let fixture = try Fixture()
        let swept = CredentialID.random()
        let key = try await fixture.plant { $0.predecessor = swept }
        let stranger = CredentialID.random()
        let report = try await fixture.issuer.revoke([key.id, stranger], chain: true)
        #expect(report.revoked == [key.id] && report.unknown == [stranger] && report.chainBrokenAt == [swept])
        // An id that is both named and linked.
        let again = try await fixture.issuer.revoke([swept, key.id], chain: true)
        #expect(again.unknown == [swept] && again.chainBrokenAt == [swept])
        // Without the chain, links are not followed.
        #expect(try await fixture.issuer.revoke([key.id], chain: false).chainBrokenAt.isEmpty)
    }

    @Test(arguments: [[0], [4], [0, 4], [4, 0]])
    func `with a swept row in its middle is ended on the named sides, and the report says where it broke`(
        _ named: [Int]
    ) async throws {
        let fixture = try Fixture()
        let longAgo = fixture.store.clock.now().adding(-30 * 86_400)
        let ids = try await chain(fixture, count: 5) { number, credential in
            if number == 2 { credential.record.expiresAt = longAgo }
        }
        #expect(try await Sweep.run(on: fixture.store).credentials == 1)
        #expect(try fixture.row(ids[2]) == nil)
        let report = try await fixture.issuer.revoke(named.map { ids[$0] }, chain: true)
        let reached = (named.contains(0) ? [0, 1] : []) + (named.contains(4) ? [3, 4] : [])
        #expect(Set(report.revoked) == Set(reached.map { ids[$0] }) && report.unknown.isEmpty)
        // Keys that were not reached remain valid, so the answer must say so. A row reached from both sides hides none.
        #expect(try living(ids, fixture).count == 5 - reached.count)
        #expect(report.chainBrokenAt == (named.count == 2 ? [] : [ids[2]]))
    }

    @Test(
        arguments: [
            (-1, 0, false), (3_600, 100 * 86_400, true), (nil, 91 * 86_400, false), (nil, 89 * 86_400, true),
        ] as [(Int64?, Int64, Bool)])
    func `older than its oldest row is whole once all before that row has expired`(
        _ endsIn: Int64?, _ age: Int64, _ isBroken: Bool
    ) async throws {
        let fixture = try Fixture()
        let (swept, now) = (CredentialID.random(), fixture.store.clock.now())
        let key = try await fixture.plant {
            $0.predecessor = swept
            $0.predecessorsEndAt = endsIn.map { now.adding($0) }
            $0.record.issuedAt = now.adding(-age)
        }
        let report = try await fixture.issuer.revoke([key.id], chain: true)
        #expect(report.revoked == [key.id] && report.chainBrokenAt == (isBroken ? [swept] : []))
    }

    @Test func `with a damaged row in its middle reports where it is broken, also when that row was revoked before`()
        async throws
    {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: 5)
        try await fixture.damage(ids[2])
        let older = try await fixture.issuer.revoke([ids[0]], chain: true)
        #expect(Set(older.revoked) == Set(ids[...2]) && older.chainBrokenAt == [ids[2]])
        #expect(try living(ids, fixture) == Array(ids[3...]))
        // The row now only says that it is revoked.
        let itself = try await fixture.issuer.revoke([ids[2]], chain: true)
        #expect(itself.alreadyRevoked == [ids[2]] && itself.chainBrokenAt == [ids[2]])
        let newer = try await fixture.issuer.revoke([ids[4]], chain: true)
        #expect(Set(newer.revoked) == Set(ids[3...]) && newer.chainBrokenAt == [ids[2]])
        #expect(try living(ids, fixture).isEmpty)
        #expect(try await fixture.issuer.revoke([ids[4], ids[0]], chain: true).chainBrokenAt.isEmpty)
    }

    @Test func `of a grant is never broken, since its family is revoked`() async throws {
        let fixture = try Fixture()
        let token = try await fixture.plant(.refreshToken) {
            $0.record.family = 5
            $0.predecessor = .random()
            $0.successor = .random()
        }
        let report = try await fixture.issuer.revoke([token.id], chain: true)
        #expect(report.revoked == [token.id] && report.chainBrokenAt.isEmpty)
    }

    @Test func `may be revoked by the id of a damaged row, whose kind is not known`() async throws {
        let fixture = try Fixture()
        let (key, token) = (try await fixture.plant().id, try await fixture.plant(.accessToken).id)
        func isRevocable(_ id: CredentialID, _ kind: CredentialKind) async throws -> Bool {
            try await fixture.issuer.isRevocable(id, as: [kind])
        }
        #expect(try await isRevocable(key, .apiKey))
        #expect(try await isRevocable(token, .accessToken))
        #expect(try await isRevocable(token, .apiKey) == false)
        #expect(try await isRevocable(.random(), .apiKey) == false)
        try await fixture.damage(key)
        #expect(try await isRevocable(key, .apiKey))
        #expect(try await isRevocable(key, .accessToken))
    }
}

extension Fixture {
    /// The ids of all revocations in the audit log, in order.
    fileprivate func auditedRevocations() async throws -> [CredentialID] { try await auditedPieces().flatMap(\.self) }

    /// The ids of all revocations by entry: each transaction of a revocation writes one.
    fileprivate func auditedPieces() async throws -> [[CredentialID]] {
        var pieces: [[CredentialID]] = []
        var after: UInt64 = 0
        while true {
            let page = try await issuer.auditEntries(after: after, limit: 1_000)
            for entry in page.entries where entry.audited.action == .credentialsRevoked {
                pieces.append(entry.audited.credentials)
            }
            guard let next = page.next else { return pieces }
            after = next
        }
    }

    /// Overwrites the row of a credential.
    fileprivate func damage(_ id: CredentialID) async throws {
        let table = store.schema.credentials.database
        let row: [UInt8] = [1, 2, 3]
        try await store.tamper { _, transaction in
            _ = try transaction.put(table, key: id.rawValue, value: row.octets)
        }
    }
}
