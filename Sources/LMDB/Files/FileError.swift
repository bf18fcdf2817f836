internal import Glibc

/// A failure with a file that this module reads or writes.
public enum FileError: Error, Equatable, Sendable, CustomStringConvertible {
    case absent(path: String)
    case exists(path: String)
    case notRegular(path: String)
    case notADirectory(path: String)
    /// The group has write access, or others have any.
    case tooOpen(path: String, mode: UInt32)
    case tooLong(path: String, bytesMax: Int)
    case system(path: String, code: Int32)

    init(_ path: String, _ code: Int32) {
        switch code {
        case ENOENT: self = .absent(path: path)
        case EEXIST: self = .exists(path: path)
        case ENOTDIR: self = .notADirectory(path: path)
        default: self = .system(path: path, code: code)
        }
    }

    public var description: String {
        switch self {
        case .absent(let path): "\(path): no such file or folder"
        case .exists(let path): "\(path): exists already"
        case .notRegular(let path): "\(path): not a regular file"
        case .notADirectory(let path): "\(path): not a folder, or lies in something that is none"
        case .tooOpen(let path, let mode):
            "\(path): its mode is 0\(String(mode, radix: 8)), but others must have no access and the group must not "
                + "write: chmod 0400 \(path)"
        case .tooLong(let path, let bytesMax): "\(path): longer than \(bytesMax) bytes"
        case .system(let path, let code): "\(path): \(systemText(code))"
        }
    }

    /// The corresponding ``LMDBError``.
    var asLMDBError: LMDBError {
        switch self {
        case .absent: .storeAbsent
        case .exists: .system(EEXIST)
        case .notADirectory: .system(ENOTDIR)
        case .notRegular, .tooOpen, .tooLong: .system(EINVAL)
        case .system(_, let code): LMDBError(code: code)
        }
    }
}
