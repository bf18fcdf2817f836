import ChildProcess
import ControlPlaneFixture
import CredentialStore
import Foundation
import Testing

/// A shell passes the bytes that are not UTF-8, since Swift's strings cannot hold them.
@Suite struct `Text that is not UTF-8` {
    private func shell(_ script: String, _ plane: ControlPlaneFixture) throws -> String {
        let script =
            "cd '\(plane.folder.path)'; C='\(CommandProcess.program.path)'; S=unix:'\(plane.socketPath)'\n\(script)"
        return String(decoding: try ChildProcess.output(of: ["sh", "-c", script]), as: UTF8.self)
    }

    @Test func `is refused in arguments, environment, files and standard input, and creates nothing`()
        async throws
    {
        try await ControlPlaneFixture.serve { plane async throws in
            // The control plane runs in this process: a thread of its own waits for the shell.
            let said = try await withCheckedThrowingContinuation { continuation in
                Thread {
                    continuation.resume(
                        with: Result {
                            try shell(
                                #"""
                                exec 2>&1
                                bad=$(printf 'acm\377')
                                "$C" key create --control "$S" --owner "$bad"; echo "argument $?"
                                COUNTERSIGN_STORE="$bad" "$C" key list --control "$S"; echo "environment $?"
                                printf 'ii\377' | "$C" verify --control "$S"; echo "input $?"
                                printf '{"key":"live_8fK2pQ9sVx3LmN7t","owner":"acm\377"}\n' |
                                    "$C" key import --control "$S" -; echo "import $?"
                                printf 'store: "s\377"\n' > c.yaml; "$C" config check --config c.yaml; echo "settings $?"
                                printf '"p\377":\n  scope: a\n' > p.yaml; "$C" config check --policies p.yaml; echo "policies $?"
                                """#, plane)
                        })
                }.start()
            }
            for line in [
                "argument 2", "environment 2", "input 2", "import 3", "settings 2", "policies 2",
                "Argument 6 is not well-formed UTF-8", "COUNTERSIGN_STORE is not well-formed UTF-8",
            ] { #expect(said.contains(line), "\(line): \(said)") }
            #expect(said.components(separatedBy: "not well-formed UTF-8").count == 7, "\(said)")
            #expect(try await plane.client.get("/v1/keys").items.isEmpty)
        }
    }

    @Test func `is refused in a list of revocations, with its line`() throws {
        let head = Array("countersign-revocations 1\nstore ii 7\n".utf8)
        let end = Array("end 1 9\n".utf8)
        for owner in [[0x61, 0xFF], Array("a%FF".utf8)] as [[UInt8]] {
            let line = Array("owner ".utf8) + owner + Array(" 5 0\n".utf8)
            #expect(throws: RevocationListError.line(3)) { try RevocationList(parsing: head + line + end) }
        }
    }
}
