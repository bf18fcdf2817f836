import CredentialDigest
public import CredentialModel
import LMDB

/// One thread's way to read rows: a read transaction of its own, renewed for each read and reset after it.
///
/// Not to be used by two threads at once.
public final class StoreReader: @unchecked Sendable {
    private let reader: Reader
    private let credentials: Database
    private let aliases: Database

    init(environment: Environment, schema: Schema) throws(StoreFailure) {
        reader = try naming { () throws in try environment.makeReader() }
        credentials = schema.credentials
        aliases = schema.aliases
    }

    /// What a read found.
    public enum Outcome: Sendable {
        case absent
        /// The record as of the transaction with this id.
        case found(stamp: UInt64)
        case damaged
    }

    /// Reads the record of a credential without allocating.
    /// - Parameter longOwner: takes the owner's bytes if there are more than the record holds.
    /// - Throws: ``StoreFailure/lmdb(_:)`` when the store cannot answer. An unknown id is an outcome, not an error.
    public func read(
        _ id: CredentialID, into record: inout CredentialRecord, longOwner: inout [UInt8]
    ) throws(StoreFailure) -> Outcome {
        do {
            return try reader.read { (transaction) throws(LMDBError) -> Outcome in
                let stamp = transaction.id
                let intact = try transaction.get(credentials, key: id.rawValue) { row -> Bool in
                    guard record.fillIn(row: row, id: id) else { return false }
                    if !record.holdsWholeOwner { longOwner = StoredCredential(row: row, id: id)?.owner ?? [] }
                    return true
                }
                guard let intact else { return .absent }
                return intact ? .found(stamp: stamp) : .damaged
            }
        } catch {
            throw .lmdb(error)
        }
    }

    /// The id that an imported credential goes by; nil when it was never imported.
    /// - Throws: ``StoreFailure/corrupt(table:)`` for a damaged row: that is trouble, not an unknown key.
    public func alias(_ key: RawSpan) throws(StoreFailure) -> CredentialID? {
        let id: UInt64??
        do {
            id = try reader.read { (transaction) throws(LMDBError) -> UInt64?? in
                try transaction.get(aliases, key: key) { $0.byteCount == 8 ? $0.word64(at: 0) : nil }
            }
        } catch {
            throw .lmdb(error)
        }
        guard let id else { return nil }
        guard let id else { throw .corrupt(table: "aliases") }
        return CredentialID(rawValue: id)
    }
}
