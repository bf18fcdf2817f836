internal import Glibc

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
