import Foundation
import Glibc

/// The file of a Unix socket: its write permission decides who may connect.
public enum UnixSocketFile {
    /// Why a socket's file cannot be used.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// The error for a socket on which another process listens.
    public static func inUse(_ path: String) -> Fault {
        Fault(description: "another process listens on \(path): stop it first, or choose another path")
    }

    /// Whether a process listens on a socket file.
    ///
    /// Does not wait: a listener whose queue is full is a fault.
    /// - Throws: ``Fault`` if that cannot be determined. That must not count as "nobody": the caller would remove the file of a
    ///   running process.
    /// - SeeAlso: connect(2), unix(7)
    public static func isListening(_ path: String) throws(Fault) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw Fault(description: "the socket path \(path) is too long for the system: use a shorter folder")
        }
        // SAFETY: the text is shorter than the buffer, so a terminating zero remains.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(AF_UNIX, Int32(kind), 0)
        guard descriptor >= 0 else { throw unanswered(path, errno) }
        defer { close(descriptor) }
        // SAFETY: a `sockaddr_un` may be read as a `sockaddr`, and the call is given its size.
        let code = unsafe withUnsafeBytes(of: &address) { bytes in
            let status = unsafe connect(
                descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
            return status == 0 ? 0 : errno
        }
        switch code {
        case 0: return true
        // There is no file, or no process behind it.
        case ENOENT, ECONNREFUSED: return false
        default: throw unanswered(path, code)
        }
    }

    /// - Parameter code: the system's error.
    private static func unanswered(_ path: String, _ code: CInt) -> Fault {
        switch code {
        case EACCES, EPERM:
            Fault(description: "this user may not use the socket \(path): run as the user whose process listens there")
        case EAGAIN:
            Fault(
                description:
                    "the process that listens on \(path) does not accept connections now: try again in a moment")
        case EMFILE, ENFILE:
            Fault(
                description:
                    "no file descriptor is left to test the socket \(path): raise the limit (LimitNOFILE, ulimit -n)")
        case ENOTDIR: Fault(description: "no socket can be at \(path): a part of the path is a file and not a folder")
        case EPROTOTYPE: Fault(description: "\(path) is a socket of another kind: choose another path")
        default: Fault(description: "whether a process listens on \(path) cannot be determined (system error \(code))")
        }
    }

    /// Removes a stale socket so that it can be bound again. Never touches a file that is not a socket.
    ///
    /// The caller must have made sure by ``isListening(_:)`` that nobody listens on it.
    public static func removeStale(_ path: String) throws(Fault) {
        let manager = FileManager.default
        guard let attributes = try? manager.attributesOfItem(atPath: path) else { return }
        guard attributes[.type] as? FileAttributeType == .typeSocket else {
            throw Fault(description: "\(path) exists and is no socket: choose another path")
        }
        do {
            try manager.removeItem(atPath: path)
        } catch {
            throw Fault(description: "the stale socket \(path) cannot be removed: check the folder's permissions")
        }
    }

    /// Sets the mode and group of a bound socket.
    ///
    /// The caller must bind in a folder or under a umask that excludes others until this is done.
    public static func secure(_ path: String, mode: UInt16, group: String?) throws(Fault) {
        var attributes: [FileAttributeKey: Any] = [.posixPermissions: NSNumber(value: mode)]
        if let group { attributes[.groupOwnerAccountName] = group }
        do {
            try FileManager.default.setAttributes(attributes, ofItemAtPath: path)
            // A group that does not exist is silently ignored, so the result is read back.
            if let group {
                let name = try FileManager.default.attributesOfItem(atPath: path)[.groupOwnerAccountName] as? String
                guard name == group else { throw CocoaError(.fileWriteUnknown) }
            }
        } catch {
            throw Fault(description: "the socket \(path) cannot be given mode \(String(mode, radix: 8)) and its group")
        }
    }

    /// Removes a socket's file at shutdown.
    public static func remove(_ path: String) {
        try? FileManager.default.removeItem(atPath: path)
    }
}
