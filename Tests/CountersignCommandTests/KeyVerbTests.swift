import ChildProcess
import ControlPlaneFixture
import CredentialModel
import Foundation
import Issuance
import LMDB
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct KeyVerbTests {
    @Test func `a key is created with one JSON object a line`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await plane.command(
                "key", "create", "--owner", "acme", "--scope", "a b", "--expires-in", "90d", "--count", "3", "--json")
            #expect(outcome.status == 0)
            #expect(outcome.json.count == 3)
            let first = try #require(outcome.json.first)
            #expect(Set(first.keys) == ["id", "key", "owner", "name", "scope", "aud", "iat", "nbf", "exp"])
            #expect(first["scope"] as? String == "a b")
            #expect(outcome.errors.isEmpty)
        }
    }

    @Test func `more keys than one answer holds come line by line, each once and alive`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await plane.command(
                "key", "create", "--owner", "ac\"me", "--scope", "a b", "--count", "3500", "--json")
            #expect(outcome.status == 0)
            #expect(outcome.lines.count == 3_500)
            let keys = outcome.json
            #expect(Set(keys.compactMap { $0["id"] as? String }).count == 3_500)
            #expect(Set(keys.compactMap { $0["key"] as? String }).count == 3_500)
            #expect(
                keys.allSatisfy { Set($0.keys) == ["id", "key", "owner", "name", "scope", "aud", "iat", "nbf", "exp"] })
            #expect(keys.allSatisfy { $0["owner"] as? String == "ac\"me" })
            for key in [keys.first, keys.last] {
                let id = try #require(key?["id"] as? String)
                #expect((key?["key"] as? String)?.hasPrefix("iik1_\(id)_") == true)
                #expect(try await plane.client.get("/v1/keys/\(id)").text("state") == "active")
            }
            let listed = try await plane.command("key", "list", "--json")
            #expect(Set(listed.json.compactMap { $0["id"] as? String }) == Set(keys.compactMap { $0["id"] as? String }))
            let refused = try await plane.command(
                "key", "create", "--owner", "a", "--not-before", "2100-01-01T00:00:00Z", "--expires-in", "1d",
                "--count",
                "2000", "--json")
            #expect(refused.status == 2 && refused.output.isEmpty && !refused.errors.contains("are made"))
        }
    }

    @Test func `a new key is printed once, with a reminder on standard error`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await plane.command("key", "create", "--owner", "acme", "--name", "ci")
            #expect(outcome.status == 0)
            #expect(outcome.lines.count == 5)
            #expect(outcome.output.contains("iik1_"))
            #expect(outcome.errors == "Store the key now: it is not shown again.\n")
            let list = try await plane.command("key", "list")
            #expect(!list.output.contains("iik1_"))
            #expect(list.lines.first?.hasPrefix("ID           STATE   OWNER") == true)
            #expect(list.lines.count == 2)
        }
    }

    @Test func `a key is shown, edited and listed by owner`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let id = try await plane.makeKey(owner: "acme").id
            _ = try await plane.makeKey(owner: "other")
            #expect(try await plane.command("key", "show", id).output.contains("owner      acme"))
            let edited = try await plane.command("key", "edit", id, "--name", "new", "--expires-at", "4102444800")
            #expect(edited.status == 0)
            #expect(edited.output.contains("expires    2100-01-01T00:00:00Z"))
            let listed = try await plane.command("key", "list", "--owner", "acme", "--json")
            #expect(listed.json.compactMap { $0["name"] as? String } == ["new"])
        }
    }

    @Test func `keys and clients are described`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let created = try await plane.command(
                "key", "create", "--owner", "acme", "--description", "Ask Ann", "--json")
            let id = try #require(created.json.first?["id"] as? String)
            #expect(try await plane.command("key", "show", id).output.contains("description  Ask Ann\n"))
            let edited = try await plane.command("key", "edit", id, "--description", "Ask Bob", "--json")
            #expect(edited.json.first?["description"] as? String == "Ask Bob")
            #expect(try await plane.command("key", "export").json.first?["description"] as? String == "Ask Bob")
            let removed = try await plane.command("key", "edit", id, "--no-description", "--json")
            #expect(removed.json.first?["description"] is NSNull)
            let both = try await plane.command("key", "edit", id, "--no-description", "--description", "x")
            #expect(both.status == 2)
            let client = try await plane.command("client", "create", "--name", "app", "--description", "The app")
            #expect(client.output.contains("description  The app\n"))
        }
    }

    @Test func `a list longer than a page is complete`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            for _ in 0..<2 { _ = try await plane.client.post("/v1/keys", #"{"owner": "acme", "count": 1000}"#) }
            _ = try await plane.makeKey()
            let listed = try await plane.command("key", "list", "--json")
            #expect(Set(listed.json.compactMap { $0["id"] as? String }).count == 2_001)
            #expect(try await plane.command("key", "list").lines.count == 2_002)
        }
    }

    @Test func `a scan names the credentials of this store in a text, and never prints them`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let alive = try await plane.makeKey()
            let dead = try await plane.makeKey()
            _ = try await plane.command("key", "revoke", dead.id)
            let text = "a = \(dead.key)\nb = \"\(alive.key)\" # \(alive.key)\n"
            let outcome = try await plane.command("key", "scan", input: text)
            #expect(outcome.status == 1)
            #expect(outcome.lines.count == 3)
            #expect(outcome.lines[1].hasPrefix("1     \(dead.id)  api_key  revoked"))
            #expect(outcome.lines[2].hasPrefix("2     \(alive.id)  api_key  ACTIVE"))
            #expect(outcome.errors == "2 credentials found, 1 of them active.\n")
            for key in [alive.key, dead.key] { #expect(!outcome.output.contains(key)) }
            let json = try await plane.command("key", "scan", "--json", input: text)
            #expect(json.json.map { $0["active"] as? Bool } == [false, true])
            // No gateway accepts these from here, but a leak of them matters too.
            let client = try await plane.client.post("/v1/clients", #"{"name": "n"}"#)
            let limited = try await plane.client.post("/v1/keys", #"{"owner": "a", "network": ["10.0.0.0/8"]}"#)
            let secrets = [client.text("client_secret"), limited.items.first?["key"] as? String].compactMap(\.self)
            let others = try await plane.command("key", "scan", "--json", input: secrets.joined(separator: "\n"))
            #expect(others.status == 1 && others.json.map { $0["active"] as? Bool } == [true, true])
            #expect(others.json.compactMap { $0["kind"] as? String } == ["client_secret", "api_key"])
            let clean = try await plane.command("key", "scan", input: "nothing here")
            #expect(clean.status == 0 && clean.output.isEmpty)
        }
    }

    @Test func `an unknown key is not found`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await plane.command("key", "show", "00000000001")
            #expect(outcome.status == 1)
            #expect(outcome.output.isEmpty)
            #expect(outcome.errors == "Error: There is no such credential.\n")
        }
    }

    @Test func `a key is rotated and the chain revoked`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let old = try await plane.makeKey().id
            let rotated = try await plane.command("key", "rotate", old, "--overlap", "1h", "--json")
            let successor = try #require(rotated.json.first?["id"] as? String)
            #expect(rotated.json.first?["predecessor"] as? String == old)
            let alone = try await plane.command("key", "revoke", old)
            #expect(alone.status == 0)
            #expect(alone.output == "\(old)  revoked\n")
            #expect(alone.errors.contains(successor))
            let chain = try await plane.command("key", "revoke", successor, "00000000001", "--chain")
            #expect(chain.status == 1)
            #expect(chain.lines == ["\(successor)  revoked", "00000000001  unknown"])
        }
    }

    @Test func `a chain that breaks off is ended as far as it goes, and says where, with exit code 1`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let (store, gone) = (plane.issuer.store, CredentialID.random())
            let (old, damaged) = (try await plane.makeKey().id, try await plane.makeKey().id)
            try await store.tamper { writer, transaction in
                let id = try #require(CredentialID(old))
                let row = try #require(try writer.credential(id, in: transaction))
                var linked = row
                linked.successor = gone
                try writer.replace(row, by: linked, event: .edited, in: transaction)
                let number = try #require(CredentialID(damaged)).rawValue
                let bytes: [UInt8] = [1, 2, 3]
                _ = try transaction.put(store.schema.credentials.database, key: number, value: bytes.octets)
            }
            let outcome = try await plane.command("key", "revoke", old, damaged, "--chain")
            #expect(outcome.status == 1)
            #expect(outcome.lines == ["\(old)  revoked", "\(damaged)  revoked"])
            #expect(outcome.errors.contains(gone.description) && outcome.errors.contains(damaged))
            #expect(outcome.errors.contains("--owner"))
            let json = try await plane.command("key", "revoke", old, "--chain", "--json")
            #expect(json.status == 1 && json.json.first?["chain_broken_at"] as? [String] == [gone.description])
            #expect(try await plane.command("key", "revoke", old).status == 0)
        }
    }

    @Test func `an owner is revoked in one step`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let id = try await plane.makeKey(owner: "a/b ö").id
            let outcome = try await plane.command("key", "revoke", "--owner", "a/b ö")
            #expect(outcome.status == 0)
            #expect(outcome.output.hasPrefix("Revoked 1 api_key issued to the owner 'a/b ö' (journal number "))
            #expect(try await plane.client.get("/v1/keys/\(id)").text("state") == "revoked")
            let again = try await plane.command("key", "revoke", "--owner", "a/b ö")
            #expect(again.status == 0 && again.output.hasPrefix("Revoked nothing active"))
            for _ in 0..<2 { _ = try await plane.makeKey(owner: "acme") }
            let before = try await plane.command(
                "key", "revoke", "--owner", "acme", "--issued-before", "2026-01-01T00:00:00Z", "--json")
            #expect(before.json.first?["journal_number"] is Int)
            #expect((before.json.first?["revoked"] as? [String: Int])?.isEmpty == true)
            let all = try await plane.command("key", "revoke", "--owner", "acme", "--json")
            #expect(all.json.first?["revoked"] as? [String: Int] == ["api_key": 2])
            #expect(all.json.first?["count_complete"] as? Bool == true)
        }
    }

    @Test func `a mistyped owner is not found, and the nearest are named`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            for owner in ["acme", "umbrella", "initech"] { _ = try await plane.makeKey(owner: owner) }
            let typo = try await plane.command("key", "revoke", "--owner", "umbrela")
            #expect(typo.status == 1 && typo.output.isEmpty)
            #expect(typo.errors == "Error: Nothing was ever issued to this owner. Did you mean 'umbrella'?\n")
            let other = try await plane.command("key", "revoke", "--owner", "somebody else")
            #expect(other.status == 1 && other.errors == "Error: Nothing was ever issued to this owner.\n")
            #expect(try await plane.client.get("/v1/keys?owner=umbrella").items.first?["state"] as? String == "active")
        }
    }

    @Test func `a list whose reader closes the pipe ends without an error, and a secret that nobody reads does not`()
        async throws
    {
        try await ControlPlaneFixture.serve { plane async throws in
            _ = try await plane.client.post("/v1/keys", #"{"owner": "acme", "count": 900}"#)
            let script = #"""
                run() { { sleep "$1"; shift; "$C" "$@" --control "$S" 2>err; } | head -c 1 >/dev/null; echo "${PIPESTATUS[0]} $(cat err)"; }
                run 0 key list; run 0 key export; run 0 key list --json
                { sleep 0.3; "$C" key create --owner acme --control "$S" 2>err; } | true; echo "${PIPESTATUS[0]} $(cat err)"
                """#
            let names = "cd '\(plane.folder.path)'; C='\(CommandProcess.program.path)'; S='unix:\(plane.socketPath)'\n"
            let said = try await withCheckedThrowingContinuation { continuation in
                Thread {
                    continuation.resume(
                        with: Result { try ChildProcess.output(of: ["bash", "-c", names + script]) })
                }.start()
            }
            let lines = String(decoding: said, as: UTF8.self).split(separator: "\n")
            #expect(lines.count == 4 && lines.prefix(3).allSatisfy { $0 == "0 " }, "\(lines)")
            let last = try #require(lines.last)
            #expect(last.hasPrefix("3 Error: Nobody reads standard output"), "\(lines)")
            #expect(last.contains("End it: countersign key revoke "), "\(lines)")
        }
    }

    @Test func `revoked credentials of an owner are counted by kind, without those that had ended before`() async throws
    {
        let fixture = try Fixture()
        let (issuer, now) = (fixture.issuer, fixture.store.clock.now())
        for _ in 0..<3 { _ = try await fixture.key(owner: "acme") }
        try await fixture.plant(.accessToken, owner: "acme")
        try await fixture.plant(.apiKey, owner: "acme") { $0.record.expiresAt = now }
        try await fixture.plant(.apiKey, owner: "acme") { $0.record.flags.insert(.revoked) }
        try await fixture.plant(.apiKey, owner: "acme-west")
        // An owner with only an access token is known too.
        try await fixture.plant(.accessToken, owner: "tokens only")
        try await issuer.requireOwner("tokens only")
        await #expect(throws: IssuanceError.unknownOwner(nearest: ["acme"])) { try await issuer.requireOwner("acne") }
        let first = try await issuer.revokeOwner("acme", issuedBefore: nil)
        _ = try await fixture.key(owner: "acme")
        #expect(try await issuer.countEnded(by: first).byKind == [.apiKey: 3, .accessToken: 1])
        let second = try await issuer.revokeOwner("acme", issuedBefore: nil)
        #expect(try await issuer.countEnded(by: second).byKind == [.apiKey: 1])
        #expect(try await issuer.countEnded(by: try await issuer.revokeOwner("acme", issuedBefore: nil)).total == 0)
        let client = try await fixture.client()
        let ended = try await issuer.countEnded(by: try await issuer.revokeClient(client.summary.clientID))
        #expect(ended.byKind == [.clientSecret: 1] && ended.isComplete)
    }

    @Test func `a key that could not be printed is a failure`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let arguments = ["key", "create", "--owner", "acme", "--control", "unix:\(plane.socketPath)"]
            let outcome = try await CommandProcess.run(arguments, in: plane.folder, writingTo: "/dev/full")
            #expect(outcome.status == 3)
            let id = try #require(try await plane.client.get("/v1/keys").items.first?["id"] as? String)
            #expect(
                outcome.errors == """
                    Error: The result cannot be written to standard output. The key \(id) is made, and its secret is lost. \
                    End it: countersign key revoke \(id)

                    """)
        }
    }

    @Test(arguments: [[], ["--json"]])
    func `when a new secret cannot be printed, the error names the credential and how to revoke it`(json: [String])
        async throws
    {
        try await ControlPlaneFixture.serve { plane async throws in
            func run(_ arguments: [String]) async throws -> CommandProcess.Outcome {
                try await CommandProcess.run(
                    arguments + json + ["--control", "unix:\(plane.socketPath)"], in: plane.folder,
                    writingTo: "/dev/full")
            }
            let old = try await plane.makeKey().id
            let rotated = try await run(["key", "rotate", old, "--overlap", "0"])
            let successor = try #require(try await plane.client.get("/v1/keys/\(old)").text("successor"))
            #expect(rotated.status == 3 && rotated.errors.contains("countersign key revoke \(successor)"))
            #expect(rotated.errors.contains("The old key \(old)"))

            let several = try await run(["key", "create", "--owner", "many", "--count", "3"])
            let ids = try await plane.client.get("/v1/keys?owner=many").items.compactMap { $0["id"] as? String }
            #expect(several.status == 3 && several.errors.contains("3 keys are made"))
            #expect(ids.count == 3 && ids.allSatisfy { several.errors.contains($0) })

            let created = try await run(["client", "create", "--name", "n"])
            let client = try #require(try await plane.client.get("/v1/clients").items.first?["client_id"] as? String)
            let renewed = try await run(["client", "rotate", client])
            for outcome in [created, renewed] {
                #expect(outcome.status == 3 && outcome.errors.contains("countersign client revoke \(client)"))
                #expect(outcome.errors.contains("countersign client rotate \(client) --overlap 0"))
            }

            let holder = try await plane.makeClient()
            let issued = try await run(["token", "issue", "--client", holder])
            let token = try #require(try await plane.client.get("/v1/tokens").items.first?["id"] as? String)
            #expect(issued.status == 3 && issued.errors.contains("countersign token revoke \(token)"))
            for outcome in [rotated, several, created, renewed, issued] {
                #expect(!outcome.errors.contains("Store the") && !outcome.errors.contains("1_"))
            }
        }
    }
}
