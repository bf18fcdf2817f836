import AdministrationAPI
import ArgumentParser
import Foundation

struct KeyImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take over keys that were made elsewhere.",
        discussion: """
            The file holds one JSON object a line; '-' reads standard input. Members: key and owner, and if wanted name,
            scope, aud, network, expires_in (seconds) and nbf (Unix seconds).

            Examples:
              echo '{"key": "live_8fK2pQ9sVx3LmN7t", "owner": "acme"}' > keys.jsonl
              countersign key import keys.jsonl
            """)

    @Argument(help: ArgumentHelp("File of JSON lines, or '-'.", valueName: "file"))
    var file: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let isStandardInput = file == "-"
        guard let input = isStandardInput ? FileHandle.standardInput : FileHandle(forReadingAtPath: file) else {
            throw CommandFailure("The file '\(file)' cannot be read.")
        }
        let attributes = isStandardInput ? nil : try? FileManager.default.attributesOfItem(atPath: file)
        let byteCount = (attributes?[.size] as? NSNumber)?.intValue
        try await control.withConnection { connection in
            var job = ImportJob(connection: connection, json: output.json, byteCount: byteCount)
            try await job.run(LineReader(input))
            if !output.json { try Console.line("imported \(job.importedCount), refused \(job.refusedCount)") }
            if job.refusedCount > 0 { throw CommandStatus.failed }
        }
    }
}
