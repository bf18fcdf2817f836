import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import RecordCache
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `Restoring a backup` {
    /// Restores over the fixture's closed store and opens the result.
    private func restore(
        _ backup: String, over fixture: Fixture, _ revocations: RevocationList?
    ) throws -> (fixture: Fixture, replacement: Replacement) {
        fixture.close()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        let replacement = try Replacing.restore(backup, fixture, peppers, revocations)
        return (try fixture.reopened(), replacement)
    }

    @Test func `replaces a truncated store`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("backup"))
        fixture.close()
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: fixture.directory + "/data.mdb"))
        try file.truncate(atOffset: 8_192)
        try file.close()
        let (again, _) = try restore(fixture.folder("backup"), over: fixture, nil)
        #expect(try again.verdict(key.secret).isActive)
    }

    @Test func `revokes again what is in the list, and makes a new incarnation`() async throws {
        let fixture = try Fixture()
        let (kept, revoked) = (try await fixture.key(owner: "kept"), try await fixture.key(owner: "revoked"))
        let (owned, rotated) = (try await fixture.key(owner: "p 100% ä"), try await fixture.key(owner: "rotated"))
        let client = try await fixture.client()
        let before = try await fixture.key(owner: "before")
        _ = try await fixture.issuer.revoke([before.summary.id], chain: false)
        try fixture.backup(toFile: fixture.folder("backup"))

        let lost = try await fixture.key(owner: "lost")
        _ = try await fixture.issuer.revoke([revoked.summary.id, lost.summary.id], chain: false)
        _ = try await fixture.issuer.revokeOwner("p 100% ä", issuedBefore: nil)
        _ = try await fixture.issuer.rotate(rotated.summary.id, overlapSeconds: 3_600)
        _ = try await fixture.issuer.revokeClient(client.summary.clientID)
        let list = try RevocationList(parsing: fixture.exportedRevocations())
        let incarnation = fixture.store.incarnation
        let journalNumber = try fixture.journal().last?.number ?? 0

        let (again, replacement) = try restore(fixture.folder("backup"), over: fixture, list)
        #expect(try again.verdict(kept.secret).isActive)
        for secret in [revoked.secret, owned.secret, before.secret] {
            #expect(try again.verdict(secret).reason == .revoked)
        }
        #expect(try again.verdict(lost.secret).reason == .unknown)
        let now = again.store.clock.now()
        #expect(try again.verdict(rotated.secret, at: now).isActive)
        #expect(try again.verdict(rotated.secret, at: now.adding(3_700)).reason == .expired)
        let secret = try #require(client.secret)
        #expect(try again.verdict(secret).reason == .revoked)
        #expect(again.store.incarnation != incarnation && again.store.origin == incarnation)
        #expect(replacement.revocations?.unknown == 1)

        // Journal numbers continue above every old bulk revocation, also for the same owner.
        let new = try await again.key(owner: "p 100% ä")
        #expect(try again.verdict(new.secret).isActive)
        #expect(try again.row(new.summary.id)?.record.journalNumber ?? 0 > journalNumber)
        #expect(try again.check().isEmpty)
        #expect(try again.journal().contains { $0.event == .restored })
    }

    @Test func `refuses a list made before the backup, unless told to accept it`() async throws {
        let fixture = try Fixture()
        let (key, later) = (try await fixture.key(), try await fixture.key())
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        let older = try RevocationList(parsing: fixture.exportedRevocations())
        _ = try await fixture.issuer.revoke([later.summary.id], chain: false)
        try fixture.backup(toFile: fixture.folder("backup"))
        #expect(throws: StoreFailure.listOlderThanBackup) {
            try restore(fixture.folder("backup"), over: fixture, older)
        }
        #expect(StoreFailure.listOlderThanBackup.description.contains("--accept-incomplete-list"))
        // A list made at the moment of the backup has the same journal number, and is new enough.
        let same = try RevocationList(parsing: fixture.reopened().exportedRevocations())
        let (again, replacement) = try restore(fixture.folder("backup"), over: try fixture.reopened(), same)
        // The name of the kept folder has the second in it, and the next restore may be in the same second.
        try FileManager.default.removeItem(atPath: try #require(replacement.kept))
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        again.close()
        _ = try Replacing.restore(fixture.folder("backup"), fixture, peppers, older, acceptsIncomplete: true)
        #expect(try fixture.reopened().verdict(later.secret).reason == .revoked)
    }

    @Test func `without a list makes revoked credentials valid again, and keeps the folder that it replaced`()
        async throws
    {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("backup"))
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        let (again, replacement) = try restore(fixture.folder("backup"), over: fixture, nil)
        #expect(try again.verdict(key.secret).isActive)
        let kept = try #require(replacement.kept)
        #expect(CredentialStore.exists(in: kept))
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        let old = try CredentialStore.open(in: kept, peppers: peppers, options: Fixture.smallOptions)
        #expect(try Verifier(store: old).verdict(key.secret.revealBytes(), at: old.clock.now()).reason == .revoked)
        close(old)
    }

    @Test func `creates a missing folder`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("backup"))
        fixture.close()
        try FileManager.default.removeItem(atPath: fixture.directory)
        let (again, replacement) = try restore(fixture.folder("backup"), over: fixture, nil)
        #expect(replacement.kept == nil)
        #expect(try again.verdict(key.secret).isActive)
    }

    @Test func `changes nothing when it fails`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("backup"))
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        func refusal(_ backup: String, _ peppers: PepperFile, _ list: RevocationList? = nil) -> StoreFailure? {
            do throws(StoreFailure) {
                _ = try Replacing.restore(backup, fixture, peppers, list)
                return nil
            } catch {
                #expect(!error.description.isEmpty)
                return error
            }
        }
        // A daemon has the folder locked.
        guard case .held = refusal(fixture.folder("backup"), peppers) else {
            Issue.record("a store that is held was replaced")
            return
        }
        let list = try RevocationList(parsing: fixture.exportedRevocations())
        fixture.close()
        let foreign = try Fixture()
        #expect(
            refusal(fixture.folder("backup"), try PepperFileOnDisk.read(foreign.pepperPath)) == .lookupSecretDiffers)
        try foreign.backup(toFile: fixture.folder("foreign"))
        #expect(
            refusal(fixture.folder("foreign"), try PepperFileOnDisk.read(foreign.pepperPath), list)
                == .otherStoresRevocations)
        let text = fixture.folder("text")
        try Data(repeating: 0x41, count: 10_000).write(to: URL(fileURLWithPath: text))
        #expect(refusal(text, peppers) == .notABackup(path: text))
        #expect(refusal(fixture.folder("nothing"), peppers) != nil)
        let half = fixture.folder("half")
        try Data(contentsOf: URL(fileURLWithPath: fixture.folder("backup"))).prefix(12_288).write(
            to: URL(fileURLWithPath: half))
        #expect(refusal(half, peppers) == .truncated)

        let left = try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path)
        #expect(left.filter { $0.hasPrefix("store") } == ["store"])
        let again = try fixture.reopened()
        #expect(again.store.incarnation == fixture.store.incarnation)
        #expect(try again.verdict(key.secret).isActive)
    }

    @Test func `fails if the backup's journal number leaves none for later changes`() async throws {
        let fixture = try Fixture()
        try await fixture.store.tamper { writer, transaction in
            try writer.setNumber(.journalNumber, .max, in: transaction)
        }
        try fixture.backup(toFile: fixture.folder("backup"))
        #expect(throws: StoreFailure.corrupt(table: "meta")) {
            try restore(fixture.folder("backup"), over: fixture, nil)
        }
    }
}

@Suite struct `A list of revocations` {
    private func list(_ lines: String) throws(RevocationListError) -> RevocationList {
        try RevocationList(parsing: Array(lines.utf8))
    }

    @Test func `is read as it was written`() throws {
        let id = CredentialID.random()
        let entries: [RevocationList.Entry] = [
            .revoked(id, at: UnixSeconds(5)), .ends(id, at: UnixSeconds(6)), .clientRevoked(3, at: UnixSeconds(7)),
            .shortened(id, at: UnixSeconds(12)),
            .watermark(.owner(Array("a b%\u{E4}".utf8)), Watermark(journalNumber: 8, issuedBefore: .always)),
            .watermark(.client(9), Watermark(journalNumber: 10, issuedBefore: UnixSeconds(11))),
            .watermark(.family(.max), Watermark(journalNumber: 12, issuedBefore: .always)),
        ]
        let lineage = Lineage(incarnation: 43, ancestors: [.init(incarnation: 42, journalNumber: 50)])
        let text =
            RevocationList.head(vendor: .iiniit, origin: 42, lineage: lineage, completeSince: UnixSeconds(86_400))
            + entries.map(\.line).joined() + RevocationList.end(entryCount: 7, journalNumber: 99)
        #expect(text.utf8.allSatisfy { $0 < 0x7F })
        let read = try list(text)
        #expect(read.entries == entries && read.origin == 42 && read.journalNumber == 99 && read.lineage == lineage)
        #expect(read.completeSince == UnixSeconds(86_400))
    }

    @Test func `of version 1 is still read, and has no entries of version 2`() throws {
        let head = "countersign-revocations 1\nstore ii 42\n"
        let read = try list(head + "ends EoDdrWzLqRF 5\nend 1 9\n")
        #expect(read.entries.count == 1 && read.lineage == nil && read.completeSince == .always)
        for line in ["shortened EoDdrWzLqRF 5", "incarnation 42", "complete-since 0"] {
            #expect(throws: RevocationListError.line(3)) { try list(head + line + "\nend 1 9\n") }
        }
        // Version 2 always names the incarnations, and the time since which it is complete.
        let next = "countersign-revocations 2\nstore ii 42\n"
        #expect(throws: RevocationListError.line(3)) { try list(next + "end 0 9\n") }
        #expect(throws: RevocationListError.truncated) { try list(next + "incarnation 42\n") }
        #expect(throws: RevocationListError.truncated) { try list(next + "incarnation 42\ncomplete-since 0\n") }
        for line in ["shortened EoDdrWzLqRF 5", "complete-since", "complete-since -1", "complete-since 1 2", "since 0"]
        {
            #expect(throws: RevocationListError.line(4)) { try list(next + "incarnation 42\n\(line)\nend 0 9\n") }
        }
        let head2 = next + "incarnation 42\ncomplete-since 0\n"
        #expect(throws: RevocationListError.line(5)) { try list(head2 + "shortened x 5\nend 1 9\n") }
        #expect(try list(head2 + "shortened EoDdrWzLqRF 5\nend 1 9\n").entries.count == 1)
    }

    @Test func `is refused when truncated or malformed`() throws {
        let head = "countersign-revocations 1\nstore ii 42\n"
        #expect(throws: RevocationListError.truncated) { try list(head + "revoked EoDdrWzLqRF 5\n") }
        #expect(throws: RevocationListError.truncated) { try list(head + "revoked EoDdrWzLqRF 5\nend 2 9\n") }
        #expect(throws: RevocationListError.truncated) { try list(head + "end 0 9") }
        #expect(throws: RevocationListError.truncated) { try list("") }
        // A restored store continues above this number.
        #expect(throws: RevocationListError.line(3)) { try list(head + "end 0 18446744073709551615\n") }
        #expect(throws: RevocationListError.unknownFormat) {
            try list("countersign-revocations 3\nstore ii 42\nend 0 0\n")
        }
        for line in [
            "revoked EoDdrWzLqR 5", "revoked EoDdrWzLqRF -5", "revoked EoDdrWzLqRF", "owner  1 2", "owner a%4 1 2",
            "owner %00 1 2", "family-watermark x 1 2", "client 4294967296 1", "what 1 2", "",
        ] {
            #expect(throws: RevocationListError.line(3)) { try list(head + line + "\nend 1 9\n") }
        }
    }
}
