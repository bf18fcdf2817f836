import ArgumentParser

struct StoreRevocations: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revocations", abstract: "Export what is revoked, for a backup that is to be restored.",
        discussion: """
            A backup knows nothing of what was revoked after it, or set to expire earlier. This list, given to \
            'store restore' with --revocations-from, makes up for that. It holds ids and owners and no secrets. Export \
            it often: every list holds everything that was ended, so only the newest is needed.

            Example:
              countersign store revocations /backup/revocations.txt
            """)

    @Argument(
        help: ArgumentHelp("File to write, or '-' for standard output.", valueName: "file"),
        transform: PathText.argument)
    var file: String

    @OptionGroup var control: ControlOptions

    func run() async throws {
        var destination = try BackupDestination(file)
        try await control.withConnection { connection in
            do {
                try await connection.download(.GET, "/v1/store/revocations") { piece, _ in
                    try destination.write(piece)
                }
            } catch {
                destination.abandon()
                throw error
            }
            try destination.finish()
        }
        Console.error("Wrote \(destination.bytesWritten) bytes.")
    }
}
