public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension Issuer {
    /// Creates one or more API keys with the same properties.
    /// - Returns: each with its text, which is shown once and stored nowhere.
    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for an invalid request; nothing is created then.
    public func createKeys(_ request: KeyRequest) async throws(IssuanceError) -> [IssuedCredential] {
        let count = request.count ?? 1
        guard (1...KeyRequest.countMax).contains(count) else {
            throw .invalid(field: "count", reason: "must be 1 to \(KeyRequest.countMax)")
        }
        let traits = try KeyTraits(request, issuer: self)
        let action = AuditedAction(.keysCreated, owner: request.owner)
        return try await issue(.apiKey, count: count, owner: traits.owner, as: action) { writer, transaction, row in
            try traits.apply(to: &row, writer, in: transaction)
        }
    }

    /// Generates, fills in and inserts `count` credentials in one mutation; starts again if an id or the pepper is unusable.
    /// - Parameter action: the entry for the audit log, to which the ids are added.
    func issue(
        _ kind: CredentialKind, count: Int = 1, owner: [UInt8], as action: AuditedAction,
        _ fill: @escaping @Sendable (StoreWriter, borrowing WriteTransaction, inout StoredCredential) throws -> Void
    ) async throws(IssuanceError) -> [IssuedCredential] {
        let (store, actor, repeatable) = (store, actor, repeatable)
        while true {
            // In the order of their ids, as in the tables: a large number then touches fewer pages and splits them less.
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
            } catch is DrawAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }
}
