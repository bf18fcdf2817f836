import AdministrationAPI
import Foundation

/// Tells which lines of an import were refused and why, never with the key: on standard error, or in a file of JSON lines.
struct RefusedLines {
    private let file: FileHandle?
    private(set) var count = 0
    /// On standard error, not in a file.
    var isPrinted: Bool { file == nil }

    /// One refusal, as the file has it.
    private struct Line: Encodable {
        let line: Int
        let reason: String
    }

    /// - Parameter path: where to; nil for standard error. What the file held before is gone.
    /// - Throws: ``CommandFailure`` when it cannot be written or is what is imported from.
    init(path: String?, input: FileHandle) throws {
        guard let path else {
            file = nil
            return
        }
        // Not truncated before it is known which file that is.
        // SAFETY: the path is NUL-terminated for the length of the call.
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o644)
        guard descriptor >= 0 else { throw CommandFailure("The file '\(path)' cannot be written.") }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard let target = Self.identity(file), let source = Self.identity(input), target != source else {
            throw CommandFailure("'\(path)' is the file that is imported: name another one for what is refused.")
        }
        if target.isRegular { try file.truncate(atOffset: 0) }
        self.file = file
    }

    /// Counts a line that was told of elsewhere.
    mutating func note() { count += 1 }

    mutating func add(_ number: Int, _ reason: String) throws {
        count += 1
        guard let file else { return Console.error("line \(number): \(SafeText.visible(reason))") }
        do {
            try file.write(contentsOf: StrictJSON.encode(Line(line: number, reason: reason)) + Data("\n".utf8))
        } catch {
            throw CommandFailure("What was refused cannot be written to its file.")
        }
    }

    private struct Identity: Equatable {
        let device: UInt64
        let node: UInt64
        let isRegular: Bool
    }

    private static func identity(_ file: FileHandle) -> Identity? {
        var info = stat()
        // SAFETY: `info` is a local out-parameter.
        guard unsafe fstat(file.fileDescriptor, &info) == 0 else { return nil }
        return Identity(
            device: UInt64(info.st_dev), node: UInt64(info.st_ino), isRegular: info.st_mode & S_IFMT == S_IFREG)
    }
}
