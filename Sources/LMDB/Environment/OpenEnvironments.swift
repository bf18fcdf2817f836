internal import Glibc

/// A file's identity in the kernel, independent of its path.
struct FileIdentity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
    /// Not part of the identity.
    let bytes: Int
    let owner: UInt32

    static func of(_ path: String) -> FileIdentity? {
        var info = stat()
        // SAFETY: the path is NUL-terminated for the length of the call; `info` is a local out-parameter.
        guard unsafe stat(path, &info) == 0 else { return nil }
        return FileIdentity(info)
    }

    init(_ info: stat) {
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
        bytes = Int(info.st_size)
        owner = info.st_uid
    }

    static func == (a: Self, b: Self) -> Bool { a.device == b.device && a.inode == b.inode }

    func hash(into hasher: inout Hasher) {
        hasher.combine(device)
        hasher.combine(inode)
    }
}

/// The folders that this process has open as stores.
///
/// LMDB's reader locks are POSIX record locks, which belong to the process: opening the same files twice breaks the first
/// one's locks as soon as either is closed.
enum OpenEnvironments {
    private final class Table: Sendable {
        let lock = Lock()
        // SAFETY: guarded by `lock`.
        nonisolated(unsafe) var folders: Set<FileIdentity> = []
    }

    private static let table = Table()

    /// False when the folder is already in the table.
    static func insert(_ folder: FileIdentity) -> Bool {
        // SAFETY: the set is only touched under the lock.
        table.lock.withLock { unsafe table.folders.insert(folder).inserted }
    }

    static func remove(_ folder: FileIdentity) {
        // SAFETY: the set is only touched under the lock.
        table.lock.withLock { _ = unsafe table.folders.remove(folder) }
    }
}
