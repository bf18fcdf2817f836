import ChildProcess
import ControlPlane
import ControlPlaneFixture
import Foundation
import Testing

@Suite struct OtherVerbTests {
    @Test func `a client is created, shown, listed, rotated and revoked`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let created = try await plane.command(
                "client", "create", "--name", "gateway", "--grant", "client_credentials", "--may", "introspect",
                "--json")
            let id = try #require(created.json.first?["client_id"] as? String)
            let secret = try #require(created.json.first?["client_secret"] as? String)
            let shown = try await plane.command("client", "show", id)
            #expect(shown.output.contains("may"))
            #expect(!shown.output.contains(secret))
            #expect(try await plane.command("client", "list").output.contains("gateway"))
            let rotated = try await plane.command("client", "rotate", id, "--overlap", "0")
            #expect(rotated.output.contains("iic1_"))
            #expect(rotated.errors == "Store the secret now: it is not shown again.\n")
            #expect(try await plane.command("client", "revoke", id).status == 0)
            #expect(try await plane.command("client", "show", "nobody").status == 1)
        }
    }

    @Test func `a token is issued and revoked`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let clientID = try await plane.makeClient()
            let issued = try await plane.command(
                "token", "issue", "--client", clientID, "--subject", "alice", "--scope", "a:read", "--json")
            let id = try #require(issued.json.first?["id"] as? String)
            #expect((issued.json.first?["access_token"] as? String)?.hasPrefix("iib1_") == true)
            #expect(try await plane.command("token", "revoke", id).output == "\(id)  revoked\n")
            let all = try await plane.command("key", "revoke", "--client", clientID)
            #expect(all.status == 0)
        }
    }

    @Test func `verify explains one credential from standard input`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let made = try await plane.makeKey()
            let good = try await plane.command("verify", input: made.key + "\n")
            #expect(good.status == 0)
            #expect(good.output.hasPrefix("verdict    active\nreason     valid\nid         \(made.id)\n"))
            let scoped = try await plane.command("verify", "--scope", "a:write", "--json", input: made.key)
            #expect(scoped.status == 1)
            #expect(scoped.json.first?["reason"] as? String == "insufficient_scope")
            #expect(try await plane.command("verify", input: "nonsense").status == 1)
            #expect(try await plane.command("verify", input: "").status == 2)
            #expect(try await plane.command("verify", input: "\(made.key)\n\(made.key)\n").status == 2)
            for outcome in [good, scoped] { #expect(!(outcome.output + outcome.errors).contains(made.key)) }
        }
    }

    @Test func `verify checks network limits, and reports no client secret as valid`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let limited = try await plane.client.post("/v1/keys", #"{"owner": "a", "network": ["10.0.0.0/8"]}"#)
            let key = try #require(limited.items.first?["key"] as? String)
            let inside = try await plane.command("verify", "--client-ip", "10.1.2.3", input: key)
            #expect(inside.status == 0 && inside.lines[1] == "reason     valid")
            let outside = try await plane.command("verify", "--client-ip", "192.0.2.7", input: key)
            #expect(outside.status == 1 && outside.output.contains("and this is none of them"))
            let unknown = try await plane.command("verify", input: key)
            #expect(
                unknown.status == 1 && unknown.output.contains("wrong network: ")
                    && unknown.output.contains("--client-ip"))
            #expect(try await plane.command("verify", "--client-ip", "ten", input: key).status == 2)
            let client = try await plane.client.post("/v1/clients", #"{"name": "n"}"#)
            let secret = try await plane.command("verify", input: try #require(client.text("client_secret")))
            #expect(secret.status == 1 && secret.output.contains("unknown: it is of a kind that is not for callers"))
            #expect(secret.output.contains("client_secret"))
        }
    }

    @Test func `a refusal names the option, and not the member of the request`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await plane.command("key", "create", "--owner", "a", "--expires-in", "0")
            #expect(outcome.status == 2 && outcome.errors.contains("'--expires-in'"), "\(outcome.errors)")
            #expect(!outcome.errors.contains("expires_in"))
        }
    }

    @Test func `a backup into a closed pipe is not reported as a full disk`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let script = #"""
                { sleep 0.3; "$0" store backup - --control "$1" 2>err; echo "$?" >status; } | true; cat status err
                """#
            let folder = plane.folder.path
            let said = try await withCheckedThrowingContinuation { continuation in
                Thread {
                    continuation.resume(
                        with: Result {
                            try ChildProcess.output(of: [
                                "bash", "-c", "cd '\(folder)'; \(script)", CommandProcess.program.path,
                                "unix:\(plane.socketPath)",
                            ])
                        })
                }.start()
            }
            let text = String(decoding: said, as: UTF8.self)
            #expect(text.hasPrefix("3\nError: Nobody reads standard output any more."), "\(text)")
        }
    }

    @Test func `a credential given as an argument is refused and not repeated`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let key = try await plane.makeKey().key
            for arguments in [
                ["verify", key], ["key", "show", key], ["key", "revoke", key], ["token", "revoke", key],
            ] {
                let outcome = try await CommandProcess.run(arguments, in: plane.folder)
                #expect(outcome.status == 2)
                #expect(!(outcome.output + outcome.errors).contains(key.suffix(40)))
            }
        }
    }

    @Test func `a backup goes to a file of its owner and overwrites nothing`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let file = plane.folder.appendingPathComponent("copy.mdb")
            let outcome = try await plane.command("store", "backup", file.path)
            #expect(outcome.status == 0)
            let attributes = try FileManager.default.attributesOfItem(atPath: file.path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            #expect(outcome.errors == "Wrote \(try Data(contentsOf: file).count) bytes.\n")
            let again = try await plane.command("store", "backup", file.path)
            #expect(again.status == 3)
            #expect(again.errors.contains("exists already"))
            let piped = try await plane.command("store", "backup", "-")
            #expect(piped.status == 0 && !piped.output.isEmpty)
            #expect(try await plane.command("store", "backup", "/nowhere/copy").status == 3)
            let left = try FileManager.default.contentsOfDirectory(atPath: plane.folder.path)
            #expect(Set(left) == ["control.sock", "copy.mdb"])
        }
    }

    @Test func `store, peppers and health are reported`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            #expect(try await plane.command("store", "check").output == "The store is sound.\n")
            #expect(try await plane.command("store", "stats").status == 0)
            let added = try await plane.command("pepper", "add", "--json")
            let number = try #require(added.json.first?["number"] as? Int)
            let listed = try await plane.command("pepper", "list")
            #expect(listed.lines.first == "NUMBER  NEWEST  CREDENTIALS")
            #expect(try await plane.command("pepper", "retire", String(number)).status == 3)
            #expect(try await plane.command("pepper", "retire", "1").status == 0)
            #expect(try await plane.command("health").output == "ready\n")
        }
    }

    @Test func `a node that is not ready is not healthy, and says why`() async throws {
        try await ControlPlaneFixture.serve(readiness: { .notReady(reason: "The store is full.") }) {
            plane async throws in
            let outcome = try await plane.command("health")
            #expect(outcome.status == 3)
            #expect(outcome.errors == "Error: The store is full.\n")
        }
    }
}
