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

    /// Beside the test program.
    static var program: URL {
        let tests = URL(fileURLWithPath: CommandLine.arguments.first ?? "").deletingLastPathComponent()
        let besides = [tests, tests.deletingLastPathComponent(), URL(fileURLWithPath: ".build/debug")]
        let programs = besides.map { $0.appendingPathComponent("countersign") }
        return programs.first { FileManager.default.isExecutableFile(atPath: $0.path) } ?? programs[2]
    }

    /// Starts it without waiting; what it says to standard error goes to a file.
    static func start(_ arguments: [String], in folder: URL, log: String) throws -> ChildProcess {
        for file in [log, log + ".out"] { try Data().write(to: URL(fileURLWithPath: file)) }
        return try ChildProcess(
            program.path, arguments, directory: folder.path,
            input: FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/null")),
            output: FileHandle(forWritingTo: URL(fileURLWithPath: log + ".out")),
            errors: FileHandle(forWritingTo: URL(fileURLWithPath: log)))
    }

    static func run(
        _ arguments: [String], input: String = "", in folder: URL, writingTo output: String? = nil
    ) async throws -> Outcome {
        let name = UUID().uuidString
        let files = ["in", "out", "err"].map { folder.appendingPathComponent("\(name).\($0)") }
        try Data(input.utf8).write(to: files[0])
        for file in files.dropFirst() { try Data().write(to: file) }
        let child = try ChildProcess(
            program.path, arguments, directory: folder.path, input: FileHandle(forReadingFrom: files[0]),
            output: FileHandle(forWritingTo: output.map { URL(fileURLWithPath: $0) } ?? files[1]),
            errors: FileHandle(forWritingTo: files[2]))
        // The control plane runs in this process: waiting must not hold one of the few threads that it runs on.
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
