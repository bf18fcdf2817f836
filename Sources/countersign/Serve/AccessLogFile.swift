import Logging
import NIOCore
import Synchronization
import SystemPackage

/// The file of the access log, or standard output.
///
/// It is opened again on SIGHUP, so that `logrotate` may rename it. A new one is its owner's only; one that is there keeps its mode.
final class AccessLogFile: Sendable {
    private struct State {
        var file: SystemPackage.FileDescriptor?
        /// A failure is logged once, until a write succeeds.
        var hasFailed = false
    }

    private let path: String?
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameter path: nil: standard output.
    /// - Throws: ``CommandFailure`` if it cannot be opened.
    init(path: String?, logger: Logger) throws(CommandFailure) {
        (self.path, self.logger) = (path, logger)
        do {
            state = Mutex(State(file: try Self.open(path)))
        } catch {
            throw CommandFailure(Self.sentence(path, error))
        }
    }

    /// Whether a file can be opened for writing, which creates it.
    static func fault(_ path: String) -> String? {
        do {
            try open(path).close()
            return nil
        } catch {
            return sentence(path, error)
        }
    }

    private static func open(_ path: String?) throws -> SystemPackage.FileDescriptor {
        guard let path else { return .standardOutput }
        return try .open(
            FilePath(path), .writeOnly, options: [.append, .create, .closeOnExec],
            permissions: .ownerReadWrite)
    }

    private static func sentence(_ path: String?, _ error: any Error) -> String {
        let reason = (error as? Errno)?.description ?? "it cannot be written"
        return "The access log '\(path ?? "standard output")' cannot be opened: \(reason)."
    }

    /// - Returns: whether the lines were written.
    func write(_ lines: ByteBuffer) -> Bool {
        state.withLock { state in
            do {
                guard let file = state.file else { return false }
                try file.writeAll(lines.readableBytesView)
                state.hasFailed = false
                return true
            } catch {
                if !state.hasFailed {
                    logger.error(
                        "lines of the access log are lost",
                        metadata: ["reason": "\((error as? Errno)?.description ?? "")"])
                }
                state.hasFailed = true
                return false
            }
        }
    }

    /// Opens the file by its path again. If that fails, the old one stays in use.
    func reopen() throws(CommandFailure) {
        guard path != nil else { return }
        do {
            let new = try Self.open(path)
            let old = state.withLock { state in
                defer { state.file = new }
                return state.file
            }
            try old?.close()
        } catch {
            throw CommandFailure(Self.sentence(path, error))
        }
    }
}
