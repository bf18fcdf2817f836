import CredentialDigest
import LMDB
import RecordCache

/// Keeps the peppers and schemes of a process equal to those that its store uses, where somebody else changes them: the
/// store's owner, or another node of the fleet.
struct KeysInUse: Sendable {
    let meta: MetaTable
    let published: Published
    let peppers: PepperRing
    /// The file from which a new pepper is read.
    let pepperPath: String
    let foreignSchemes: ForeignSchemes

    /// Reads the pepper file again if the store uses a pepper that is not known here.
    ///
    /// If the file lacks it, verification goes on with the others; credentials under the new one fail, and are not
    /// reported as inactive.
    /// - Returns: false if the file lacks it.
    func learnPeppers(in transaction: borrowing ReadTransaction) throws(StoreFailure) -> Bool {
        guard let highest = try unknownPepper(in: transaction) else { return true }
        // First makes room.
        try forgetPeppers(in: transaction)
        guard let file = try? PepperFile.read(path: pepperPath),
            let known = try? meta.knownPeppers(of: file, in: transaction)
        else { return false }
        for pepper in known.peppers { _ = peppers.add(pepper) }
        return peppers.newest.number == highest
    }

    /// The number of the newest pepper, if it is not known here.
    func unknownPepper(in transaction: borrowing ReadTransaction) throws(StoreFailure) -> UInt16? {
        let highest = UInt16(truncatingIfNeeded: try meta.number(.pepperHighest, in: transaction) ?? 0)
        return peppers.newest.number < highest ? highest : nil
    }

    func forgetPeppers(in transaction: borrowing ReadTransaction) throws(StoreFailure) {
        for number in peppers.numbers where try meta.value(.pepperCheck(number), in: transaction) == nil {
            _ = peppers.retire(number)
        }
    }

    /// Without the key of a scheme, credentials imported by it would be reported as unknown.
    func learnSchemes(in transaction: borrowing ReadTransaction) throws(StoreFailure) {
        do throws(StoreFailure) {
            published.note(try meta.schemesInUse(of: foreignSchemes, in: transaction))
        } catch .hmacKeyMissing(let name) {
            throw .needsReopening(because: "keys imported under the HMAC key '\(name)'")
        }
    }
}
