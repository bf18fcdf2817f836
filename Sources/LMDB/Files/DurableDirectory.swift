internal import Glibc

/// Folders whose entries survive a power failure.
public enum DurableDirectory {
    /// Creates one folder and syncs it and its parent, which must exist.
    ///
    /// - Returns: false when the folder already exists; its mode is not changed.
    @discardableResult
    public static func create(path: String, mode: UInt32 = 0o700) throws(FileError) -> Bool {
        // SAFETY: the path is NUL-terminated for the length of the call.
        guard unsafe mkdir(path, mode) == 0 else {
            let code = errno
            var info = stat()
            // SAFETY: as above; `info` is a local out-parameter.
            guard code == EEXIST, unsafe stat(path, &info) == 0 else { throw FileError(path, code) }
            guard info.st_mode & S_IFMT == S_IFDIR else { throw .notADirectory(path: path) }
            return false
        }
        guard sync(path: path), sync(path: parent(of: path)) else { throw .system(path: path, code: EIO) }
        return true
    }

    /// Makes the entries of a folder durable. False when the system cannot.
    public static func sync(path: String) -> Bool {
        guard let folder = FileDescriptor.open(path, O_RDONLY | O_DIRECTORY) else { return false }
        return fsync(folder.number) == 0
    }

    /// The folder that contains the last component of a path.
    static func parent(of path: String) -> String {
        var bytes = Array(path.utf8)
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == 0 ? "/" : String(decoding: bytes[..<slash], as: UTF8.self)
    }
}
