internal import Glibc

/// Why a store's folder cannot be owned.
public enum DirectoryLockError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another process owns it; nil when it has not written its number yet.
    case heldBy(pid: Int32?)
    /// A process in another PID namespace owns it.
    case foreignPIDNamespace
    /// Processes in another PID namespace follow it.
    case foreignFollowers
    /// The folder belongs to this user, and we are another.
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
/// The kernel drops it when the process ends, however it ends. The file says who holds it: `pid` and the inode of
/// the PID namespace. It is never removed, because a removed lock file lets two processes lock two files.
public final class DirectoryLock: Sendable {
    private let file: FileDescriptor

    /// Takes the lock, or says who has it.
    ///
    /// A holder may be somebody who only looks (``requireSharedNamespace(directory:)``): so it tries for 100 ms.
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
                // Somebody may have put another file in its place: then this lock keeps nobody out.
                guard let info = file.information, FileIdentity(info) == FileIdentity.of(path) else { continue }
                do throws(DirectoryLockError) {
                    try Self.record(in: file)
                } catch .system(ENOSPC), .system(EDQUOT) {
                    // The lock holds without it; a refused process is only not told who has it.
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

    /// Gives the lock up; later calls do nothing.
    public func release() { file.close() }

    /// Refuses a store whose owner runs in another PID namespace: for those who open it for reading only and so take
    /// no lock. LMDB would take that owner's readers for dead, and the owner ours.
    public static func requireSharedNamespace(directory: String) throws(DirectoryLockError) {
        // Without the file, or the right to open it, there is nothing to compare.
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

    /// Writes who holds a lock into its file, which was opened just now.
    ///
    /// In place and always of one length: emptied first, a file may get no block again on a full disk.
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

    /// The inode that names this process's PID namespace; nil without /proc.
    static var ownNamespace: UInt64? { FileIdentity.of("/proc/self/ns/pid")?.inode }

    /// Length of the file: the text, then line ends.
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
