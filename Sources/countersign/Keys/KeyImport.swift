import AdministrationAPI
import ArgumentParser
import Foundation
import Glibc
import Synchronization
import UnixSignals

struct KeyImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Import keys of another system.",
        discussion: """
            The file holds one JSON object a line; '-' reads standard input. Each object has an owner, and the key as one of:

              key           the key itself, 20 to 512 visible ASCII characters without commas and quotes
              sha256        its SHA-256, in hexadecimal digits, base64 or base64url
              sha512        its SHA-512
              hmac_sha256   its HMAC-SHA-256, with hmac_key_name: the line 'hmac NAME HEX' of the pepper file has the key

            Optional: name, description, scope, aud, network, expires_in (seconds) and nbf (Unix seconds).

            Run an import that broke off again from its beginning: keys that are in the store already are skipped. Exits with 0
            when every key is in the store, and with 3 when lines were refused. Ctrl-C ends it after the current batch.

            Examples:
              echo '{"key": "live_8fK2pQ9sVx3LmN7t", "owner": "acme"}' > keys.jsonl
              countersign key import keys.jsonl
              countersign key import hashes.jsonl --refused refused.jsonl
            """)

    @Argument(help: ArgumentHelp("File of JSON lines, or '-'.", valueName: "file"), transform: PathText.argument)
    var file: String

    @Option(
        help: ArgumentHelp("Write the numbers of refused lines, with reasons, to this file.", valueName: "file"),
        transform: PathText.argument)
    var refused: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let isStandardInput = file == "-"
        var isFolder: ObjCBool = false
        // SAFETY: `isFolder` is a local out-parameter.
        if !isStandardInput, unsafe FileManager.default.fileExists(atPath: file, isDirectory: &isFolder),
            isFolder.boolValue
        {
            throw CommandFailure("'\(file)' is a folder. Name a file of JSON lines.", status: .usage)
        }
        guard let input = isStandardInput ? FileHandle.standardInput : FileHandle(forReadingAtPath: file) else {
            let exists = FileManager.default.fileExists(atPath: file)
            throw CommandFailure(
                exists
                    ? "The file '\(file)' may not be read by this user. Check its permissions."
                    : "The file '\(file)' does not exist. Check the path.", status: .usage)
        }
        let interruption = Interruption()
        let watching = Task { await interruption.watch() }
        defer { watching.cancel() }
        let attributes = isStandardInput ? nil : try? FileManager.default.attributesOfItem(atPath: file)
        let byteCount = (attributes?[.size] as? NSNumber)?.intValue
        try await control.withConnection { connection in
            var job = ImportJob(
                connection: connection, json: output.json, byteCount: byteCount,
                refused: try RefusedLines(path: refused, input: input), interruption: interruption)
            try await job.run(LineReader(input))
            if !output.json {
                try Console.line(
                    "imported \(job.importedCount), already there \(job.existingCount), refused \(job.refusedCount)")
            }
            if job.refusedCount > 0 { throw CommandStatus.failed }
        }
    }
}

/// Ends a long command between two steps, where it can report what is done. Ctrl-C and SIGTERM set a flag that the command
/// checks; the second one ends the process at once.
final class Interruption: Sendable {
    struct Interrupted: Error {}

    private let isSet = Atomic<Bool>(false)

    /// - Throws: ``Interrupted`` when a signal has come.
    func check() throws {
        if isSet.load(ordering: .relaxed) { throw Interrupted() }
    }

    /// Handles signals until the task is cancelled.
    func watch() async {
        for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { interrupt() }
    }

    private func interrupt() {
        guard isSet.exchange(true, ordering: .relaxed) else {
            return Console.error("\nEnding after the current batch. Press Ctrl-C again to end at once.")
        }
        // 128 + SIGINT, as shells report a process that Ctrl-C ended.
        _exit(130)
    }
}
