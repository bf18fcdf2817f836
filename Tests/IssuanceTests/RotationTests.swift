import CredentialModel
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `Rotating a key` {
    @Test func `creates a linked successor with the same rights and lifetime`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.issuer.createKeys(
            KeyRequest(
                owner: "alice", name: "n", scope: ["r"], audience: ["a"], networks: ["::1"], expiresInSeconds: 5_000))[
                0]
        let next = try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 100)
        let old = try #require(try await fixture.issuer.credential(key.summary.id))
        #expect(next.summary.predecessor == old.id && old.successor == next.summary.id)
        #expect(next.summary.owner == "alice" && next.summary.name == "n" && next.summary.scope == ["r"])
        #expect(next.summary.audience == ["a"] && next.summary.networks == old.networks)
        #expect(next.summary.expiresAt == next.summary.issuedAt.adding(5_000))
        #expect(next.summary.sunset == nil)
        // The old key works until the overlap ends, and its summary says when.
        let end = try #require(old.sunset)
        #expect(end <= fixture.store.clock.now().adding(100) && old.expiresAt == end)
        #expect(try fixture.verdict(key.secret, at: end.adding(-1)).record?.flags.contains(.superseded) == true)
        #expect(try fixture.verdict(key.secret, at: end).reason == .expired)
        #expect(try fixture.verdict(next.secret, at: end).isActive)
        #expect(try fixture.check().isEmpty)
        #expect(try fixture.journal().map(\.event) == [.issued, .issued, .rotated])
    }

    @Test func `gives no longer lifetime than a new key may have`() async throws {
        let before = try Fixture()
        let endless = try await before.key().summary.id
        let long = try await before.issuer.createKeys(KeyRequest(owner: "a", expiresInSeconds: 5_000))[0].summary.id
        let short = try await before.issuer.createKeys(KeyRequest(owner: "a", expiresInSeconds: 100))[0].summary.id
        let client = try await before.client().summary.clientID
        // The setting is newer than the keys.
        let issuer = Issuer(store: before.store, policy: LifetimePolicy(keySecondsMax: 1_000))
        for (id, seconds) in [(endless, 1_000), (long, 1_000), (short, 100)] as [(CredentialID, Int64)] {
            let next = try await issuer.rotate(id, overlapSeconds: 60).summary
            #expect(next.expiresAt == next.issuedAt.adding(seconds))
        }
        // It applies only to keys.
        let rotated = try await issuer.rotateClientSecret(client, overlapSeconds: 0).summary.secrets
        #expect(rotated.last?.expiresAt == nil && rotated.count == 2)
    }

    @Test func `without overlap ends the old key at once`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        #expect(try fixture.verdict(key.secret).isActive)
        let next = try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 0)
        #expect(try fixture.verdict(key.secret).reason == .revoked)
        #expect(try fixture.verdict(next.secret).isActive)
        #expect(try fixture.journal().last?.event == .revoked)
    }

    @Test func `never extends the lifetime of the old key, and the overlap can be shortened`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.issuer.createKeys(KeyRequest(owner: "a", expiresInSeconds: 5_000))[0]
        _ = try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 86_400)
        #expect(try await fixture.issuer.credential(key.summary.id)?.expiresAt == key.summary.expiresAt)
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        #expect(try fixture.verdict(key.secret).reason == .revoked)
    }

    @Test func `lets the old key work no longer than its successor`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key().summary.id
        let issuer = Issuer(store: fixture.store, policy: LifetimePolicy(keySecondsMax: 1_000))
        let next = try await issuer.rotate(key, overlapSeconds: 86_400).summary
        let end = try #require(next.expiresAt)
        #expect(try await issuer.credential(key)?.sunset == end && end == next.issuedAt.adding(1_000))
    }

    @Test func `stores in the successor when all of its predecessors have expired`() async throws {
        let fixture = try Fixture()
        var ids = [try await fixture.key().summary.id]
        for overlap in [86_400, 60, 0] as [Int64] {
            let last = try #require(ids.last)
            ids.append(try await fixture.issuer.rotate(last, overlapSeconds: overlap).summary.id)
        }
        let rows = try ids.map { try #require(try fixture.row($0)) }
        #expect(rows[0].predecessorsEndAt == nil && rows[0].record.expiresAt > rows[1].record.expiresAt)
        // The longest overlap counts, not the last one.
        for row in rows.dropFirst() { #expect(row.predecessorsEndAt == rows[0].record.expiresAt) }
        // A revoked one has ended, whatever its expiry.
        let endless = try await fixture.key().summary.id
        let next = try await fixture.issuer.rotate(endless, overlapSeconds: 0).summary.id
        #expect(try fixture.row(next)?.predecessorsEndAt == .always)
        // A row of an earlier version does not have the time: the longest overlap is the bound.
        let now = fixture.store.clock.now()
        let old = try await fixture.plant {
            $0.predecessor = .random()
            $0.record.issuedAt = now
        }.id
        let after = try await fixture.issuer.rotate(old, overlapSeconds: 60).summary.id
        #expect(try fixture.row(after)?.predecessorsEndAt == now.adding(Issuer.overlapSecondsMax))
    }

    @Test func `works once: a second one is refused and names the successor`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let next = try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 60)
        let error = await failure { try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 60) }
        guard case .conflict(let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains(next.summary.id.description))
        // Of many concurrent ones, one succeeds.
        let id = next.summary.id
        let successes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask { (try? await fixture.issuer.rotate(id, overlapSeconds: 60)) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(successes == 1)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `is refused for a bad overlap and for a key that is unknown, ended or of another kind`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        for overlap in [-1, .min, .max, 90 * 86_400 + 1] as [Int64] {
            #expect(
                await refusedField { try await fixture.issuer.rotate(key.summary.id, overlapSeconds: overlap) }
                    == "overlap_seconds")
        }
        #expect(await failure { try await fixture.issuer.rotate(.random(), overlapSeconds: 1) } == .unknownCredential)
        let token = try await fixture.plant(.accessToken).id
        #expect(await failure { try await fixture.issuer.rotate(token, overlapSeconds: 1) } == .unknownCredential)
        let expired = try await fixture.plant { $0.record.expiresAt = UnixSeconds(5) }.id
        #expect(
            await failure { try await fixture.issuer.rotate(expired, overlapSeconds: 1) } == .gone(reason: "is expired")
        )
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        #expect(
            await failure { try await fixture.issuer.rotate(key.summary.id, overlapSeconds: 1) }
                == .gone(reason: "is revoked"))
    }

    @Test func `is refused if the key has a limit of a later version, which the successor would lose`() async throws {
        let fixture = try Fixture()
        let id = try await fixture.plant().id
        try await fixture.store.tamper { _, transaction in
            let table = fixture.store.schema.credentials
            let row = try table.get(id.rawValue, in: transaction) { $0.copied() } ?? []
            try table.put(id.rawValue, row + [0xF7, 1, 0, 9], in: transaction)
        }
        for overlap in [0, 60] as [Int64] {
            guard case .conflict = await failure({ try await fixture.issuer.rotate(id, overlapSeconds: overlap) })
            else {
                Issue.record("rotated")
                return
            }
        }
        guard case .conflict = await failure({ try await fixture.issuer.editKey(id, KeyEdit(scope: ["all"])) }) else {
            Issue.record("edited")
            return
        }
        #expect(try fixture.journal().count == 1)
    }

    @Test func `of an imported key creates a native successor`() async throws {
        let fixture = try Fixture()
        let text = "legacy_4f6e8a1b2c3d4e5f"
        let line = ImportLine(key: SecretText(Array(text.utf8)), request: KeyRequest(owner: "a", scope: ["r"]))
        let id = try await fixture.issuer.importKeys([line]).imported[0]
        let next = try await fixture.issuer.rotate(id, overlapSeconds: 60)
        #expect(!next.summary.imported && next.summary.scope == ["r"])
        #expect(try fixture.verdict(next.secret).isActive)
        #expect(try fixture.verifier().verdict(text, at: fixture.store.clock.now()).isActive)
    }
}
