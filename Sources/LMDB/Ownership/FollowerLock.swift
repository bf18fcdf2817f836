internal import Glibc

/// The right of a process to read a store that another one owns: a shared flock on `followers.lock` in its folder.
///
/// LMDB tells living readers from dead ones by process id. An owner in another PID namespace would take ours for dead and
/// use their pages again under their eyes; so owner and followers each refuse to begin while the other is foreign. Each
/// takes its own lock first and looks at the other's then: if both begin at once, at least one of them sees it.
///
/// The file says in which namespace its holders are, as `owner.lock` does. It is never removed.
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

    /// For the owner, when it has its own lock: refuses while followers live in another PID namespace.
    public static func requireSharedNamespace(directory: String) throws(DirectoryLockError) {
        for _ in 0..<attempts {
            // Without the file nobody has ever followed.
            guard let file = FileDescriptor.open(path(directory), O_RDONLY | O_NOFOLLOW) else { return }
            // Nobody holds it: what it says is history. Closing gives the lock up.
            if flock(file.number, LOCK_EX | LOCK_NB) == 0 { return }
            if let record = OwnerRecord(readFrom: file) {
                if let own = OwnerRecord.ownNamespace, own != record.namespace { throw .foreignFollowers }
                return
            }
            usleep(pauseMicroseconds)
        }
        throw .foreignFollowers
    }

    /// Whether somebody follows the store now, or looks whether somebody does.
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
            // The first writes where it is; those who come later look.
            if flock(file.number, LOCK_EX | LOCK_NB) == 0 { try DirectoryLock.record(in: file) }
            // Turning the one into the other is two steps: somebody may have come in between and written.
            if flock(file.number, LOCK_SH | LOCK_NB) == 0, let record = OwnerRecord(readFrom: file),
                let info = file.information, FileIdentity(info) == FileIdentity.of(path)
            {
                guard let own = OwnerRecord.ownNamespace, own != record.namespace else { return file }
                isForeign = true
            }
            // Whoever looks or begins holds it for an instant.
            usleep(pauseMicroseconds)
        }
        if isForeign { throw .foreignFollowers }
        throw .system(EWOULDBLOCK)
    }
}
