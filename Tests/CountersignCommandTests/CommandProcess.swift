import ChildProcess
import ControlPlaneFixture
import Foundation
import Testing

/// Runs the built program as its own process, as a shell does.
struct CommandProcess {
    struct Outcome: Sendable {
        let status: Int32
        let output: String
        let errors: String

        var lines: [String] { output.split(separator: "\n").map(String.init) }

        /// Each line of the output as a JSON object.
        var json: [[String: Any]] {
            lines.compactMap { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any] }
        }
    }

    /// The program that was built beside the tests.
    static var program: URL {
        let tests = URL(fileURLWithPath: CommandLine.arguments.first ?? "").deletingLastPathComponent()
        let besides = [tests, tests.deletingLastPathComponent(), URL(fileURLWithPath: ".build/debug")]
        let programs = besides.map { $0.appendingPathComponent("countersign") }
        return programs.first { FileManager.default.isExecutableFile(atPath: $0.path) } ?? programs[2]
    }

    /// Starts the program without waiting for its end. Standard error goes to the file `log`.
    static func start(_ arguments: [String], in folder: URL, log: String) throws -> ChildProcess {
        for file in [log, log + ".out"] { try Data().write(to: URL(fileURLWithPath: file)) }
        return try ChildProcess(
            program.path, arguments, directory: folder.path,
            input: FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/null")),
            output: FileHandle(forWritingTo: URL(fileURLWithPath: log + ".out")),
            errors: FileHandle(forWritingTo: URL(fileURLWithPath: log)))
    }

    /// - Parameter log: the folder of the store's log, for a command that opens the store itself.
    static func run(
        _ arguments: [String], input: String = "", in folder: URL, writingTo output: String? = nil, log: String? = nil
    ) async throws -> Outcome {
        let name = UUID().uuidString
        let files = ["in", "out", "err"].map { folder.appendingPathComponent("\(name).\($0)") }
        try Data(input.utf8).write(to: files[0])
        for file in files.dropFirst() { try Data().write(to: file) }
        let command = [program.path] + arguments
        let words = log.map { ["/usr/bin/env", "COUNTERSIGN_STORE_LOG=\($0)"] + command } ?? command
        let child = try ChildProcess(
            words[0], Array(words.dropFirst()), directory: folder.path, input: FileHandle(forReadingFrom: files[0]),
            output: FileHandle(forWritingTo: output.map { URL(fileURLWithPath: $0) } ?? files[1]),
            errors: FileHandle(forWritingTo: files[2]))
        // The control plane runs in this process, so waiting must not block one of its few threads.
        let status: Int32 = await withCheckedContinuation { continuation in
            Thread { continuation.resume(returning: child.wait()) }.start()
        }
        let texts = try files.map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
        for file in files { try FileManager.default.removeItem(at: file) }
        return Outcome(status: status, output: texts[1], errors: texts[2])
    }
}

extension ControlPlaneFixture {
    /// Runs the program against this control plane.
    func command(_ arguments: String..., input: String = "") async throws -> CommandProcess.Outcome {
        try await CommandProcess.run(arguments + ["--control", "unix:\(socketPath)"], input: input, in: folder)
    }
}
