public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// Keys that one bulk creation may make.
    public static let keysInBulkMax = 100_000_000

    /// Checks a request for many keys alike; nothing is made yet.
    /// - Throws: ``IssuanceError/invalid(field:reason:)``.
    public func bulkCreation(of request: KeyRequest) throws(IssuanceError) -> BulkCreation {
        guard (1...Self.keysInBulkMax).contains(request.count) else {
            throw .invalid(field: "count", reason: "must be 1 to \(Self.keysInBulkMax)")
        }
        let traits = try KeyTraits(request, issuer: self, now: store.clock.now())
        return BulkCreation(issuer: self, traits: traits, count: request.count)
    }
}

/// Makes many keys alike, some thousand at a time.
///
/// The ids are drawn beforehand and the keys made in the order of their ids. That is the order of the tables: each of their
/// pages is written once and filled, where ids in any order would touch a page for each. A store that was empty gets all of
/// them by appending.
public struct BulkCreation: Sendable {
    /// Some of the keys. They are durable.
    public struct Chunk: Sendable {
        /// What they have in common, by the example of the first.
        public let first: CredentialSummary
        public let keys: [(id: CredentialID, secret: SecretText)]
    }

    /// Keys that are made in one mutation: a revocation that comes meanwhile waits for so many at most.
    static let chunkSize = 1_000
    /// Ids that are drawn at once: 8 bytes each.
    private static let runSize = 16 << 20

    let issuer: Issuer
    let traits: KeyTraits
    let count: Int

    /// Makes them, and hands over each chunk as soon as it is durable, while the next one is being made.
    /// - Throws: ``IssuanceError``, and what `receive` throws; what was handed over until then exists, and one chunk more may.
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

    /// An id that is taken already is drawn again, all of the chunk with it.
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
