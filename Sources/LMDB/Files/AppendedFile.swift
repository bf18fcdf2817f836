internal import CLMDB
internal import Glibc

/// A file to which records are appended, each durable before it counts.
///
/// For one thread at a time.
public final class AppendedFile: @unchecked Sendable {
    public let path: String
    private let file: FileDescriptor
    /// Bytes that count. What a failed append has left behind them is overwritten.
    public private(set) var byteCount: Int

    /// Opens a file, or creates it (0600) if it is absent; then its folder entry is durable, too.
    /// - Parameters:
    ///   - forReading: it must exist, and is not written to.
    ///   - mustBeNew: it must not exist.
    /// - Throws: ``FileError``.
    public init(path: String, forReading: Bool = false, mustBeNew: Bool = false) throws(FileError) {
        // SAFETY: the path is NUL-terminated for the length of the call.
        let isNew = unsafe !forReading && access(path, F_OK) != 0
        let flags = forReading ? O_RDONLY : O_RDWR | O_CREAT | (mustBeNew ? O_EXCL : 0)
        // Not blocking: it could be a pipe, which is refused below.
        guard let file = FileDescriptor.open(path, flags | O_NOFOLLOW | O_NONBLOCK, mode: 0o600) else {
            throw FileError(path, errno)
        }
        guard let information = file.information else { throw FileError(path, errno) }
        // Under a second name it could be a file of something else.
        guard information.st_mode & S_IFMT == S_IFREG, information.st_nlink == 1 else { throw .notRegular(path: path) }
        if isNew, !DurableDirectory.sync(path: DurableDirectory.parent(of: path)) {
            throw .system(path: path, code: EIO)
        }
        self.path = path
        self.file = file
        byteCount = Int(information.st_size)
    }

    /// Appends bytes, and returns when they are durable.
    /// - Throws: ``FileError``. Then they do not count; but if ``isUnknown`` is set, they may be in the file.
    public func append(_ bytes: [UInt8]) throws(FileError) {
        try removeLeftovers()
        guard lseek(file.number, off_t(byteCount), SEEK_SET) == off_t(byteCount) else { throw FileError(path, errno) }
        // SAFETY: bytes have no padding.
        let code = unsafe FileDescriptor.writeAll(bytes.span.bytes, to: file.number)
        guard code == 0 else {
            try? removeLeftovers()
            throw FileError(path, code)
        }
        guard fdatasync(file.number) == 0 else {
            isUnknown = true
            throw FileError(path, errno)
        }
        byteCount += bytes.count
    }

    /// Removes what a failed append has left behind the end. Only if there is something: it also frees the blocks there.
    private func removeLeftovers() throws(FileError) {
        guard let information = file.information else { throw FileError(path, errno) }
        guard information.st_size > off_t(byteCount) else { return }
        reservedBytes = 0
        guard ftruncate(file.number, off_t(byteCount)) == 0 else { throw FileError(path, errno) }
    }

    /// Whether the path still leads to this file, and the file has all that was appended.
    public var isInPlace: Bool {
        var info = stat()
        // SAFETY: the path is NUL-terminated during the call; `info` is a local out-parameter.
        guard let own = file.information, unsafe lstat(path, &info) == 0 else { return false }
        return own.st_ino == info.st_ino && own.st_dev == info.st_dev && own.st_size >= off_t(byteCount)
    }

    /// Allocates blocks behind the end, so that a disk that runs full does not refuse what comes next. If there are none,
    /// or the file system cannot, nothing happens.
    public func reserve(ahead count: Int) {
        guard reservedBytes < byteCount + count / 2 else { return }
        if clmdb_allocate(file.number, Int64(byteCount + count)) == 0 { reservedBytes = byteCount + count }
    }

    /// The file has blocks up to here.
    private var reservedBytes = 0

    /// A sync failed: the system may have dropped what was to be written, and does not say so again.
    public private(set) var isUnknown = false

    /// Removes everything from an offset on, durably.
    /// - Throws: ``FileError``; then it is unknown whether it is there.
    public func truncate(to count: Int) throws(FileError) {
        guard ftruncate(file.number, off_t(count)) == 0, fdatasync(file.number) == 0 else {
            throw FileError(path, errno)
        }
        byteCount = count
        reservedBytes = 0
    }

    /// Bytes from an offset on; fewer at the end of the file.
    /// - Throws: ``FileError``.
    public func read(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
        let count = min(count, max(byteCount - offset, 0))
        var failure: Int32 = 0
        // SAFETY: `filled` bytes are written.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                // SAFETY: the rest of the buffer, which has room for `count` bytes.
                let got = unsafe pread(
                    file.number, buffer.baseAddress?.advanced(by: filled), count - filled, off_t(offset + filled))
                if got > 0 {
                    filled += got
                } else if got < 0, errno == EINTR {
                    continue
                } else {
                    failure = got < 0 ? errno : 0
                    return
                }
            }
        }
        guard failure == 0 else { throw FileError(path, failure) }
        return bytes
    }
}

/// Questions about the files of a folder.
public enum RegularFile {
    /// The names in a folder, sorted.
    /// - Throws: ``FileError``.
    public static func names(in directory: String) throws(FileError) -> [String] {
        // SAFETY: the path is NUL-terminated during the call; the stream is closed once.
        guard let stream = unsafe opendir(directory) else { throw FileError(directory, errno) }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        // SAFETY: the entry is valid until the next call; its name is NUL-terminated.
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                // SAFETY: as above.
                unsafe String(cString: UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// When a file was last written, in seconds since the Unix epoch.
    /// - Throws: ``FileError``.
    public static func modified(_ path: String) throws(FileError) -> Int64 {
        var info = stat()
        // SAFETY: the path is NUL-terminated during the call; `info` is a local out-parameter.
        guard unsafe lstat(path, &info) == 0 else { throw FileError(path, errno) }
        return Int64(info.st_mtim.tv_sec)
    }

    /// Gives a durable file another name in its file system, which no file has; then that is durable, too.
    /// - Throws: ``FileError``.
    public static func move(_ source: String, to destination: String) throws(FileError) {
        // SAFETY: the paths are NUL-terminated during the call.
        guard unsafe link(source, destination) == 0 else { throw FileError(destination, errno) }
        try remove(source)
        guard DurableDirectory.sync(path: DurableDirectory.parent(of: destination)) else {
            throw .system(path: destination, code: EIO)
        }
    }

    /// The number of a file in its file system; nil if there is none.
    public static func inode(_ path: String) -> UInt64? {
        var info = stat()
        // SAFETY: the path is NUL-terminated during the call; `info` is a local out-parameter.
        return unsafe lstat(path, &info) == 0 ? UInt64(info.st_ino) : nil
    }

    /// The first line of a short file of the system; nil if it cannot be read.
    public static func line(_ path: String) -> String? {
        guard let file = FileDescriptor.open(path, O_RDONLY | O_NOCTTY) else { return nil }
        var buffer = [UInt8](repeating: 0, count: 256)
        // SAFETY: the buffer is valid and of that length during the call.
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(file.number, $0.baseAddress, $0.count) }
        guard count >= 0 else { return nil }
        return String(decoding: buffer.prefix(count).prefix { $0 != 10 }, as: UTF8.self)
    }

    /// Removes a file.
    /// - Throws: ``FileError``.
    public static func remove(_ path: String) throws(FileError) {
        // SAFETY: the path is NUL-terminated during the call.
        guard unsafe unlink(path) == 0 else { throw FileError(path, errno) }
    }
}
