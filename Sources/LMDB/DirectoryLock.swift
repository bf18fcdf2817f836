internal import Glibc

/// Why a store's folder cannot be owned.
public enum DirectoryLockError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another process owns it; nil when it has not written its process id yet.
    case heldBy(pid: Int32?)
    /// A process in another PID namespace owns it.
    case foreignPIDNamespace
    /// Processes in another PID namespace follow it.
    case foreignFollowers
    /// The folder belongs to this user, who is not the current one.
    case notOwner(uid: UInt32)
    case absent
    case system(Int32)

    private static let sharedNamespace =
        "LMDB tells the living from the dead by process id, so all processes that open one store need a shared process "
        + "namespace (shareProcessNamespace: true in a pod, --pid container:NAME or --pid host in Docker)"

    public var description: String {
        switch self {
        case .heldBy(let pid?): "process \(pid) owns the store: talk to it, or stop it first"
        case .heldBy(nil): "another process owns the store: talk to it, or stop it first"
        case .foreignPIDNamespace:
            "a process in another PID namespace owns the store. " + Self.sharedNamespace
        case .foreignFollowers:
            "processes in another PID namespace read the store. " + Self.sharedNamespace
        case .notOwner(let uid): "the store's folder belongs to uid \(uid): run as that user"
        case .absent: "there is no such folder: check the path"
        case .system(let code): systemText(code)
        }
    }
}

/// The right of one process to write to a store: an exclusive flock on `owner.lock` in its folder.
///
/// The kernel drops it however the process ends. The file names the holder: `pid` and the inode of the PID namespace.
/// It is never removed, because after a removal two processes could lock two different files.
public final class DirectoryLock: Sendable {
    private let file: FileDescriptor

    /// Takes the lock, or throws an error that names the holder.
    ///
    /// A process that only checks (``requireSharedNamespace(directory:)``) may hold it briefly, so this tries for 100
    /// ms.
    public init(directory: String) throws(DirectoryLockError) {
        guard let folder = FileIdentity.of(directory) else { throw .absent }
        guard folder.owner == geteuid() else { throw .notOwner(uid: folder.owner) }
        let path = Self.path(directory)
        var refusal = DirectoryLockError.heldBy(pid: nil)
        for _ in 0..<10 {
            guard let file = FileDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600) else {
                throw .system(errno)
            }
            if flock(file.number, LOCK_EX | LOCK_NB) == 0 {
                // Somebody may have replaced the file: then this lock excludes nobody.
                guard let info = file.information, FileIdentity(info) == FileIdentity.of(path) else { continue }
                do throws(DirectoryLockError) {
                    try Self.record(in: file)
                } catch .system(ENOSPC), .system(EDQUOT) {
                    // The lock is valid without the record; refused processes just cannot name the holder.
                }
                self.file = file
                return
            }
            guard errno == EWOULDBLOCK || errno == EINTR else { throw .system(errno) }
            refusal = Self.refusal(OwnerRecord(readFrom: file))
            usleep(10_000)
        }
        throw refusal
    }

    deinit { release() }

    /// Releases the lock; later calls do nothing.
    public func release() { file.close() }

    /// Refuses a store whose owner runs in another PID namespace: for processes that open it read-only and so take no
    /// lock. LMDB would take that owner's readers for dead, and the owner would take this process's readers for dead.
    public static func requireSharedNamespace(directory: String) throws(DirectoryLockError) {
        // Without the file, or permission to open it, there is nothing to compare.
        guard let file = FileDescriptor.open(path(directory), O_RDONLY | O_NOFOLLOW) else { return }
        if flock(file.number, LOCK_SH | LOCK_NB) == 0 { return }
        let error = refusal(OwnerRecord(readFrom: file))
        if error == .foreignPIDNamespace { throw error }
    }

    private static func path(_ directory: String) -> String { directory + "/owner.lock" }

    private static func refusal(_ owner: OwnerRecord?) -> DirectoryLockError {
        guard let owner else { return .heldBy(pid: nil) }
        if let own = OwnerRecord.ownNamespace, own != owner.namespace { return .foreignPIDNamespace }
        return .heldBy(pid: owner.pid)
    }

    /// Writes the holder's record into a lock file that was just opened.
    ///
    /// In place and always of the same length: if the file were truncated first, a full disk might have no block for
    /// it.
    static func record(in file: FileDescriptor) throws(DirectoryLockError) {
        var text = Array(OwnerRecord(pid: getpid(), namespace: OwnerRecord.ownNamespace ?? 0).text.utf8)
        text += [UInt8](repeating: UInt8(ascii: "\n"), count: max(0, OwnerRecord.bytes - text.count))
        // SAFETY: `bytes` is marked unsafe for types with padding; UInt8 has none.
        let code = unsafe FileDescriptor.writeAll(text.span.bytes, to: file.number)
        guard code == 0 else { throw .system(code) }
        guard ftruncate(file.number, off_t(text.count)) == 0 else { throw .system(errno) }
    }
}

/// The content of `owner.lock`: two lines, `pid N` and `pid-namespace INODE`.
struct OwnerRecord: Equatable {
    let pid: Int32
    let namespace: UInt64

    /// The inode of this process's PID namespace; nil without /proc.
    static var ownNamespace: UInt64? { FileIdentity.of("/proc/self/ns/pid")?.inode }

    /// Length of the file: the text, padded with line ends.
    static let bytes = 64

    var text: String { "pid \(pid)\npid-namespace \(namespace)\n" }

    init(pid: Int32, namespace: UInt64) {
        self.pid = pid
        self.namespace = namespace
    }

    init?(parsing text: String) {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 4, words[0] == "pid", words[2] == "pid-namespace", let pid = Int32(words[1]),
            let namespace = UInt64(words[3])
        else { return nil }
        self.init(pid: pid, namespace: namespace)
    }

    init?(readFrom file: FileDescriptor) {
        var buffer = [UInt8](repeating: 0, count: 128)
        // SAFETY: the buffer is valid and of that length during the call.
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe pread(file.number, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return nil }
        self.init(parsing: String(decoding: buffer[..<count], as: UTF8.self))
    }
}

/// The right of a process to read a store that another one owns: a shared flock on `followers.lock` in its folder.
///
/// LMDB recognises dead readers by process id. An owner in another PID namespace would take this process's readers for
/// dead and reuse pages that they are reading. So owner and followers each refuse to start while the other is in
/// another namespace. Each takes its own lock before it checks the other's: if both start at once, at least one sees
/// the other.
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
