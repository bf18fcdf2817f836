import CredentialModel
import CredentialStore
import RecordCache
import LMDB

extension Issuer {
    /// Most keys in one request.
    public static let keysPerRequestMax = 1_000

    /// Creates one or more API keys with the same properties.
    /// - Returns: each with its text, which is shown once and stored nowhere.
    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for an invalid request; nothing is created then.
    public func createKeys(_ request: KeyRequest) async throws(IssuanceError) -> [IssuedCredential] {
        guard (1...Self.keysPerRequestMax).contains(request.count) else {
            throw .invalid(field: "count", reason: "must be 1 to \(Self.keysPerRequestMax)")
        }
        let now = store.clock.now()
        let traits = try KeyTraits(request, issuer: self, now: now)
        return try await issue(
            kind: .apiKey, count: request.count, owner: traits.owner, name: traits.name,
            as: AuditDeed(.keysCreated, owner: request.owner)
        ) { writer, transaction, record in
            try traits.apply(to: &record, now: now, writer, in: transaction)
        }
    }

    /// Generates, fills in and inserts `count` credentials in one mutation; starts again if an id or the pepper is unusable.
    /// - Parameter deed: the entry for the audit log, to which the ids are added; nil for routine operations.
    func issue(
        kind: CredentialKind, count: Int = 1, owner: [UInt8], name: String?, as deed: AuditDeed? = nil,
        _ fill: @escaping @Sendable (StoreWriter, borrowing WriteTransaction, inout CredentialRecord) throws -> Void
    ) async throws(IssuanceError) -> [IssuedCredential] {
        let (store, actor, repeatable) = (store, actor, repeatable)
        while true {
            // In the order of their ids, as in the tables: a large number then touches fewer pages and splits them less.
            let ids = (0..<count).map { _ in CredentialID.random() }.sorted { $0.rawValue < $1.rawValue }
            let newborns = try await mint(ids, kind: kind, owner: owner, name: name)
            do {
                let issued = try await write(creates: true) { writer, transaction in
                    var issued: [(StoredCredential, SecretText)] = []
                    for newborn in newborns {
                        let newborn = try newborn.numbered(by: writer, store: store, in: transaction)
                        var credential = newborn.credential
                        try fill(writer, transaction, &credential.record)
                        try writer.insertNewborn(credential, in: transaction)
                        issued.append((credential, newborn.secret))
                    }
                    if var deed {
                        deed.credentials = issued.map(\.0.record.id)
                        try writer.audit(deed, by: actor, in: transaction)
                    }
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
