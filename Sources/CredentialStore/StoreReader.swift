import CredentialDigest
public import CredentialModel
import LMDB

/// One thread's way to read rows: it owns a read transaction that is renewed for each read and reset after it.
///
/// Must not be used by two threads at once.
public final class StoreReader: @unchecked Sendable {
    private let reader: Reader
    private let credentials: AuthenticatedTable
    private let tokens: AuthenticatedTable
    private let aliases: AuthenticatedTable

    init(environment: Environment, schema: Schema) throws(StoreFailure) {
        reader = try convertingErrors { () throws in try environment.makeReader() }
        credentials = schema.credentials
        tokens = schema.tokens
        aliases = schema.aliases
    }

    /// What a read found.
    public enum Outcome: Sendable {
        case absent
        /// The record as of the transaction with this id.
        case found(stamp: UInt64)
        /// There is a row, but it is not as it was written.
        case damaged(StoreFailure)
    }

    /// Reads the record of a credential without allocating.
    /// - Parameters:
    ///   - kind: the presented kind: an id of another kind is absent.
    ///   - longOwner: receives the owner's bytes if there are more than the record holds.
    /// - Throws: ``StoreFailure/lmdb(_:)`` when the store cannot answer. An unknown id is an outcome, not an error.
    public func read(
        _ id: CredentialID, _ kind: CredentialKind, into record: inout CredentialRecord, longOwner: inout [UInt8]
    ) throws(StoreFailure) -> Outcome {
        kind == .accessToken
            ? try read(id, in: tokens, into: &record, longOwner: &longOwner)
            : try read(id, in: credentials, into: &record, longOwner: &longOwner)
    }

    private func read(
        _ id: CredentialID, in table: borrowing AuthenticatedTable, into record: inout CredentialRecord,
        longOwner: inout [UInt8]
    ) throws(StoreFailure) -> Outcome {
        do {
            return try reader.read { (transaction) throws(LMDBError) -> Outcome in
                let stamp = transaction.id
                let intact = try transaction.get(table.database, key: id.rawValue) { value -> Bool in
                    table.open(value, key: id.rawValue) { row -> Bool? in
                        guard record.fillIn(row: row, id: id) else { return nil }
                        if !record.holdsWholeOwner { longOwner = StoredCredential(row: row, id: id)?.owner ?? [] }
                        return true
                    } ?? false
                }
                guard let intact else { return .absent }
                return intact ? .found(stamp: stamp) : .damaged(table.damaged(key: id.rawValue))
            }
        } catch {
            throw .lmdb(error)
        }
    }

    /// The id of an imported credential; nil when it was never imported.
    /// - Throws: ``StoreFailure/damaged(table:row:)`` for a damaged row, which is not the same as an unknown key.
    public func alias(_ key: RawSpan) throws(StoreFailure) -> CredentialID? {
        let id: CredentialID??
        do {
            id = try reader.read { (transaction) throws(LMDBError) -> CredentialID?? in
                try transaction.get(aliases.database, key: key) { value -> CredentialID? in
                    aliases.open(value, key: key) { AliasRow.id($0) }
                }
            }
        } catch {
            throw .lmdb(error)
        }
        guard let id else { return nil }
        guard let id else { throw aliases.damaged(key: key) }
        return id
    }
}
