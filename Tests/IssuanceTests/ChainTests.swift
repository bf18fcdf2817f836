import CredentialModel
import CredentialStore
import TestSupport
import Testing

@testable import Issuance

@Suite struct `A long chain` {
    /// Keys linked as rotations link them, the oldest first; planted, since a thousand rotations are a thousand commits.
    private func chain(_ fixture: Fixture, count: Int, scopes: UInt32 = 0) async throws -> [CredentialID] {
        var ids: [CredentialID] = []
        _ = try await fixture.plant(count: count, kind: .apiKey) { _, credential in
            credential.predecessor = ids.last
            credential.record.scopes = scopes
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

    @Test func `of more than ten thousand is ended as a whole, and named ids come first`() async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: 10_500)
        let bystander = try await fixture.key(owner: "bob").summary.id
        let newest = try #require(ids.last)
        let report = try await fixture.issuer.revoke([newest, bystander], chain: true)
        #expect(try living(ids + [bystander], fixture).isEmpty)
        #expect(report.revoked.count == 10_501 && Set(report.revoked) == Set(ids + [bystander]))
        #expect(report.revoked.prefix(2) == [newest, bystander])
        #expect(report.unknown.isEmpty && report.alreadyRevoked.isEmpty && report.livingRelatives.isEmpty)
        // Each piece is in the audit log, with all of its ids.
        let audited = try await fixture.auditedRevocations()
        #expect(Set(audited) == Set(report.revoked) && audited.count == report.revoked.count)
        #expect(try fixture.check().isEmpty)
        let again = try await fixture.issuer.revoke([newest], chain: true)
        #expect(again.revoked.isEmpty && again.alreadyRevoked == [newest])
    }

    @Test(arguments: [0, 1_100, 2_199]) func `is ended wherever it begins`(_ start: Int) async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: 2_200)
        let report = try await fixture.issuer.revoke([ids[start]], chain: true)
        #expect(report.revoked.count == ids.count)
        #expect(try living(ids, fixture).isEmpty)
    }

    @Test func `is finished by a repeated request that passes through what was ended`() async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: 2_200)
        _ = try await fixture.issuer.revoke(Array(ids[500..<1_500]), chain: false)
        let report = try await fixture.issuer.revoke([ids[1_000]], chain: true)
        #expect(report.alreadyRevoked == [ids[1_000]] && report.revoked.count == 1_200)
        #expect(try living(ids, fixture).isEmpty)
    }

    @Test func `that grows while it is ended is ended with what has grown`() async throws {
        let fixture = try Fixture()
        let ids = try await chain(fixture, count: Issuer.rowsPerPiece * 2)
        let newest = try #require(ids.last)
        let gate = WriterGate(fixture.store)
        async let report = fixture.issuer.revoke([ids[0]], chain: true)
        try await gate.waitUntilQueued(1)
        // Behind the first piece, before the last.
        async let rotated = fixture.issuer.rotate(newest, overlapSeconds: 600)
        try await gate.waitUntilQueued(2)
        gate.open()
        let successor = try await rotated
        #expect(try await report.revoked.contains(successor.summary.id))
        #expect(try fixture.verdict(successor.secret).reason == .revoked)
        #expect(try living(ids, fixture).isEmpty)
    }

    @Test func `is ended by a caller whose own key is part of it`() async throws {
        let fixture = try Fixture()
        let scopes = try await fixture.store.write(creates: true) { writer, transaction in
            try writer.intern(.scopes, Array("countersign:keys:revoke".utf8), in: transaction)
        }
        let ids = try await chain(fixture, count: 2_200, scopes: scopes)
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

    @Test func `is ended on a full map`() async throws {
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
        let report = try await fixture.issuer.revoke([try #require(ids.last)], chain: true)
        #expect(report.revoked.count == ids.count)
        #expect(try living(ids, fixture).isEmpty)
    }

    @Test func `names nothing unknown that nobody named`() async throws {
        let fixture = try Fixture()
        let swept = CredentialID.random()
        let key = try await fixture.plant { $0.predecessor = swept }
        let stranger = CredentialID.random()
        let report = try await fixture.issuer.revoke([key.id, stranger], chain: true)
        #expect(report.revoked == [key.id] && report.unknown == [stranger])
    }
}

extension Fixture {
    /// The ids of all revocations in the audit log, in order.
    fileprivate func auditedRevocations() async throws -> [CredentialID] {
        var ids: [CredentialID] = []
        var after: UInt64 = 0
        while true {
            let (entries, hasMore) = try await issuer.auditEntries(after: after, limit: 1_000)
            for entry in entries where entry.deed.action == .credentialsRevoked { ids += entry.deed.credentials }
            guard hasMore, let last = entries.last else { return ids }
            after = last.number
        }
    }
}
