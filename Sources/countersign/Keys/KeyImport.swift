import AdministrationAPI
import ArgumentParser
import Foundation

struct KeyImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take over keys that were made elsewhere.",
        discussion: """
            The file holds one JSON object a line; '-' reads standard input. Each has an owner, and the key in one of these:

              key           the key itself, 20 to 512 visible ASCII characters without comma and quote
              sha256        its SHA-256, in hexadecimal digits, base64 or base64url
              sha512        its SHA-512
              hmac_sha256   its HMAC-SHA-256, with hmac_key_name: the line 'hmac NAME HEX' of the pepper file has the key

            And if wanted: name, description, scope, aud, network, expires_in (seconds) and nbf (Unix seconds).

            An import that broke off is run again as it was: what is there already is passed over. Exits with 0 when every
            line is there now, and with 3 when some were refused. Ctrl-C ends it behind the batch that is under way.

            Examples:
              echo '{"key": "live_8fK2pQ9sVx3LmN7t", "owner": "acme"}' > keys.jsonl
              countersign key import keys.jsonl
              countersign key import hashes.jsonl --refused refused.jsonl
            """)

    @Argument(help: ArgumentHelp("File of JSON lines, or '-'.", valueName: "file"), transform: PathText.argument)
    var file: String

    @Option(
        help: ArgumentHelp("Write what is refused to this file, line numbers with reasons.", valueName: "file"),
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
