import CredentialDigest
public import CredentialModel
import CredentialStore
import LMDB

/// A new credential with its secret text, which is not stored.
public struct IssuedCredential: Sendable {
    public var summary: CredentialSummary
    public var secret: SecretText
}

/// A credential that is generated but not yet stored: its row, and its secret text for the caller.
struct PendingCredential: Sendable {
    var credential: StoredCredential
    let secret: SecretText

    /// Generates a secret, and an id unless one is passed, and computes the tag under the newest pepper. Too slow for the
    /// writer thread.
    /// - Returns: nil if the text is not a valid credential; generate again.
    static func mint(
        _ id: CredentialID = .random(), kind: CredentialKind, owner: [UInt8], store: CredentialStore
    ) -> PendingCredential? {
        let secret = CredentialFormat.mint(kind: kind, id: id, vendor: store.vendor)
        guard let native = NativeCredential(secret.revealBytes().octets, vendor: store.vendor) else { return nil }
        let place = store.peppers.newest
        let tag = store.peppers.tag(of: native.block, at: place)
        let record = CredentialRecord(id: id, kind: kind, tag: tag, pepper: place.number)
        return PendingCredential(credential: StoredCredential(record: record, owner: owner, name: nil), secret: secret)
    }
}

extension Issuer {
    /// Generates a credential for each id.
    ///
    /// Many are generated in blocks on threads for long work. On the cooperative threads, a caller that keeps creating keys
    /// would delay revocations. A few are generated right here, since switching threads would take longer.
    func mint(
        _ ids: [CredentialID], kind: CredentialKind, owner: [UInt8]
    ) async throws(IssuanceError) -> [PendingCredential] {
        guard ids.count > 10 else {
            return ids.compactMap { PendingCredential.mint($0, kind: kind, owner: owner, store: store) }
        }
        var minted: [PendingCredential] = []
        for start in stride(from: 0, to: ids.count, by: WorkThreads.credentialsPerPiece) {
            let piece = ids[start..<min(start + WorkThreads.credentialsPerPiece, ids.count)]
            minted += try await offThread { store in
                WorkThreads.assertNoTask()
                return piece.compactMap { PendingCredential.mint($0, kind: kind, owner: owner, store: store) }
            }
        }
        return minted
    }
}

extension PendingCredential {
    /// Gives an access token the next id in the order of its table; other kinds are returned unchanged.
    ///
    /// Must run on the writer thread, in the transaction that inserts the token, because the next id is known only there.
    func numbered(
        by writer: StoreWriter, store: CredentialStore, in transaction: borrowing WriteTransaction
    ) throws -> PendingCredential {
        guard credential.record.kind == .accessToken else { return self }
        let id = try writer.nextTokenID(in: transaction)
        let secret = CredentialFormat.text(secret, under: id)
        guard let native = NativeCredential(secret.revealBytes().octets, vendor: store.vendor) else {
            throw MintAgain()
        }
        let place = store.peppers.newest
        var credential = credential
        credential.record.id = id
        credential.record.tag = store.peppers.tag(of: native.block, at: place)
        credential.record.pepper = place.number
        return PendingCredential(credential: credential, secret: secret)
    }
}

/// The id is taken, or the pepper is no longer the newest: generate again. Nothing was written.
struct MintAgain: Error {}

extension StoreWriter {
    /// Inserts a new credential.
    /// - Throws: ``MintAgain`` if its id or pepper cannot be used.
    func insertPending(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws {
        guard try insert(credential, in: transaction) else { throw MintAgain() }
    }
}

extension Issuer {
    /// Generates, completes and inserts `count` credentials in one mutation; starts again if an id or the pepper cannot be
    /// used.
    /// - Parameters:
    ///   - action: the entry for the audit log, to which the ids are added.
    ///   - fill: sets the remaining members of a new row, inside the mutation.
    func issue(
        _ kind: CredentialKind, count: Int = 1, owner: [UInt8], as action: AuditedAction,
        _ fill: @escaping @Sendable (StoreWriter, borrowing WriteTransaction, inout StoredCredential) throws -> Void
    ) async throws(IssuanceError) -> [IssuedCredential] {
        let (store, actor, repeatable) = (store, actor, repeatable)
        while true {
            // Sorted, as in the tables: many keys then touch fewer pages and split them less often.
            let ids = (0..<count).map { _ in CredentialID.random() }.sorted { $0.rawValue < $1.rawValue }
            let minted = try await mint(ids, kind: kind, owner: owner)
            do {
                let issued = try await write(creates: true) { writer, transaction in
                    var issued: [(StoredCredential, SecretText)] = []
                    for pending in minted {
                        let pending = try pending.numbered(by: writer, store: store, in: transaction)
                        var credential = pending.credential
                        try fill(writer, transaction, &credential)
                        try writer.insertPending(credential, in: transaction)
                        issued.append((credential, pending.secret))
                    }
                    var action = action
                    action.credentials = issued.map(\.0.record.id)
                    try writer.audit(action, by: actor, in: transaction)
                    if let repeatable {
                        try writer.remember(repeatable, made: issued.map(\.0.record.id), in: transaction)
                    }
                    return issued
                }
                return issued.map { IssuedCredential(summary: summary($0.0), secret: $0.1) }
            } catch is MintAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }
}
