internal import Glibc

/// Small files with secrets: read only if nobody else can read them, written so that a crash leaves the old or new
/// content.
public enum SecretFile {
    /// Reads a whole file. Follows a symlink, because systemd credentials and Kubernetes secrets are symlinks.
    ///
    /// - Throws: ``FileError/tooOpen(path:mode:)`` when the group has write access or others have any,
    ///   ``FileError/notRegular(path:)``, ``FileError/tooLong(path:bytesMax:)``, ``FileError/absent(path:)``.
    public static func read(path: String, bytesMax: Int) throws(FileError) -> [UInt8] {
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        guard let file = FileDescriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY) else {
            throw FileError(path, errno)
        }
        // Checks the open file, not the path, so that nobody can swap it in between.
        guard let info = file.information else { throw FileError(path, errno) }
        guard info.st_mode & S_IFMT == S_IFREG else { throw .notRegular(path: path) }
        guard info.st_mode & 0o027 == 0 else { throw .tooOpen(path: path, mode: info.st_mode & 0o7777) }
        guard info.st_size <= bytesMax else { throw .tooLong(path: path, bytesMax: bytesMax) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            // SAFETY: the buffer is valid and of that length during the call.
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe Glibc.read(file.number, $0.baseAddress, $0.count)
            }
            if count == 0 { return content }
            if count < 0 {
                guard errno == EINTR else { throw FileError(path, errno) }
                continue
            }
            // It may have grown since it was checked.
            guard content.count + count <= bytesMax else { throw .tooLong(path: path, bytesMax: bytesMax) }
            content.append(contentsOf: buffer[..<count])
        }
    }

    /// Writes and syncs a file that must not exist yet, and its folder. It appears complete or not at all.
    /// - Throws: ``FileError/exists(path:)``, or errors of the system; then no file remains.
    public static func writeNew(path: String, bytes: [UInt8], mode: UInt32 = 0o400) throws(FileError) {
        let temporary = try writeBeside(path, bytes, mode)
        // A link, since a rename would replace an existing file.
        // SAFETY: both paths are NUL-terminated for the length of the call.
        let code = unsafe link(temporary, path) == 0 ? 0 : errno
        // SAFETY: as above; the file is ours, made above.
        unsafe unlink(temporary)
        guard code == 0 else { throw FileError(path, code) }
        guard DurableDirectory.sync(path: DurableDirectory.parent(of: path)) else {
            throw .system(path: path, code: EIO)
        }
    }

    /// Whether the path is a symlink, which ``replace(path:bytes:mode:)`` would turn into a file.
    public static func isLink(path: String) -> Bool {
        var info = stat()
        // SAFETY: the path is NUL-terminated for the length of the call; `info` is a local out-parameter.
        return unsafe lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFLNK
    }

    /// Replaces the content of a file, or creates it: readers find the old or the new content, never a part.
    ///
    /// Replaces a symlink instead of following it.
    public static func replace(path: String, bytes: [UInt8], mode: UInt32 = 0o400) throws(FileError) {
        let temporary = try writeBeside(path, bytes, mode)
        // SAFETY: both paths are NUL-terminated for the length of the call.
        guard unsafe rename(temporary, path) == 0 else {
            let code = errno
            // SAFETY: as above; the file is ours, made above.
            unsafe unlink(temporary)
            throw FileError(path, code)
        }
        guard DurableDirectory.sync(path: DurableDirectory.parent(of: path)) else {
            throw .system(path: path, code: EIO)
        }
    }

    /// Writes a complete, synced file with a unique name next to `path`.
    private static func writeBeside(_ path: String, _ bytes: [UInt8], _ mode: UInt32) throws(FileError) -> String {
        let temporary = path + ".new-\(getpid())-" + String(UInt64.random(in: .min ... .max), radix: 36)
        guard let file = FileDescriptor.open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: mode) else {
            throw FileError(path, errno)
        }
        let code = fill(file, bytes, mode)
        guard code == 0 else {
            // SAFETY: the path is NUL-terminated for the length of the call; the file is ours, made above.
            unsafe unlink(temporary)
            throw FileError(path, code)
        }
        return temporary
    }

    /// Fills, sets the mode regardless of the umask, syncs and closes. 0 or an errno.
    private static func fill(_ file: FileDescriptor, _ bytes: [UInt8], _ mode: UInt32) -> Int32 {
        // SAFETY: `bytes` is marked unsafe for types with padding; UInt8 has none.
        let code = unsafe FileDescriptor.writeAll(bytes.span.bytes, to: file.number)
        if code != 0 { return code }
        if fchmod(file.number, mode) != 0 { return errno }
        if fsync(file.number) != 0 { return errno }
        return file.close()
    }
}

/// A file that must not exist yet, written in pieces; mode 0600.
public final class NewFile: Sendable {
    private let path: String
    private let file: FileDescriptor

    /// - Throws: ``FileError/exists(path:)``, or what the system reports.
    public init(path: String) throws(FileError) {
        guard let file = FileDescriptor.open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: 0o600) else {
            throw FileError(path, errno)
        }
        self.path = path
        self.file = file
    }

    /// Appends bytes.
    public func append(_ bytes: [UInt8]) throws(FileError) {
        // SAFETY: `bytes` is marked unsafe for types with padding; UInt8 has none.
        let code = unsafe FileDescriptor.writeAll(bytes.span.bytes, to: file.number)
        guard code == 0 else { throw FileError(path, code) }
    }

    /// Syncs and closes the file.
    public func finish() throws(FileError) {
        guard fsync(file.number) == 0 else { throw FileError(path, errno) }
        let code = file.close()
        guard code == 0 else { throw FileError(path, code) }
    }
}

/// Copies of files that nobody has open.
public enum FileCopy {
    /// Makes a durable copy of a regular file as a new file of mode 0600.
    /// - Parameter progress: called with the bytes written so far.
    /// - Throws: ``FileError``; then no new file remains.
    public static func copy(
        _ source: String, to destination: String, progress: (UInt64) -> Void = { _ in }
    ) throws(FileError) {
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        guard let from = FileDescriptor.open(source, O_RDONLY | O_NONBLOCK | O_NOCTTY), let info = from.information
        else { throw FileError(source, errno) }
        guard info.st_mode & S_IFMT == S_IFREG else { throw .notRegular(path: source) }
        guard let to = FileDescriptor.open(destination, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: 0o600) else {
            throw FileError(destination, errno)
        }
        let code = carry(from, to, progress)
        guard code == 0 else {
            // SAFETY: the path is NUL-terminated for the length of the call; the file is ours, made above.
            unsafe unlink(destination)
            throw FileError(destination, code)
        }
        guard DurableDirectory.sync(path: DurableDirectory.parent(of: destination)) else {
            throw .system(path: destination, code: EIO)
        }
    }

    /// 0 or an errno.
    private static func carry(_ from: FileDescriptor, _ to: FileDescriptor, _ progress: (UInt64) -> Void) -> Int32 {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var written: UInt64 = 0
        while true {
            // SAFETY: the buffer is valid and of that length during the call.
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe Glibc.read(from.number, $0.baseAddress, $0.count)
            }
            if count == 0 { return fsync(to.number) == 0 ? 0 : errno }
            if count < 0 {
                guard errno == EINTR else { return errno }
                continue
            }
            // SAFETY: `bytes` is marked unsafe for types with padding; UInt8 has none.
            let code = unsafe FileDescriptor.writeAll(buffer.span.bytes.extracting(first: count), to: to.number)
            if code != 0 { return code }
            written &+= UInt64(count)
            progress(written)
        }
    }
}
