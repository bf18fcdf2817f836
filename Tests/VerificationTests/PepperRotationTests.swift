import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import LMDB
import Synchronization
import TestSupport
import Testing
import Verification

@Suite struct `A new pepper` {
    @Test func `tags new credentials; once old ones are re-tagged, the old pepper can be retired`() async throws {
        let fixture = try Fixture()
        let old = try await fixture.key()
        let idle = try await fixture.key()
        let added = try await fixture.issuer.addPepper()
        #expect(added.number == 2 && added.isNewest)
        let new = try await fixture.key()
        #expect(try fixture.row(new.summary.id)?.record.pepper == 2)
        #expect(try fixture.row(old.summary.id)?.record.pepper == 1)
        // Each verification may offer the re-tag; afterwards the record names the new pepper.
        #expect(
            try await eventually {
                try fixture.verdict(old.secret).isActive && fixture.row(old.summary.id)?.record.pepper == 2
            })
        #expect(try fixture.verdict(old.secret).record?.pepper == 2)
        #expect(try fixture.verdict(new.secret).isActive)
        // A key that is not used keeps the old pepper in use.
        await #expect(throws: IssuanceError.self) { try await fixture.issuer.retirePepper(1) }
        #expect(try await fixture.issuer.peppers().map(\.records) == [1, 2])
        #expect(
            try await eventually {
                try fixture.verdict(idle.secret).isActive && fixture.row(idle.summary.id)?.record.pepper == 2
            })
        try await fixture.issuer.retirePepper(1)
        #expect(try await fixture.issuer.peppers().map(\.number) == [2])
        for secret in [old.secret, idle.secret, new.secret] { #expect(try fixture.verdict(secret).isActive) }
        let again = try fixture.reopened()
        #expect(again.store.peppers.numbers == [2])
        for secret in [old.secret, idle.secret, new.secret] { #expect(try again.verdict(secret).isActive) }
        #expect(try again.check().isEmpty)
    }

    @Test func `re-tags records without a journal entry, and changes only tag and pepper`() async throws {
        let fixture = try Fixture()
        let (id, secret) = try await fixture.plant {
            $0.name = "n"
            $0.record.expiresAt = UnixSeconds(9_000_000_000)
            $0.predecessor = CredentialID(rawValue: 5)
        }
        let before = try #require(try fixture.row(id))
        _ = try await fixture.issuer.addPepper()
        let entries = try fixture.journal().count
        #expect(try await eventually { try fixture.verdict(secret).isActive && fixture.row(id)?.record.pepper == 2 })
        let after = try #require(try fixture.row(id))
        #expect(after.owner == before.owner && after.name == before.name && after.predecessor == before.predecessor)
        #expect(after.record.expiresAt == before.record.expiresAt && after.record.issuedAt == before.record.issuedAt)
        #expect(after.record.journalNumber == before.record.journalNumber && after.record.flags == before.record.flags)
        #expect(after.record.tag.bytes != before.record.tag.bytes)
        #expect(try fixture.journal().count == entries)
    }

    @Test func `a late re-tag does not undo a revocation made meanwhile`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.key()
        _ = try await fixture.issuer.addPepper()
        let gate = WriterGate(fixture.store)
        async let revoked = fixture.issuer.revoke([issued.summary.id], chain: false)
        try await gate.waitUntilQueued(1)
        // Verified before the revocation is committed, so the re-tag is queued after it.
        #expect(try fixture.verdict(issued.secret).isActive)
        try await gate.waitUntilQueued(2)
        gate.open()
        _ = try await revoked
        try await fixture.store.write(creates: false) { _, _ in }
        #expect(try fixture.verdict(issued.secret).reason == .revoked)
        #expect(try fixture.row(issued.summary.id)?.record.flags.contains(.revoked) == true)
    }

    @Test func `a re-tag that expects another tag is dropped`() async throws {
        let fixture = try Fixture()
        let (id, secret) = try await fixture.plant()
        let moved = try await fixture.store.write(creates: true) { writer, transaction in
            try writer.retag(
                id, expected: Tag(0, 0, 0, 0), to: Tag(1, 1, 1, 1), pepper: fixture.store.peppers.newest.number,
                in: transaction)
        }
        #expect(!moved)
        #expect(try fixture.verdict(secret).isActive)
    }

    @Test func `a late re-tag cannot bring an older pepper back into use`() async throws {
        let fixture = try Fixture()
        let issued = try await fixture.key()
        let row = try #require(try fixture.row(issued.summary.id))
        _ = try await fixture.issuer.addPepper()
        let moved = try await fixture.store.write(creates: true) { writer, transaction in
            try writer.retag(
                issued.summary.id, expected: row.record.tag, to: Tag(1, 1, 1, 1), pepper: 1, in: transaction)
        }
        #expect(!moved)
        #expect(try fixture.verdict(issued.secret).isActive)
    }

    @Test func `tags nothing before the commit that adds it`() async throws {
        let fixture = try Fixture()
        let gate = WriterGate(fixture.store)
        async let added = fixture.issuer.addPepper()
        try await gate.waitUntilQueued(1)
        // Aborts the transaction after the pepper was written.
        fixture.store.submit(creates: false) { writer, transaction in
            _ = try writer.raiseWatermark(of: .family(1), issuedBefore: nil, in: transaction)
            throw Refusal()
        } completion: { (_: Result<Void, any Error>) in
        }
        #expect(fixture.store.peppers.newest.number == 1)
        gate.open()
        // The batch was repeated; still only one pepper was generated, and the file agrees with the store.
        #expect(try await added.number == 2)
        let file = try PepperFileOnDisk.read(fixture.pepperPath)
        #expect(file.peppers.map(\.number) == [1, 2])
        let key = try await fixture.key()
        let again = try fixture.reopened()
        #expect(again.store.peppers.numbers == [1, 2])
        #expect(try again.verdict(key.secret).isActive)
    }

    @Test func `a credential tagged under the older one while it was added is drawn again`() async throws {
        let fixture = try Fixture()
        let gate = WriterGate(fixture.store)
        async let added = fixture.issuer.addPepper()
        try await gate.waitUntilQueued(1)
        // Tagged now, with pepper 1, and inserted after the new pepper was added.
        async let key = fixture.key()
        async let imported = fixture.issuer.importKeys([
            ImportLine(key: SecretText(Array("legacy-key-0123456789".utf8)), request: KeyRequest(owner: "x"))
        ])
        try await gate.waitUntilQueued(3)
        gate.open()
        _ = try await added
        let (newKey, report) = try await (key, imported)
        for id in [newKey.summary.id, report.imported[0]] { #expect(try fixture.row(id)?.record.pepper == 2) }
        #expect(try fixture.verdict(newKey.secret).isActive)
        try await fixture.issuer.retirePepper(1)
        #expect(try fixture.reopened().verdict(newKey.secret).isActive)
    }

    @Test func `can be followed by retiring the old one despite revoked records, which stay refused`() async throws {
        let fixture = try Fixture()
        let single = try await fixture.key(owner: "a")
        let bulk = try await fixture.key(owner: "b")
        let long = try await fixture.key(owner: String(repeating: "c", count: 100))
        _ = try await fixture.issuer.revoke([single.summary.id], chain: false)
        _ = try await fixture.issuer.revokeOwner("b", issuedBefore: nil)
        _ = try await fixture.issuer.revokeOwner(String(repeating: "c", count: 100), issuedBefore: nil)
        _ = try await fixture.issuer.addPepper()
        try await fixture.issuer.retirePepper(1)
        for secret in [single.secret, bulk.secret, long.secret] {
            #expect(try fixture.verdict(secret).reason == .unknown)
        }
        #expect(try fixture.check().isEmpty)
        let again = try fixture.reopened()
        for secret in [single.secret, bulk.secret, long.secret] {
            #expect(try again.verdict(secret).reason == .unknown)
        }
    }

    @Test func `that is missing for a valid record is an error, never inactive`() async throws {
        let fixture = try Fixture()
        let (_, secret) = try await fixture.plant()
        _ = try await fixture.issuer.addPepper()
        // As if it had been retired forcibly.
        #expect(fixture.store.peppers.retire(1))
        #expect(throws: StoreFailure.pepperMissing(number: 1)) { try fixture.verdict(secret) }
    }
}

struct Refusal: Error {}
