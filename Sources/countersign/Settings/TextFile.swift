import Foundation

/// Reads the small text files that settings name.
enum TextFile {
    /// More than any file of settings or policies has.
    private static let bytesMax = 4 << 20

    /// - Parameter what: the kind of file, for the error: "settings file".
    /// - Throws: ``CommandFailure`` that says whether it is missing, closed to this user, a folder, too long or not UTF-8.
    static func read(_ path: String, _ what: String) throws(CommandFailure) -> String {
        func failure(_ reason: String) -> CommandFailure {
            CommandFailure("The \(what) '\(path)' \(reason)", status: .usage)
        }
        let file: FileHandle
        do {
            file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        } catch {
            throw failure(reason(of: error))
        }
        let bytes: Data
        do {
            bytes = try file.read(upToCount: bytesMax + 1) ?? Data()
        } catch {
            throw failure(reason(of: error))
        }
        guard bytes.count <= bytesMax else { throw failure("has more than \(bytesMax) bytes. Is it the right file?") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("is not well-formed UTF-8. Save it as UTF-8.")
        }
        return text
    }

    /// Why a file cannot be opened or read, with what to do.
    static func reason(of error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        let code = (error as NSError).domain == NSPOSIXErrorDomain ? (error as NSError).code : underlying?.code
        return switch code.map(Int32.init(clamping:)) {
        case ENOENT, ENOTDIR: "does not exist. Check the path."
        case EACCES, EPERM: "may not be read by this user. Check its permissions and those of its folder."
        case EISDIR: "is a folder. Name a file."
        default: "cannot be read."
        }
    }
}
