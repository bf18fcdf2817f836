import Foundation

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

    /// Removes a stale socket so that it can be bound again. Never touches a file that is not a socket.
    ///
    /// The caller must have made sure that nobody listens on it.
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
