import ControlPlaneFixture
import Foundation
import Issuance
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct AuditVerbTests {
    @Test func `audit list shows who did what, as a table and as JSON`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.makeKey()
            _ = try await plane.command("key", "edit", made.id, "--name", "ci")
            _ = try await plane.command("key", "revoke", "--owner", "acme")
            let listed = try await plane.command("audit", "list")
            #expect(listed.status == 0 && listed.lines.count == 4)
            #expect(listed.lines[0].split(separator: " ") == ["NUMBER", "TIME", "ACTOR", "ACTION", "WHAT"])
            #expect(listed.lines[1].contains("keys_created") && listed.lines[1].hasSuffix("owner acme \(made.id)"))
            #expect(listed.lines[2].hasSuffix("\(made.id) (name)"))
            let later = try await plane.command("audit", "list", "--after", "1", "--json")
            #expect(later.json.map { $0["action"] as? String } == ["key_edited", "owner_revoked"])
            #expect(try await plane.command("audit", "list", "--after", "x").status == 2)
            let edited = try await plane.command(
                "audit", "list", "--action", "key_edited", "--since", "2020-01-01", "--json")
            #expect(edited.json.map { $0["action"] as? String } == ["key_edited"])
            let none = try await plane.command(
                "audit", "list", "--owner", "acme", "--until", "2020-01-01T00:00:00Z", "--json")
            #expect(none.status == 0 && none.json.isEmpty)
            for (option, value) in [("--action", "key_edit"), ("--since", "yesterday"), ("--until", "2026-13-01")] {
                #expect(try await plane.command("audit", "list", option, value).status == 2)
            }
        }
    }

    @Test func `audit verify finds a log that lacks the recorded head`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            _ = try await plane.makeKey()
            let whole = try await plane.command("audit", "verify")
            #expect(whole.status == 0 && whole.lines.first == "The log is whole: 1 entries.")
            let head = String(try #require(whole.lines.last).dropFirst(6))
            #expect(try await plane.command("audit", "verify", "--head", head, "--json").status == 0)
            let lost = try await plane.command("audit", "verify", "--head", "2:" + head.dropFirst(2))
            #expect(lost.status == 3 && lost.output.hasPrefix("Entry 2 is missing"))
        }
    }

    @Test func `both work without a daemon, whose entries name a command as the actor`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.key()
        fixture.close()
        try FileManager.default.copyItem(atPath: fixture.pepperPath, toPath: fixture.directory + ".pepper")
        let folder = URL(fileURLWithPath: fixture.folder.path)
        func command(_ arguments: String...) async throws -> CommandProcess.Outcome {
            try await CommandProcess.run(
                arguments + ["--store", fixture.directory], in: folder, log: fixture.logged.log)
        }
        #expect(try await command("key", "create", "--owner", "bob").status == 0)
        let listed = try await command("audit", "list", "--json")
        #expect(listed.json.map { ($0["actor"] as? [String: Any])?["type"] as? String } == ["program", "command"])
        #expect(try await command("audit", "verify").status == 0)
        // One bit of the first entry.
        let again = try fixture.reopened()
        let schema = again.store.schema
        try await again.store.tamper { _, transaction in
            guard var row = try transaction.get(schema.audit, key: 1, { $0.copied() }) else { return }
            row[row.count - 1] ^= 1
            try transaction.put(schema.audit, key: 1, value: row.octets)
        }
        again.close()
        let broken = try await command("audit", "verify", "--json")
        #expect(broken.status == 3 && (broken.json.first?["fault"] as? [String: Any])?["number"] as? Int == 1)
        #expect(try await command("store", "check").status == 3)
    }
}
