import Foundation
import NIOCore

/// Where a backup is written: standard output, or a file that appears only when it is whole.
///
/// The bytes go into a file of mode 0600 in a new folder beside the destination that only this user can enter. At the
/// end they are forced to the disk and the file is renamed, which does not overwrite.
struct BackupDestination {
    private let path: String?
    private let folder: String
    private let handle: FileHandle
    private(set) var bytesWritten = 0

    init(_ file: String) throws {
        guard file != "-" else {
            guard !Console.outputIsTerminal else {
                throw CommandFailure("Standard output is a terminal: name a file.", status: .usage)
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
            throw CommandFailure("'\(file)' cannot be written: is its folder there, and is it yours?")
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
            throw CommandFailure("\(OutputClosed.sentence) What it was given is not whole.")
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("The copy cannot be written: is the disk full?")
        }
    }

    func finish() throws {
        guard let path else { return }
        defer { abandon() }
        do {
            try handle.synchronize()
            try handle.close()
            try FileManager.default.moveItem(atPath: folder + "/copy", toPath: path)
        } catch {
            throw CommandFailure("'\(path)' cannot be written: it may exist by now, or the disk is full.")
        }
    }

    /// Removes what was written so far.
    func abandon() {
        if path != nil { try? FileManager.default.removeItem(atPath: folder) }
    }
}
