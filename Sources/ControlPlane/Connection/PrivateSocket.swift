import Foundation

/// Where a socket file lies, and who may open it.
public struct SocketPlace: Sendable {
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

/// Puts a listening socket into place with its permissions already set.
///
/// A socket file gets its mode when it is bound, from the process's umask, and listens a moment later: changing the
/// mode afterwards leaves a moment in which others can connect, and changing the umask concerns every other thread of
/// the process. So the socket is bound in a new folder that only we can enter, given its mode there, and then renamed
/// to its place, which is one step. Connections come through the name; the socket does not notice.
struct PrivateSocket: Sendable {
    /// Why a socket cannot be put into place.
    enum Failure: Error, Equatable, CustomStringConvertible {
        case pathTooLong(path: String, bytesMax: Int)
        case inUse(path: String)
        case notASocket(path: String)
        case groupRefused(String)

        var description: String {
            switch self {
            case .groupRefused(let group):
                "The socket cannot be given the group '\(group)'. Name a group that exists and that this user belongs to."
            case .pathTooLong(let path, let bytesMax):
                "The socket path '\(path)' is too long: the system takes \(bytesMax) bytes. Choose a shorter folder."
            case .inUse(let path): "Another process listens on '\(path)'. Stop it first, or choose another path."
            case .notASocket(let path): "'\(path)' exists and is not a socket. Move it away, or choose another path."
            }
        }
    }

    /// `sun_path` holds 108 bytes with the closing zero.
    static let pathBytesMax = 107

    let place: SocketPlace
    /// Where the socket is bound before it is renamed.
    let birthplace: String
    private let folder: String

    /// Makes the folder, and removes what is left of a listener that is gone.
    ///
    /// - Throws: ``Failure``, or the system's error.
    init(_ place: SocketPlace) async throws {
        self.place = place
        let path = place.path
        let url = URL(fileURLWithPath: path)
        // Named after the socket, so that the next start finds what one that was killed left behind.
        folder = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent)~").path
        birthplace = folder + "/s"
        let longest = max(path.utf8.count, birthplace.utf8.count)
        guard longest <= Self.pathBytesMax else {
            throw Failure.pathTooLong(path: path, bytesMax: Self.pathBytesMax - (longest - path.utf8.count))
        }
        try await Self.clearStale(path)
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    private static func clearStale(_ path: String) async throws {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else { return }
        guard attributes[.type] as? FileAttributeType == .typeSocket else { throw Failure.notASocket(path: path) }
        guard try await !SocketProbe.isListening(at: path) else { throw Failure.inUse(path: path) }
        try FileManager.default.removeItem(atPath: path)
    }

    /// Gives the bound socket its mode and its place. After this others can connect.
    func publish() throws -> Published {
        defer { discard() }
        var attributes: [FileAttributeKey: Any] = [.posixPermissions: place.mode]
        if let group = place.group { attributes[.groupOwnerAccountName] = group }
        try FileManager.default.setAttributes(attributes, ofItemAtPath: birthplace)
        // A group that does not exist is passed over without an error, so what came of it is read back.
        if let group = place.group {
            let name = try FileManager.default.attributesOfItem(atPath: birthplace)[.groupOwnerAccountName] as? String
            guard name == group else { throw Failure.groupRefused(group) }
        }
        let inode = Self.inode(birthplace)
        try FileManager.default.moveItem(atPath: birthplace, toPath: place.path)
        return Published(path: place.path, inode: inode)
    }

    /// Removes the folder; does nothing after ``publish()``.
    func discard() {
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// A socket in its place.
    struct Published: Sendable {
        fileprivate let path: String
        fileprivate let inode: UInt64?

        /// Removes the file, unless another listener has put its own there.
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
