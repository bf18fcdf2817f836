import ControlPlaneFixture
import Foundation
import Issuance
import TestSupport
import Testing

/// The verbs on a store that no daemon holds.
@Suite struct RestoreVerbTests {
    /// A closed store whose pepper file lies where the verbs look for it, with a key that is living and one that is revoked.
    private struct Offline {
        let fixture: Fixture
        let living: IssuedCredential
        let revoked: IssuedCredential

        init() async throws {
            fixture = try Fixture()
            living = try await fixture.key()
            revoked = try await fixture.key()
            try FileManager.default.copyItem(atPath: fixture.pepperPath, toPath: fixture.directory + ".pepper")
        }

        func command(_ arguments: String..., input: String = "") async throws -> CommandProcess.Outcome {
            try await CommandProcess.run(
                arguments + ["--store", fixture.directory], input: input,
                in: URL(fileURLWithPath: fixture.folder.path))
        }

        func verdict(_ key: IssuedCredential) async throws -> Int32 {
            try await command("verify", input: key.secret.reveal()).status
        }
    }

    @Test func `a backup takes the store's place, with what was revoked since`() async throws {
        let offline = try await Offline()
        let fixture = offline.fixture
        let (backup, list) = (fixture.folder("backup"), fixture.folder("revocations"))
        fixture.close()
        #expect(try await offline.command("store", "backup", backup).status == 0)
        #expect(try await offline.command("key", "revoke", offline.revoked.summary.id.description).status == 0)
        #expect(try await offline.command("store", "revocations", list).status == 0)
        let text = try String(contentsOfFile: list, encoding: .utf8)
        #expect(text.contains("revoked \(offline.revoked.summary.id) "))

        let restored = try await offline.command("store", "restore", backup, "--revocations-from", list)
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.output.hasPrefix("revoked since   1\nnot in backup   0\nold folder      "))
        #expect(try await offline.verdict(offline.living) == 0)
        #expect(try await offline.verdict(offline.revoked) == 1)
        #expect(try await offline.command("store", "check").output == "The store is sound.\n")

        // The other way round: said aloud, the revocation is lost.
        let lossy = try await offline.command("store", "restore", backup, "--accept-lost-revocations", "--json")
        #expect(lossy.json.first?["restored"] as? String == fixture.directory)
        #expect(try await offline.verdict(offline.revoked) == 0)
    }

    @Test func `restore asks what to do about revocations, and names what is wrong`() async throws {
        let offline = try await Offline()
        let backup = offline.fixture.folder("backup")
        try offline.fixture.backup(toFile: backup)
        #expect(try await offline.command("store", "restore", backup).status == 2)
        let both = try await offline.command(
            "store", "restore", backup, "--accept-lost-revocations", "--revocations-from", backup)
        #expect(both.status == 2)
        let notAList = try await offline.command("store", "restore", backup, "--revocations-from", backup)
        #expect(notAList.status == 3 && notAList.errors.contains("list of revocations"))
        // This process holds the store.
        let held = try await offline.command("store", "restore", backup, "--accept-lost-revocations")
        #expect(held.status == 3 && held.errors.contains("owns the store"))
        let listed = try await offline.command("key", "list")
        #expect(listed.status == 3 && listed.errors.contains("--control unix:PATH"), "\(listed.errors)")
        offline.fixture.close()
        let absent = try await offline.command("store", "restore", "/nowhere/backup", "--accept-lost-revocations")
        #expect(absent.status == 3 && absent.errors.contains("/nowhere/backup"))
        #expect(try await offline.verdict(offline.living) == 0)
    }

    @Test func `upgrade leaves a store of the present schema alone`() async throws {
        let offline = try await Offline()
        offline.fixture.close()
        let outcome = try await offline.command("store", "upgrade")
        #expect(outcome.status == 0 && outcome.output.contains("nothing to do"))
        #expect(try await offline.verdict(offline.living) == 0)
    }
}
