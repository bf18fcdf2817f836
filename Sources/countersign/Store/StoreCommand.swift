import AdministrationAPI
import ArgumentParser
import Foundation
import NIOCore

struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "The store: check, figures, backup, restore, upgrade.",
        discussion: """
            Example:
              countersign store backup /backup/countersign.mdb
            """,
        subcommands: [
            StoreCheckCommand.self, StoreStats.self, StoreDigestCommand.self, StoreBackup.self, StoreRevocations.self,
            StoreRestore.self,
            StoreReplay.self, StoreUpgrade.self,
        ])
}

struct StoreStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Figures of the store.",
        discussion: """
            Example:
              countersign store stats --json
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            let statistics: StoreStatistics = try await connection.send(.GET, "/v1/store/statistics")
            if output.json {
                for entry in statistics.items { try Console.json(entry) }
                return
            }
            var list = FieldList()
            for entry in statistics.items { list.add(entry.name, String(entry.value)) }
            try Console.line(list.render())
        }
    }
}

struct StoreBackup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Write a compacted copy of the running store.",
        discussion: """
            The copy holds hashes and no secrets. It is worthless without the pepper file, which is backed up apart from it.
            An existing file is not overwritten.

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

struct StoreRevocations: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revocations", abstract: "Export revocations, for the restore of a backup.",
        discussion: """
            A backup lacks what was revoked after it, or set to expire earlier. Give this list to 'store restore' with \
            --revocations-from, so that none of it is accepted again. The list holds ids and owners and no secrets. Export \
            it often. Every list is complete, so only the newest is needed.

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

/// Where a backup is written: standard output, or a file that appears only when it is complete.
///
/// The bytes go to a file of mode 0600 in a new folder beside the destination that only this user can enter. At the end they are
/// flushed to the disk and the file is renamed, which does not overwrite.
private struct BackupDestination {
    private let path: String?
    private let folder: String
    private let handle: FileHandle
    private(set) var bytesWritten = 0

    init(_ file: String) throws {
        guard file != "-" else {
            guard !Console.outputIsTerminal else {
                throw CommandFailure("Standard output is a terminal. Name a file, or redirect it.", status: .usage)
            }
            path = nil
            folder = ""
            handle = .standardOutput
            return
        }
        guard !FileManager.default.fileExists(atPath: file) else {
            throw CommandFailure("'\(file)' exists already. Name another file, or remove it first.")
        }
        path = file
        folder =
            URL(fileURLWithPath: file).deletingLastPathComponent()
            .appendingPathComponent(".countersign-backup-\(UUID().uuidString)").path
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        } catch {
            throw CommandFailure("'\(file)' cannot be written. Does its folder exist, and may this user write to it?")
        }
        let copy = folder + "/copy"
        let isMade = FileManager.default.createFile(
            atPath: copy, contents: nil, attributes: [.posixPermissions: 0o600])
        guard isMade, let handle = FileHandle(forWritingAtPath: copy) else {
            throw CommandFailure("'\(file)' cannot be written.")
        }
        self.handle = handle
    }

    mutating func write(_ piece: ByteBuffer) throws {
        do {
            if path == nil {
                try Console.write(Data(piece.readableBytesView))
            } else {
                try handle.write(contentsOf: Data(piece.readableBytesView))
            }
            bytesWritten += piece.readableBytes
        } catch is OutputClosed {
            throw CommandFailure("\(OutputClosed.sentence) The copy that it was given is incomplete.")
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("The copy cannot be written. Is the disk full?")
        }
    }

    /// Makes the complete copy appear under its name.
    /// - Throws: ``CommandFailure`` when it cannot; the copy is removed then.
    func finish() throws {
        guard let path else { return }
        defer { abandon() }
        do {
            try handle.synchronize()
            try handle.close()
            try FileManager.default.moveItem(atPath: folder + "/copy", toPath: path)
        } catch {
            throw CommandFailure(
                "'\(path)' cannot be written. Perhaps another process has created it, or the disk is full.")
        }
    }

    /// Removes the incomplete copy.
    func abandon() {
        if path != nil { try? FileManager.default.removeItem(atPath: folder) }
    }
}
