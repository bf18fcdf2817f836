internal import Glibc

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
