import Logging
import NIOCore
import Synchronization
import SystemPackage

/// The file of the access log, or standard output.
///
/// It is opened again on SIGHUP, so that `logrotate` may rename it. A new one is its owner's only; one that is there keeps its mode.
/// Whoever writes may wait for a disk or a reader, so nobody else waits for a writer: what is wanted is left for it.
final class AccessLogFile: Sendable {
    /// Used by one writer at a time.
    private struct Output {
        var file: SystemPackage.FileDescriptor
        /// A failure is logged once, until a write succeeds.
        var hasFailed = false
    }

    private let logger: Logger
    private let output: Mutex<Output>
    /// The path of the file to be opened before the next line; outer nil: nothing is wanted.
    private let wanted = Mutex<String??>(nil)

    /// - Parameter path: nil: standard output.
    /// - Throws: ``CommandFailure`` if it cannot be opened.
    init(path: String?, logger: Logger) throws(CommandFailure) {
        self.logger = logger
        output = Mutex(Output(file: try Self.open(path)))
    }

    private static func open(_ path: String?) throws(CommandFailure) -> SystemPackage.FileDescriptor {
        guard let path else { return .standardOutput }
        do {
            // Not blocking: a pipe without a reader is an error, and one whose reader is too slow loses lines.
            return try .open(
                FilePath(path), .writeOnly, options: [.append, .create, .closeOnExec, .nonBlocking],
                permissions: .ownerReadWrite)
        } catch {
            let reason = (error as? Errno)?.description ?? "it cannot be written"
            throw CommandFailure("The access log '\(path)' cannot be opened: \(reason).")
        }
    }

    /// - Returns: whether the lines were written.
    func write(_ lines: ByteBuffer) -> Bool {
        output.withLock { output in
            reopenIfWanted(&output)
            do {
                // What a failed write has left of a line ends here.
                if output.hasFailed { try output.file.writeAll([UInt8(ascii: "\n")]) }
                try output.file.writeAll(lines.readableBytesView)
                output.hasFailed = false
                return true
            } catch {
                if !output.hasFailed {
                    let reason = (error as? Errno)?.description ?? "it cannot be written"
                    logger.error("lines of the access log are lost", metadata: ["reason": .string(reason)])
                }
                output.hasFailed = true
                return false
            }
        }
    }

    /// Opens a file by its path before the next lines are written. Does not wait. If that fails, the old one stays in use.
    func reopen(at path: String?) { wanted.withLock { $0 = .some(path) } }

    private func reopenIfWanted(_ output: inout Output) {
        guard let path = wanted.withLock({ $0.take() }) else { return }
        do throws(CommandFailure) {
            let new = try Self.open(path)
            if output.file != .standardOutput { try? output.file.close() }
            output = Output(file: new)
        } catch {
            logger.error("the access log stays in its old file", metadata: ["reason": .string(error.message)])
        }
    }
}
