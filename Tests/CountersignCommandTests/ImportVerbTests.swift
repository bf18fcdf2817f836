import ChildProcess
import ControlPlaneFixture
import Foundation
import TestSupport
import Testing

@Suite struct ImportVerbTests {
    /// SHA-256 of `legacy_4f6e8a1b2c3d4e5f`.
    private let sha256 = "7bbc80aca48471d552a513cc47c0c50f1479d00cc4147ba8d8b90f089f22588c"

    private func write(_ lines: [String], _ name: String, _ plane: ControlPlaneFixture) throws -> String {
        let file = plane.folder.appendingPathComponent(name)
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
        return file.path
    }

    @Test func `after the import of a hash, its key is accepted`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let file = try write([#"{"sha256": "\#(sha256)", "owner": "acme", "scope": "a"}"#], "k.jsonl", plane)
            let outcome = try await plane.command("key", "import", file)
            #expect(outcome.status == 0 && outcome.output == "imported 1, already there 0, refused 0\n")
            let verified = try await plane.command("verify", "--json", input: "legacy_4f6e8a1b2c3d4e5f\n")
            #expect(verified.status == 0 && verified.json.first?["active"] as? Bool == true)
            let other = try await plane.command("verify", "--json", input: sha256 + "\n")
            #expect(other.status == 1)
        }
    }

    @Test func `refused lines go to a file with their numbers and reasons, never with a key or hash`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let lines = [
                #"{"sha256": "\#(sha256)", "owner": "acme"}"#, #"{"sha256": "\#(sha256)0", "owner": "acme"}"#,
                #"{"sha256": "\#(sha256)", "key": "live_8fK2pQ9sVx3LmN7t", "owner": "acme"}"#, #"{"owner": "acme"}"#,
                #"{"hmac_sha256": "\#(sha256)", "owner": "acme"}"#,
                #"{"hmac_sha256": "\#(sha256)", "hmac_key_name": "secret_8fK2", "owner": "acme"}"#,
                #"{"key": "live_8fK2pQ9sVx3LmN7t", "hmac_key_name": "a", "owner": "acme"}"#,
                #"{"sha1": "\#(sha256)", "owner": "acme"}"#,
            ]
            let file = try write(lines, "k.jsonl", plane)
            let report = plane.folder.appendingPathComponent("refused.jsonl")
            try Data(repeating: 0x78, count: 10_000).write(to: report)
            for run in 0..<2 {
                let outcome = try await plane.command("key", "import", file, "--refused", report.path)
                #expect(outcome.status == 3 && outcome.errors.isEmpty)
                #expect(outcome.output == "imported \(1 - run), already there \(run), refused 7\n")
                let text = try String(contentsOf: report, encoding: .utf8)
                let refused = text.split(separator: "\n").compactMap {
                    try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
                }
                #expect(Set(refused.compactMap { $0["line"] as? Int }) == Set(2...8) && refused.count == 7)
                #expect(refused.allSatisfy { ($0["reason"] as? String)?.isEmpty == false })
                #expect(!text.contains(sha256.prefix(8)) && !text.contains("8fK2"))
            }
        }
    }

    @Test func `a refusal is the same JSON object in the file and with --json`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let file = try write([#"{"owner": "acme"}"#], "k.jsonl", plane)
            let report = plane.folder.appendingPathComponent("refused.jsonl").path
            let outcome = try await plane.command("key", "import", file, "--json", "--refused", report)
            let text = try String(contentsOfFile: report, encoding: .utf8)
            #expect(outcome.status == 3 && outcome.output == text && outcome.json.first?["reason"] is String)
        }
    }

    @Test func `a folder, a missing file and a closed one are named as such`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let folder = try await plane.command("key", "import", plane.folder.path)
            #expect(folder.status == 2 && folder.errors.contains("is a folder"))
            let missing = try await plane.command("key", "import", plane.folder.path + "/none")
            #expect(missing.status == 2 && missing.errors.contains("does not exist"))
        }
    }

    @Test func `Ctrl-C ends an import after the current batch, and reports what is done and how to continue`()
        async throws
    {
        try await ControlPlaneFixture.serve { plane async throws in
            let lines = (0..<40_000).map { #"{"key": "imported_key_\#(1_000_000 + $0)", "owner": "acme"}"# }
            let file = try write(lines, "k.jsonl", plane)
            let errors = plane.folder.appendingPathComponent("err")
            try Data().write(to: errors)
            // Foundation's null device has no descriptor to pass to a child.
            let nothing = try FileHandle(forUpdating: URL(fileURLWithPath: "/dev/null"))
            let child = try ChildProcess(
                CommandProcess.program.path, ["key", "import", file, "--control", "unix:\(plane.socketPath)"],
                input: nothing, output: nothing, errors: FileHandle(forWritingTo: errors))
            let begun = try await eventually { try await !plane.client.get("/v1/keys?limit=1").items.isEmpty }
            #expect(begun)
            kill(child.pid, SIGINT)
            let status: Int32 = await withCheckedContinuation { continuation in
                Thread { continuation.resume(returning: child.wait()) }.start()
            }
            let said = try String(contentsOf: errors, encoding: .utf8)
            let found = said.firstMatch(
                of: /Interrupted. Imported ([0-9]+), already there 0, refused 0; lines up to ([0-9]+) are/)
            let done = try #require(found.flatMap { Int($0.output.2) }, "\(said)")
            #expect(status == 3 && done > 0 && done < lines.count && said.contains("Run the same command again"))
            let again = try await plane.command("key", "import", file)
            #expect(again.output == "imported \(lines.count - done), already there \(done), refused 0\n")
        }
    }

    @Test func `the file that is imported is not overwritten by refused lines`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let file = try write([#"{"key": "short", "owner": "acme"}"#], "k.jsonl", plane)
            let link = plane.folder.appendingPathComponent("link").path
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
            for path in [file, link] {
                let outcome = try await plane.command("key", "import", file, "--refused", path)
                #expect(outcome.status == 3 && outcome.errors.contains("is the file that is imported"))
            }
            #expect(try String(contentsOfFile: file, encoding: .utf8).contains("short"))
        }
    }

    @Test func `an import that broke off is run again and nothing is lost or doubled`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let good = (0..<1_500).map { #"{"key": "imported_key_\#(1_000_000 + $0)", "owner": "acme"}"# }
            // The import breaks off at a line without an end, after its first batch.
            let broken = try write(good + [String(repeating: "x", count: 200_000)], "broken.jsonl", plane)
            let first = try await plane.command("key", "import", broken)
            #expect(first.status == 3)
            let again = try await plane.command("key", "import", try write(good, "good.jsonl", plane))
            #expect(again.status == 0)
            #expect(again.output == "imported 500, already there 1000, refused 0\n")
            let export = try await plane.command("key", "export", "--owner", "acme")
            #expect(export.json.count == 1_500)
        }
    }

    @Test func `an export has every key once, in order, and no secret`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.command(
                "key", "create", "--owner", "acme", "--name", #"a "quoted" name"#, "--scope", "a b", "--audience",
                "https://a.example", "--expires-in", "90d", "--count", "2300", "--json")
            let secrets = made.json.compactMap { $0["key"] as? String }
            let ids = made.json.compactMap { $0["id"] as? String }
            _ = try await plane.command("key", "create", "--owner", "other", "--json")
            _ = try await plane.command("key", "revoke", ids[0])
            let all = try await plane.command("key", "export")
            #expect(all.status == 0 && all.errors.isEmpty)
            let exported = all.json.compactMap { $0["id"] as? String }
            #expect(exported.count == 2_301 && exported == exported.sorted())
            #expect(secrets.allSatisfy { !all.output.contains($0.suffix(49)) })
            let acme = try await plane.command("key", "export", "--owner", "acme")
            #expect(Set(acme.json.compactMap { $0["id"] as? String }) == Set(ids))
            // Members and values are equal to those of the list.
            let listed = try await plane.command("key", "list", "--owner", "acme", "--json")
            #expect(acme.json as NSArray == listed.json as NSArray)
            #expect(acme.json.first { $0["id"] as? String == ids[0] }?["state"] as? String == "revoked")
            let none = try await plane.command("key", "export", "--owner", "nobody")
            #expect(none.status == 0 && none.output.isEmpty)
            let wrong = try await plane.command("key", "export", "--client", "nobody")
            #expect(wrong.status != 0 && wrong.output.isEmpty)
        }
    }

    @Test func `a scan for imported keys names those of this store, and never prints them`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let lines = [
                #"{"key": "live_8fK2pQ9sVx3LmN7t", "owner": "acme"}"#, #"{"sha256": "\#(sha256)", "owner": "acme"}"#,
                #"{"key": "dead_8fK2pQ9sVx3LmN7t", "owner": "acme"}"#,
            ]
            let outcome = try await plane.command(
                "key", "import", try write(lines, "k.jsonl", plane), "--json")
            let ids = outcome.json.compactMap { $0["id"] as? String }
            _ = try await plane.command("key", "revoke", ids[2])
            let text = """
                KEY=live_8fK2pQ9sVx3LmN7t; curl "https://api.example/v1?api_key=legacy_4f6e8a1b2c3d4e5f&x=1"
                a_word_that_is_long_enough_but_no_key.
                We used dead_8fK2pQ9sVx3LmN7t.
                /v1/live_8fK2pQ9sVx3LmN7t/orders
                """
            let plain = try await plane.command("key", "scan", "--json", input: text)
            #expect(plain.status == 0 && plain.json.isEmpty)
            let scan = try await plane.command("key", "scan", "--imported", "--json", input: text)
            #expect(scan.status == 1)
            let found = scan.json.compactMap { $0["id"] as? String }
            #expect(Set(found) == Set(ids) && found.count == 3)
            #expect(scan.json.first { $0["id"] as? String == ids[2] }?["reason"] as? String == "revoked")
            #expect(scan.json.first { $0["id"] as? String == ids[1] }?["line"] as? Int == 1)
            #expect(scan.errors.contains("3 credentials found, 2 of them active."))
            #expect(!(scan.output + scan.errors).contains("8fK2") && !scan.output.contains("4f6e8a1b"))
        }
    }

    @Test func `an import reports lines by number and never a key`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let lines = """
                {"key": "live_8fK2pQ9sVx3LmN7t", "owner": "acme", "scope": "a b"}

                {"key": "tiny_secret", "owner": "acme"}
                {"key": "live_8fK2pQ9sVx3LmN7u"}
                {"key": "live_8fK2pQ9sVx3LmN7v", "owner": "acme", "live_x": 1}
                not json live_8fK2pQ9sVx3LmN7w
                {"key": "live_8fK2pQ9sVx3LmN7x", "owner": "acme"}
                """
            let outcome = try await plane.command("key", "import", "-", input: lines)
            #expect(outcome.status == 3)
            #expect(outcome.output == "imported 2, already there 0, refused 4\n")
            let numbers = outcome.errors.split(separator: "\n").compactMap { $0.split(separator: ":").first }
            #expect(numbers == ["line 3", "line 4", "line 5", "line 6"])
            #expect(outcome.errors.contains("line 6: The line is not JSON"))
            for secret in ["8fK2pQ9sVx3LmN7", "tiny_secret"] {
                #expect(!(outcome.output + outcome.errors).contains(secret))
            }
        }
    }

    @Test func `a large import goes in batches and gives each line its id`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let lines = (0..<2_500).map { #"{"key": "imported_key_\#(1_000_000 + $0)", "owner": "acme"}"# }
            let file = plane.folder.appendingPathComponent("keys.jsonl")
            try Data(lines.joined(separator: "\n").utf8).write(to: file)
            let outcome = try await plane.command("key", "import", file.path, "--json")
            #expect(outcome.status == 0)
            #expect(outcome.json.compactMap { $0["line"] as? Int } == Array(1...2_500))
            #expect(Set(outcome.json.compactMap { $0["id"] as? String }).count == 2_500)
            // As after an import that broke off in the middle of its second batch.
            let more = lines + (0..<10).map { #"{"key": "imported_key_more_now_\#($0)", "owner": "acme"}"# }
            try Data(more.joined(separator: "\n").utf8).write(to: file)
            let again = try await plane.command("key", "import", file.path)
            #expect(again.status == 0 && again.errors.isEmpty)
            #expect(again.output == "imported 10, already there 2500, refused 0\n")
            let third = try await plane.command("key", "import", file.path, "--json")
            #expect(third.status == 0 && third.json.allSatisfy { $0["existing"] as? Bool == true })
            #expect(
                third.json.prefix(2_500).compactMap { $0["id"] as? String }
                    == outcome.json.compactMap { $0["id"] as? String })
        }
    }

    @Test func `a file that is not there is a failure that names it`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await plane.command("key", "import", "nothing.jsonl")
            #expect(outcome.status == 2)
            #expect(outcome.errors.contains("nothing.jsonl"))
        }
    }
}
