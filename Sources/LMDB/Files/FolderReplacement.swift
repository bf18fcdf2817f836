internal import CLMDB
internal import Glibc

/// A store's folder that is prepared next to the one that it will replace.
///
/// If the file system can exchange folders, the path always leads to the complete old or new folder, even after a
/// crash. The old one is kept under another name. Remains of a failed attempt are removed.
public struct FolderReplacement: Sendable {
    /// The folder to be replaced; it may be absent.
    public let path: String
    /// Where the new folder is prepared.
    public let staged: String

    /// Creates the folder next to `path`.
    public init(of path: String) throws(FileError) {
        self.path = path
        staged = path + ".staged-" + String(UInt64.random(in: .min ... .max), radix: 36)
        guard try DurableDirectory.create(path: staged) else { throw .exists(path: staged) }
    }

    /// Replaces the old folder.
    /// - Returns: where the old folder is now; nil when there was none.
    /// - Throws: ``FileError``; then nothing has changed, and the caller must call ``discard()``.
    public func install(keepingAs suffix: String) throws(FileError) -> String? {
        let kept = path + suffix
        guard FileIdentity.of(path) != nil else {
            try rename(staged, path)
            return nil
        }
        guard FileIdentity.of(kept) == nil else { throw .exists(path: kept) }
        // SAFETY: both paths are NUL-terminated for the length of the call.
        if unsafe clmdb_exchange(staged, path) == 0 {
            try rename(staged, kept)
            return kept
        }
        guard errno == EINVAL || errno == ENOSYS else { throw FileError(path, errno) }
        // Without atomic exchange there is no folder for an instant, and a crash then leaves both under other names.
        try rename(path, kept)
        do throws(FileError) {
            try rename(staged, path)
        } catch {
            try rename(kept, path)
            throw error
        }
        return kept
    }

    /// Removes the prepared folder and its files; a store has no subfolders.
    public func discard() {
        for name in ["data.mdb", "lock.mdb", "owner.lock"] {
            // SAFETY: the path is NUL-terminated for the length of the call; the folder is ours, made above.
            unsafe unlink(staged + "/" + name)
        }
        // SAFETY: as above; a folder with other contents remains.
        unsafe rmdir(staged)
    }

    private func rename(_ from: String, _ to: String) throws(FileError) {
        // SAFETY: both paths are NUL-terminated for the length of the call.
        guard unsafe Glibc.rename(from, to) == 0 else { throw FileError(from, errno) }
        guard DurableDirectory.sync(path: DurableDirectory.parent(of: path)) else {
            throw .system(path: path, code: EIO)
        }
    }
}

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
