internal import Glibc

/// The right of a process to read a store that another one owns: a shared flock on `followers.lock` in its folder.
///
/// LMDB recognises dead readers by process id. An owner in another PID namespace would take this process's readers for dead
/// and reuse pages that they are reading. So owner and followers each refuse to start while the other is in another
/// namespace. Each takes its own lock before it checks the other's: if both start at once, at least one sees the other.
///
/// The file names the namespace of its holders, as `owner.lock` does. It is never removed.
public final class FollowerLock: Sendable {
    private let file: FileDescriptor

    /// Takes the lock.
    /// - Throws: ``DirectoryLockError/absent``, ``DirectoryLockError/notOwner(uid:)``,
    ///   ``DirectoryLockError/foreignPIDNamespace`` when the owner is in another namespace, and
    ///   ``DirectoryLockError/foreignFollowers`` when other followers are.
    public init(directory: String) throws(DirectoryLockError) {
        guard let folder = FileIdentity.of(directory) else { throw .absent }
        guard folder.owner == geteuid() else { throw .notOwner(uid: folder.owner) }
        file = try Self.take(Self.path(directory))
        try DirectoryLock.requireSharedNamespace(directory: directory)
    }

    deinit { file.close() }

    /// For the owner, after it has its own lock: refuses while there are followers in another PID namespace.
    public static func requireSharedNamespace(directory: String) throws(DirectoryLockError) {
        for _ in 0..<attempts {
            // Without the file there has never been a follower.
            guard let file = FileDescriptor.open(path(directory), O_RDONLY | O_NOFOLLOW) else { return }
            // Nobody holds it, so its record is outdated. Closing releases the lock.
            if flock(file.number, LOCK_EX | LOCK_NB) == 0 { return }
            if let record = OwnerRecord(readFrom: file) {
                if let own = OwnerRecord.ownNamespace, own != record.namespace { throw .foreignFollowers }
                return
            }
            usleep(pauseMicroseconds)
        }
        throw .foreignFollowers
    }

    /// Whether somebody follows the store now, or checks whether somebody does.
    public static func isHeld(directory: String) -> Bool {
        guard let file = FileDescriptor.open(path(directory), O_RDONLY | O_NOFOLLOW) else { return false }
        return flock(file.number, LOCK_EX | LOCK_NB) != 0
    }

    private static let attempts = 20
    private static let pauseMicroseconds: UInt32 = 10_000

    private static func path(_ directory: String) -> String { directory + "/followers.lock" }

    private static func take(_ path: String) throws(DirectoryLockError) -> FileDescriptor {
        var isForeign = false
        for _ in 0..<attempts {
            guard let file = FileDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600) else {
                throw .system(errno)
            }
            // The first holder writes its namespace; later ones compare theirs.
            if flock(file.number, LOCK_EX | LOCK_NB) == 0 { try DirectoryLock.record(in: file) }
            // Converting the lock takes two steps: another process may have come in between and written.
            if flock(file.number, LOCK_SH | LOCK_NB) == 0, let record = OwnerRecord(readFrom: file),
                let info = file.information, FileIdentity(info) == FileIdentity.of(path)
            {
                guard let own = OwnerRecord.ownNamespace, own != record.namespace else { return file }
                isForeign = true
            }
            // A process that checks or starts holds it for an instant.
            usleep(pauseMicroseconds)
        }
        if isForeign { throw .foreignFollowers }
        throw .system(EWOULDBLOCK)
    }
}
