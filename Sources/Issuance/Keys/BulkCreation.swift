public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// Most keys of one bulk creation.
    public static let keysInBulkMax = 100_000_000

    /// Checks a request for many identical keys; nothing is created yet.
    /// - Throws: ``IssuanceError/invalid(field:reason:)``.
    public func bulkCreation(of request: KeyRequest) throws(IssuanceError) -> BulkCreation {
        guard (1...Self.keysInBulkMax).contains(request.count) else {
            throw .invalid(field: "count", reason: "must be 1 to \(Self.keysInBulkMax)")
        }
        let traits = try KeyTraits(request, issuer: self, now: store.clock.now())
        return BulkCreation(issuer: self, traits: traits, count: request.count)
    }
}

/// Creates many keys with the same properties, about a thousand at a time.
///
/// Ids are generated first and keys are created in the order of their ids, which is the order of the tables. So each page is
/// written once and filled; random ids would touch a page for each key. An empty store gets all of them by appending.
public struct BulkCreation: Sendable {
    /// Some of the keys, already durable.
    public struct Chunk: Sendable {
        /// The first of them, as an example of their common properties.
        public let first: CredentialSummary
        public let keys: [(id: CredentialID, secret: SecretText)]
    }

    /// Keys created in one mutation: the most for which a revocation submitted meanwhile has to wait.
    static let chunkSize = 1_000
    /// Ids generated at once: 8 bytes each.
    private static let runSize = 16 << 20

    let issuer: Issuer
    let traits: KeyTraits
    let count: Int

    /// Creates the keys, and hands over each chunk once it is durable, while the next one is being created.
    /// - Throws: ``IssuanceError``, and what `receive` throws; all keys handed over exist then, and one more chunk may.
    public func run(_ receive: (Chunk) async throws -> Void) async throws {
        var rest = count
        var isWaiting: Chunk?
        while rest > 0 {
            let ids = Self.sortedIDs(min(rest, Self.runSize))
            rest -= ids.count
            for start in stride(from: 0, to: ids.count, by: Self.chunkSize) {
                async let next = make(ids[start..<min(start + Self.chunkSize, ids.count)])
                if let chunk = isWaiting { try await receive(chunk) }
                isWaiting = try await next
            }
        }
        if let chunk = isWaiting { try await receive(chunk) }
    }

    private static func sortedIDs(_ count: Int) -> [CredentialID] {
        var ids = [CredentialID]()
        ids.reserveCapacity(count)
        for _ in 0..<count { ids.append(.random()) }
        ids.sort { $0.rawValue < $1.rawValue }
        return ids
    }

    /// If an id is already taken, all ids of the chunk are generated again.
    private func make(_ ids: ArraySlice<CredentialID>) async throws -> Chunk {
        var ids = ids
        let (store, actor) = (issuer.store, issuer.actor)
        let owner = String(decoding: traits.owner, as: UTF8.self)
        while true {
            let newborns = ids.compactMap {
                Newborn.mint($0, kind: .apiKey, store: store, owner: traits.owner, name: traits.name)
            }
            let now = store.clock.now()
            do {
                let first = try await issuer.write(creates: true) { [traits] writer, transaction in
                    var first: StoredCredential?
                    for newborn in newborns {
                        var credential = newborn.credential
                        try traits.apply(to: &credential.record, now: now, writer, in: transaction)
                        try writer.insertNewborn(credential, in: transaction)
                        if first == nil { first = credential }
                    }
                    let deed = AuditDeed(
                        .keysCreated, credentials: newborns.map(\.credential.record.id), owner: owner)
                    try writer.audit(deed, by: actor, in: transaction)
                    return first
                }
                guard let first else { throw IssuanceError.unavailable(reason: "no key could be minted") }
                return Chunk(
                    first: issuer.summary(first), keys: newborns.map { ($0.credential.record.id, $0.secret) })
            } catch is DrawAgain {
                ids = Self.sortedIDs(ids.count)[...]
            } catch {
                throw IssuanceError(error)
            }
        }
    }
}
