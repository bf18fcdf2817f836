internal import CLMDB
internal import Glibc
internal import Synchronization

/// A failure with a file that this module reads or writes.
public enum FileError: Error, Equatable, Sendable, CustomStringConvertible {
    case absent(path: String)
    case exists(path: String)
    case notRegular(path: String)
    case notADirectory(path: String)
    /// The group has write access, or others have any.
    case tooOpen(path: String, mode: UInt32)
    case tooLong(path: String, bytesMax: Int)
    case system(path: String, code: Int32)

    init(_ path: String, _ code: Int32) {
        switch code {
        case ENOENT: self = .absent(path: path)
        case EEXIST: self = .exists(path: path)
        case ENOTDIR: self = .notADirectory(path: path)
        default: self = .system(path: path, code: code)
        }
    }

    public var description: String {
        switch self {
        case .absent(let path): "\(path): no such file or folder"
        case .exists(let path): "\(path): exists already"
        case .notRegular(let path): "\(path): not a regular file"
        case .notADirectory(let path): "\(path): not a folder, or lies in something that is none"
        case .tooOpen(let path, let mode):
            "\(path): its mode is 0\(String(mode, radix: 8)), but others must have no access and the group must not "
                + "write: chmod 0400 \(path)"
        case .tooLong(let path, let bytesMax): "\(path): longer than \(bytesMax) bytes"
        case .system(let path, let code): "\(path): \(systemText(code))"
        }
    }

    /// The corresponding ``LMDBError``.
    public var asLMDBError: LMDBError {
        switch self {
        case .absent: .storeAbsent
        case .exists: .system(EEXIST)
        case .notADirectory: .system(ENOTDIR)
        case .notRegular, .tooOpen, .tooLong: .system(EINVAL)
        case .system(_, let code): LMDBError(code: code)
        }
    }
}

/// An open file, closed once. Always close-on-exec.
final class FileDescriptor: Sendable {
    let number: Int32
    private let isOpen = Atomic<Bool>(true)

    init(_ number: Int32) { self.number = number }

    deinit { close() }

    /// Returns 0 or the errno of the close; later calls do nothing.
    @discardableResult
    func close() -> Int32 {
        // Relaxed: the exchange alone decides who closes; it publishes nothing else.
        guard isOpen.exchange(false, ordering: .relaxed) else { return 0 }
        return Glibc.close(number) == 0 ? 0 : errno
    }

    /// Opens a file; if nil, errno has the reason.
    static func open(_ path: String, _ flags: Int32, mode: mode_t = 0) -> FileDescriptor? {
        while true {
            // SAFETY: the path is NUL-terminated for the length of the call.
            let number = unsafe Glibc.open(path, flags | O_CLOEXEC, mode)
            if number >= 0 { return FileDescriptor(number) }
            guard errno == EINTR else { return nil }
        }
    }

    /// Creates a file that must not exist yet.
    static func create(_ path: String, mode: mode_t) throws(LMDBError) -> FileDescriptor {
        guard let file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: mode) else {
            throw LMDBError(code: errno)
        }
        return file
    }

    /// The two ends of a pipe: for reading, for writing.
    static func pipe() throws(LMDBError) -> (source: FileDescriptor, sink: FileDescriptor) {
        var numbers: [Int32] = [-1, -1]
        // SAFETY: room for two numbers.
        guard unsafe clmdb_pipe(&numbers, O_CLOEXEC) == 0 else { throw LMDBError(code: errno) }
        return (FileDescriptor(numbers[0]), FileDescriptor(numbers[1]))
    }

    /// Writes everything, or returns the errno.
    static func writeAll(_ bytes: RawSpan, to descriptor: Int32) -> Int32 {
        // SAFETY: the span holds its bytes valid, and the offset stays within its length.
        unsafe bytes.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                // SAFETY: as above.
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
                let count = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count > 0 {
                    offset += count
                } else if count < 0, errno == EINTR {
                    continue
                } else {
                    return count < 0 ? errno : EIO
                }
            }
            return 0
        }
    }

    var information: stat? {
        var info = stat()
        // SAFETY: `info` is a local out-parameter.
        return unsafe fstat(number, &info) == 0 ? info : nil
    }
}
