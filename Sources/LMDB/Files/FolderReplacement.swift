internal import CLMDB
internal import Glibc

/// A store's folder that is made ready beside the one that it will replace.
///
/// Whoever looks at the path finds the old folder or the new one, whole, at every moment and after every crash; the old
/// one is kept under another name. What is left of an attempt that failed is removed.
public struct FolderReplacement: Sendable {
    /// The folder to be replaced; it may be absent.
    public let path: String
    /// Where the new one is made ready.
    public let staged: String

    /// Makes the folder beside `path`.
    public init(of path: String) throws(FileError) {
        self.path = path
        staged = path + ".staged-" + String(UInt64.random(in: .min ... .max), radix: 36)
        guard try DurableDirectory.create(path: staged) else { throw .exists(path: staged) }
    }

    /// Takes the place of the old folder.
    /// - Returns: where the old folder is now; nil when there was none.
    /// - Throws: ``FileError``; then nothing has changed, and ``discard()`` is due.
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
        // A file system that cannot exchange: for an instant there is no folder, and a crash in it leaves both others.
        try rename(path, kept)
        do throws(FileError) {
            try rename(staged, path)
        } catch {
            try rename(kept, path)
            throw error
        }
        return kept
    }

    /// Removes what was made ready: files only, as a store has no folders in it.
    public func discard() {
        for name in ["data.mdb", "lock.mdb", "owner.lock"] {
            // SAFETY: the path is NUL-terminated for the length of the call; the folder is ours, made above.
            unsafe unlink(staged + "/" + name)
        }
        // SAFETY: as above; a folder with anything else in it stays.
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
