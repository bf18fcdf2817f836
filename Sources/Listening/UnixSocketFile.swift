import Foundation

/// The file of a Unix socket: who may connect is who may write it.
public enum UnixSocketFile {
    /// Why a socket's file cannot be used.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Somebody listens on this socket: it is not stale.
    public static func inUse(_ path: String) -> Fault {
        Fault(description: "another process listens on \(path): stop it first, or choose another path")
    }

    /// Takes a stale socket away, so that it can be bound again. A file that is no socket is never touched.
    ///
    /// The caller has made sure that nobody listens on it.
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

    /// Gives a bound socket its permission and group.
    ///
    /// The caller binds in a folder or under a mask that keeps others out until this is done.
    public static func secure(_ path: String, mode: UInt16, group: String?) throws(Fault) {
        var attributes: [FileAttributeKey: Any] = [.posixPermissions: NSNumber(value: mode)]
        if let group { attributes[.groupOwnerAccountName] = group }
        do {
            try FileManager.default.setAttributes(attributes, ofItemAtPath: path)
            // A group that does not exist is passed over without an error, so what came of it is read back.
            if let group {
                let name = try FileManager.default.attributesOfItem(atPath: path)[.groupOwnerAccountName] as? String
                guard name == group else { throw CocoaError(.fileWriteUnknown) }
            }
        } catch {
            throw Fault(description: "the socket \(path) cannot be given mode \(String(mode, radix: 8)) and its group")
        }
    }

    /// Removes a socket's file at the end.
    public static func remove(_ path: String) {
        try? FileManager.default.removeItem(atPath: path)
    }
}
