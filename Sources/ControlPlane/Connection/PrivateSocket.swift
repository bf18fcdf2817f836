import Foundation
import Listening

/// The path of a socket file, and who may open it.
public struct SocketFile: Sendable {
    public let path: String
    /// Permission bits of the file.
    public let mode: Int
    /// The group that the file is given to; the process's own when nil.
    public let group: String?

    public init(path: String, mode: Int = 0o600, group: String? = nil) {
        self.path = path
        self.mode = mode
        self.group = group
    }
}

/// Creates a socket file that has its permissions from the first moment.
///
/// `bind` creates the file with the mode that the umask allows, and the socket listens a moment later. Changing the
/// mode afterwards leaves a moment in which others can connect, and changing the umask affects every other thread of
/// the process. So the socket is bound in a new folder that only this user can enter, gets its mode there, and is then
/// renamed to its path, which is atomic. Clients connect by name, so the socket is not affected.
struct PrivateSocket: Sendable {
    /// Why a socket file cannot be created.
    enum Failure: Error, Equatable, CustomStringConvertible {
        case pathTooLong(path: String, bytesMax: Int)
        case inUse(path: String)
        case notASocket(path: String)
        case groupRefused(String)

        var description: String {
            switch self {
            case .groupRefused(let group):
                "The socket cannot be given the group '\(group)'. Use an existing group that this user belongs to."
            case .pathTooLong(let path, let bytesMax):
                "The socket path '\(path)' is too long: the limit here is \(bytesMax) bytes. Choose a shorter folder."
            case .inUse(let path): "Another process is listening on '\(path)'. Stop it first, or choose another path."
            case .notASocket(let path): "'\(path)' exists and is not a socket. Move it, or choose another path."
            }
        }
    }

    /// `sun_path` has 108 bytes, including the terminating zero (unix(7)).
    static let pathBytesMax = 107

    let file: SocketFile
    /// Where the socket is bound before it is renamed.
    let temporaryPath: String
    private let folder: String

    /// Creates the folder and removes the files of a listener that no longer runs.
    ///
    /// - Throws: ``Failure``, `UnixSocketFile.Fault`, or the system's error.
    init(_ file: SocketFile) throws {
        self.file = file
        let path = file.path
        let url = URL(fileURLWithPath: path)
        // Named after the socket, so that the next start finds the folder of a process that was killed.
        folder = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent)~").path
        temporaryPath = folder + "/s"
        let longest = max(path.utf8.count, temporaryPath.utf8.count)
        guard longest <= Self.pathBytesMax else {
            throw Failure.pathTooLong(path: path, bytesMax: Self.pathBytesMax - (longest - path.utf8.count))
        }
        try Self.clearStale(path)
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    private static func clearStale(_ path: String) throws {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else { return }
        guard attributes[.type] as? FileAttributeType == .typeSocket else { throw Failure.notASocket(path: path) }
        guard try !UnixSocketFile.isListening(path) else { throw Failure.inUse(path: path) }
        try FileManager.default.removeItem(atPath: path)
    }

    /// Gives the bound socket its mode, group and path. After this, clients can connect.
    func publish() throws -> Published {
        defer { discard() }
        var attributes: [FileAttributeKey: Any] = [.posixPermissions: file.mode]
        if let group = file.group { attributes[.groupOwnerAccountName] = group }
        try FileManager.default.setAttributes(attributes, ofItemAtPath: temporaryPath)
        // Foundation ignores a group that does not exist, so the result is read back.
        if let group = file.group {
            let name =
                try FileManager.default.attributesOfItem(atPath: temporaryPath)[.groupOwnerAccountName] as? String
            guard name == group else { throw Failure.groupRefused(group) }
        }
        let inode = Self.inode(temporaryPath)
        try FileManager.default.moveItem(atPath: temporaryPath, toPath: file.path)
        return Published(path: file.path, inode: inode)
    }

    /// Removes the folder. Has no effect after ``publish()``.
    func discard() {
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// A socket at its final path.
    struct Published: Sendable {
        fileprivate let path: String
        fileprivate let inode: UInt64?

        /// Removes the file unless another listener has replaced it.
        func remove() {
            guard inode != nil, PrivateSocket.inode(path) == inode else { return }
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    private static func inode(_ path: String) -> UInt64? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.systemFileNumber] as? NSNumber)?.uint64Value
    }
}
