import ArgumentParser

struct StoreBackup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Write a compacted copy of the running store.",
        discussion: """
            The copy holds tags and no secrets; it is worthless without the pepper file, which is backed up apart from
            it. A file that exists is not overwritten.

            Example:
              countersign store backup /backup/countersign-2026-11-23.mdb
            """)

    @Argument(
        help: ArgumentHelp("File to write, or '-' for standard output.", valueName: "file"),
        transform: PathText.argument)
    var file: String

    @OptionGroup var control: ControlOptions

    func run() async throws {
        var destination = try BackupDestination(file)
        try await control.withConnection { connection in
            var progress = ProgressBar("backup")
            do {
                try await connection.download(.POST, "/v1/store/backup") { piece, byteCount in
                    try destination.write(piece)
                    progress.update(done: destination.bytesWritten, of: byteCount)
                }
            } catch {
                progress.finish()
                destination.abandon()
                throw error
            }
            progress.finish()
            try destination.finish()
        }
        Console.error("Wrote \(destination.bytesWritten) bytes.")
    }
}
