internal import CMachine
internal import Glibc

/// Runs this program again in a second process, for work that may crash.
///
/// On damaged pages LMDB fails an assertion or reads beyond the end of its map. Neither can be caught, so a store that
/// may be damaged is inspected in a process whose loss does no harm.
public enum SecondProcess {
    /// How the process ended, and its output.
    public struct Outcome: Sendable {
        public enum End: Equatable, Sendable {
            case exited(Int32)
            /// The number of the signal.
            case signalled(Int32)
        }

        public let end: End
        public let output: [UInt8]
        public let errors: [UInt8]
    }

    /// Bytes kept of each of the two outputs.
    private static let outputBytesMax = 16 << 20
    private static let pollMilliseconds: Int32 = 50

    /// Runs the program without input and waits until it ends.
    /// - Parameters:
    ///   - arguments: the program name to show, then the arguments.
    ///   - environment: its whole environment.
    ///   - isWanted: polled regularly; false kills the process.
    /// - Throws: the system's error when it does not start.
    @available(*, noasync)
    public static func run(
        _ arguments: [String], environment: [String: String], isWanted: () -> Bool = { true }
    ) throws(LMDBError) -> Outcome {
        let (output, outputEnd) = try FileDescriptor.pipe()
        let (errors, errorsEnd) = try FileDescriptor.pipe()
        guard let nothing = FileDescriptor.open("/dev/null", O_RDONLY) else { throw LMDBError(code: errno) }
        let pid = try start(arguments, environment, nothing.number, outputEnd.number, errorsEnd.number)
        outputEnd.close()
        errorsEnd.close()
        let (written, errorOutput) = collect(output, errors, pid, isWanted)
        var status: Int32 = 0
        // SAFETY: `status` is a local out-parameter; the child was started by this function.
        while unsafe waitpid(pid, &status, 0) == -1, errno == EINTR {}
        let end: Outcome.End = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F)
        return Outcome(end: end, output: written, errors: errorOutput)
    }

    private static func start(
        _ arguments: [String], _ environment: [String: String], _ input: Int32, _ output: Int32, _ errors: Int32
    ) throws(LMDBError) -> pid_t {
        func strings(_ texts: [String]) -> [CChar] { texts.flatMap { $0.utf8CString } }
        let words = strings(arguments)
        let settings = strings(environment.map { "\($0.key)=\($0.value)" })
        var pid: pid_t = 0
        // SAFETY: both lists end with a zero byte and are valid during the call, which copies them; `pid` is local.
        let code = unsafe cs_run_again(
            &pid, words, words.count, settings, settings.count, input, output, errors)
        guard code == 0 else { throw LMDBError(code: code) }
        return pid
    }

    private static func collect(
        _ output: FileDescriptor, _ errors: FileDescriptor, _ pid: pid_t, _ isWanted: () -> Bool
    ) -> ([UInt8], [UInt8]) {
        var written: [UInt8] = []
        var errorOutput: [UInt8] = []
        var open = [output.number, errors.number]
        while !open.isEmpty {
            if !isWanted() { kill(pid, SIGKILL) }
            var polled = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            // SAFETY: the array is valid and of that length during the call.
            let ready = unsafe poll(&polled, nfds_t(polled.count), pollMilliseconds)
            guard ready > 0 else { continue }
            for file in polled where file.revents != 0 {
                let isOutput = file.fd == output.number
                let isOpen = isOutput ? read(file.fd, &written) : read(file.fd, &errorOutput)
                if !isOpen { open.removeAll { $0 == file.fd } }
            }
        }
        return (written, errorOutput)
    }

    /// False at the end.
    private static func read(_ file: Int32, _ bytes: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        // SAFETY: the buffer is valid and of that length during the call.
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
        guard count > 0 else { return count < 0 && errno == EINTR }
        if bytes.count < outputBytesMax { bytes += buffer[..<count] }
        return true
    }
}
