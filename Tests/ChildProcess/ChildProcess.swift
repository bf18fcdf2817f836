import CChildProcess
import Foundation

/// A program that a test runs.
///
/// Not Foundation's `Process`: when it looks for open files, it copies more of a directory entry than there is (Swift 6.3), and
/// a test process with many files ends in a segmentation fault now and then.
public struct ChildProcess: Sendable {
    public let pid: Int32

    public struct Failure: Error {
        let code: Int32
    }

    /// Starts a program by its path. It gets these three files and no other.
    public init(
        _ path: String, _ arguments: [String], directory: String? = nil, input: FileHandle, output: FileHandle,
        errors: FileHandle = .standardError
    ) throws {
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: Int32 = 0
        // A handle closes its file when it goes, which must not be before the child has it.
        let code = withExtendedLifetime((input, output, errors)) {
            cs_spawn(&pid, path, &words, directory, input.fileDescriptor, output.fileDescriptor, errors.fileDescriptor)
        }
        guard code == 0 else { throw Failure(code: code) }
        self.pid = pid
    }

    /// Waits for its end. Call it once.
    /// - Returns: the exit code, or 128 and the number of the signal.
    @discardableResult
    public func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) == -1, errno == EINTR {}
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
    }

    /// Runs a program of the search path, gives it some bytes and returns what it says.
    public static func output(of arguments: [String], input: [UInt8] = []) throws -> [UInt8] {
        let (given, taken) = (Pipe(), Pipe())
        let child = try ChildProcess(
            "/usr/bin/env", arguments, input: given.fileHandleForReading, output: taken.fileHandleForWriting)
        try given.fileHandleForReading.close()
        try taken.fileHandleForWriting.close()
        try given.fileHandleForWriting.write(contentsOf: Data(input))
        try given.fileHandleForWriting.close()
        let answer = try taken.fileHandleForReading.readToEnd() ?? Data()
        child.wait()
        return Array(answer)
    }
}
