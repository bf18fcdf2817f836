public import CredentialDigest
import LMDB

extension PepperFile {
    /// Reads and checks a pepper file: no access for others, no group write, well-formed. Follows symbolic links.
    /// - Throws: ``StoreFailure/pepperFile(reason:)`` that says what is wrong with it.
    public static func read(path: String) throws(StoreFailure) -> PepperFile {
        do {
            return try PepperFile(parsing: SecretFile.read(path: path, bytesMax: bytesMax))
        } catch let fault as Fault {
            throw .pepperFile(reason: "\(path): \(fault.description)")
        } catch let error as FileError {
            throw .pepperFile(reason: error.description)
        } catch {
            throw .unexpected(String(describing: type(of: error)))
        }
    }
}
