import ChildProcess
import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

@Suite struct `store check` {
    private static let pageBytes = 4_096

    private struct Stage {
        let fixture: Fixture
        let folder: URL

        /// A closed store with its pepper file where commands look for it.
        init() async throws {
            fixture = try Fixture()
            _ = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", count: 500))
            fixture.close()
            try FileManager.default.copyItem(atPath: fixture.pepperPath, toPath: fixture.directory + ".pepper")
            folder = URL(fileURLWithPath: fixture.folder.path)
            fixture.store.noteTampering()
        }

        var file: URL { URL(fileURLWithPath: fixture.directory + "/data.mdb") }

        func check(_ arguments: String...) async throws -> CommandProcess.Outcome {
            try await CommandProcess.run(
                ["store", "check", "--store", fixture.directory] + arguments, in: folder)
        }
    }

    /// Inverts the flags of each page, so that no page has the kind that its parent expects.
    private static func damage(_ whole: Data) -> Data {
        var damaged = whole
        for page in stride(from: 2 * pageBytes, to: damaged.count, by: pageBytes) {
            damaged[page + 10] ^= 0xFF
            damaged[page + 11] ^= 0xFF
        }
        return damaged
    }

    @Test func `of damaged pages ends with exit code 3 and a sentence, and without a crash report`() async throws {
        let stage = try await Stage()
        #expect(try await stage.check().output == "The store is sound.\n")
        let whole = try Data(contentsOf: stage.file)
        try Self.damage(whole).write(to: stage.file)
        for outcome in [try await stage.check(), try await stage.check("--json")] {
            #expect(outcome.status == 3)
            #expect((outcome.output + outcome.errors).contains("damaged"), "\(outcome)")
            #expect(!(outcome.output + outcome.errors).contains("rashed"), "\(outcome)")
            #expect((outcome.output + outcome.errors).utf8.count < 1_000)
        }
        try whole.write(to: stage.file)
        #expect(try await stage.check().status == 0)
    }

    @Test func `of a truncated file ends with exit code 3 and says so`() async throws {
        let stage = try await Stage()
        let whole = try Data(contentsOf: stage.file)
        for bytes in [whole.count / 2, 2 * Self.pageBytes] {
            try whole.prefix(bytes).write(to: stage.file)
            let outcome = try await stage.check()
            #expect(outcome.status == 3)
            #expect(outcome.output.contains("data.mdb is truncated"), "\(outcome)")
        }
    }

    /// With the program itself as the daemon.
    @Test func `of a damaged store does not end the daemon that serves it`() async throws {
        let stage = try await Stage()
        let log = stage.folder.appendingPathComponent("log")
        try Data().write(to: log)
        let daemon = try ChildProcess(
            CommandProcess.program.path,
            [
                "serve", "--store", stage.fixture.directory, "--listen", "unix:\(stage.folder.path)/data.sock",
                "--threads",
                "1",
            ], directory: stage.folder.path, input: FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/null")),
            output: FileHandle(forWritingTo: log), errors: FileHandle(forWritingTo: log))
        defer {
            kill(daemon.pid, SIGKILL)
            daemon.wait()
        }
        func isReady() throws -> Bool { try String(contentsOf: log, encoding: .utf8).contains("\"ready\"") }
        var tries = 0
        while try !isReady(), tries < 1_000 {
            try await Task.sleep(for: .milliseconds(20))
            tries += 1
        }
        #expect(try isReady())
        #expect(try await stage.check().output == "The store is sound.\n")
        // Written in place, so that the daemon's map shows it.
        let whole = try Data(contentsOf: stage.file)
        let file = try FileHandle(forWritingTo: stage.file)
        try file.write(contentsOf: Self.damage(whole))
        let outcome = try await stage.check()
        #expect(outcome.status == 3)
        #expect(outcome.output.contains("damaged") || outcome.errors.contains("damaged"), "\(outcome)")
        try file.seek(toOffset: 0)
        try file.write(contentsOf: whole)
        try file.close()
        #expect(try await stage.check().status == 0)
        #expect(kill(daemon.pid, 0) == 0)
    }
}
