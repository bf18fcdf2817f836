import Foundation
import LMDB

/// What a command proves itself with to a control plane on the network: a key, read from a file.
enum ControlCredential {
    private static let bytesMax = 8_192

    /// The value of the Authorization field.
    /// - Throws: ``CommandFailure`` for a file that others may read, and for one without one line of visible characters.
    static func field(fromFile path: String) throws(CommandFailure) -> String {
        let bytes: [UInt8]
        do {
            bytes = try SecretFile.read(path: path, bytesMax: bytesMax)
        } catch {
            throw CommandFailure("The key file '\(path)' cannot be used: \(error.description).", status: .usage)
        }
        let text = String(validating: bytes, as: UTF8.self)
        guard let key = text?.trimmingCharacters(in: .whitespacesAndNewlines), !key.isEmpty,
            key.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw CommandFailure("The key file '\(path)' must hold one key, on one line.", status: .usage)
        }
        return "ApiKey \(key)"
    }
}
