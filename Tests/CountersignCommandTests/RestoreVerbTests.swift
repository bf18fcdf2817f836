import ControlPlaneFixture
import Foundation
import Issuance
import TestSupport
import Testing

/// Commands on a store that no daemon holds.
@Suite struct RestoreVerbTests {
    /// A store with its pepper file where commands look for it, with one key that stays active and one that is revoked.
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
                in: URL(fileURLWithPath: fixture.folder.path), log: fixture.logged.log)
        }

        func verdict(_ key: IssuedCredential) async throws -> Int32 {
            try await command("verify", input: key.secret.reveal()).status
        }
    }

    @Test func `a restored backup has the revocations of the list`() async throws {
        let offline = try await Offline()
        let fixture = offline.fixture
        let (backup, list) = (fixture.folder("backup"), fixture.folder("revocations"))
        fixture.close()
        // The restored store begins another log.
        fixture.store.noteTampering()
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

        // With --accept-lost-revocations the key is accepted again.
        let lossy = try await offline.command("store", "restore", backup, "--accept-lost-revocations", "--json")
        #expect(lossy.json.first?["restored"] as? String == fixture.directory)
        #expect(try await offline.verdict(offline.revoked) == 0)
    }

    @Test func `restore requires a decision about revocations, and names what is wrong`() async throws {
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

    @Test func `a restored backup that is brought up to date by the log has lost nothing`() async throws {
        let offline = try await Offline()
        let fixture = offline.fixture
        let backup = fixture.folder("backup")
        try fixture.backup(toFile: backup)
        _ = try await fixture.issuer.revoke([offline.revoked.summary.id], chain: false)
        let later = try await fixture.key()
        fixture.close()
        fixture.store.noteTampering()
        let restored = try await offline.command("store", "restore", backup, "--log", fixture.logged.log)
        #expect(restored.output.hasPrefix("replayed        2 entries, up to 6, of 20"), "\(restored)")
        #expect(try await offline.verdict(offline.revoked) == 1)
        #expect(try await offline.verdict(later) == 0)
        let nowhere = try await offline.command("store", "restore", backup, "--log", fixture.folder("nowhere"))
        #expect(nowhere.status == 3 && nowhere.errors.contains("nowhere"), "\(nowhere.errors)")
        #expect(
            try await offline.command("store", "restore", backup, "--log", backup, "--accept-lost-revocations").status
                == 2)
    }

    @Test func `a copy is replayed to, up to a time, an entry or the end, and again`() async throws {
        let offline = try await Offline()
        let fixture = offline.fixture
        let (log, copy) = (fixture.logged.log, fixture.logged.copy)
        let peppers = ["--pepper-file", fixture.pepperPath]
        func replay(_ arguments: String...) async throws -> CommandProcess.Outcome {
            try await CommandProcess.run(
                ["store", "replay", log, "--store", copy] + peppers + arguments,
                in: URL(fileURLWithPath: fixture.folder.path))
        }
        // The daemon, here this process, writes on.
        let early = try await replay("--until", "2020-01-01T00:00:00Z")
        #expect(early.status == 3 && early.errors.contains("has entry 2 of the log already"), "\(early)")
        let one = try await replay("--through", "3", "--json")
        #expect(one.json.first?["entries"] as? Int == 1 && one.json.first?["number"] as? Int == 3, "\(one)")
        #expect(try await replay().output.hasPrefix("replayed   1 entries\nentry      4, of 20"))
        #expect(try await replay().output == "replayed   0 entries\nentry      4\n")
        func digest(_ store: String) async throws -> CommandProcess.Outcome {
            try await CommandProcess.run(
                ["store", "digest", "--store", store, "--json"] + peppers, in: URL(fileURLWithPath: fixture.folder.path)
            )
        }
        let (own, other) = (try await digest(fixture.directory), try await digest(copy))
        #expect(own.status == 0 && own.json.first?["entry"] as? Int == 4 && own.output == other.output, "\(own)")
        _ = try await fixture.key()
        #expect(try await digest(fixture.directory).output != other.output)
        let held = try await CommandProcess.run(
            ["store", "replay", log, "--store", fixture.directory] + peppers,
            in: URL(fileURLWithPath: fixture.folder.path))
        #expect(held.status == 3 && held.errors.contains("owns the store"), "\(held.errors)")
    }

    @Test func `a command does not change a store that has a log without it`() async throws {
        let offline = try await Offline()
        offline.fixture.close()
        let outcome = try await CommandProcess.run(
            ["key", "list", "--store", offline.fixture.directory], in: URL(fileURLWithPath: offline.fixture.folder.path)
        )
        #expect(outcome.status == 3 && outcome.errors.contains("COUNTERSIGN_STORE_LOG"), "\(outcome.errors)")
    }

    @Test func `upgrade does not change a store of the current schema`() async throws {
        let offline = try await Offline()
        offline.fixture.close()
        let outcome = try await offline.command("store", "upgrade")
        #expect(outcome.status == 0 && outcome.output.contains("nothing to do"))
        #expect(try await offline.verdict(offline.living) == 0)
    }
}
