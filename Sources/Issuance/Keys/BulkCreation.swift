public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// The maximum number of keys in one bulk creation.
    public static let keysInBulkMax = 100_000_000

    /// Checks a request for many keys with the same properties; nothing is created yet.
    /// - Throws: ``IssuanceError/invalid(field:reason:)``, ``IssuanceError/forbidden(reason:field:)``.
    public func bulkCreation(of request: KeyRequest) throws(IssuanceError) -> BulkCreation {
        let count = request.count ?? 1
        guard (1...Self.keysInBulkMax).contains(count) else {
            throw .invalid(field: "count", reason: "must be 1 to \(Self.keysInBulkMax)")
        }
        return BulkCreation(issuer: self, traits: try KeyTraits(request, issuer: self), count: count)
    }
}

/// Creates many keys with the same properties, about a thousand at a time.
///
/// The keys are created in the order of their ids, which is the order of the tables. Each page is then written once and
/// filled, while ids in random order would touch a page for each key. An empty store gets all keys by appending.
///
/// To have them in order without generating and sorting all ids first, the id space is divided evenly among the chunks, and
/// each chunk draws its ids from its own part:
///
/// ```
/// 1                                                  2^64-1
/// |  chunk 0  |  chunk 1  |  chunk 2  |  …  |  last chunk  |
///    sorted      sorted      sorted            sorted
/// ```
///
/// So memory holds two chunks, whatever the count is, and no step takes longer than one chunk. Collisions of ids are as
/// unlikely as when all are drawn from the whole space.
public struct BulkCreation: Sendable {
    /// A part of the keys, already durable.
    public struct Chunk: Sendable {
        /// The first key; all others have the same properties except the id.
        public let first: CredentialSummary
        public let keys: [(id: CredentialID, secret: SecretText)]
    }

    /// The number of keys in one mutation. A revocation that is submitted meanwhile waits for one mutation at most.
    static let chunkSize = 1_000

    let issuer: Issuer
    let traits: KeyTraits
    let count: Int

    /// Creates the keys, and passes each chunk to `receive` once it is durable, while the next one is being created.
    ///
    /// Ends when `receive` throws, as it does when the client has disconnected, and when the task is cancelled.
    /// - Throws: ``IssuanceError``, `CancellationError`, and what `receive` throws. All keys that were passed on exist then,
    ///   and up to one chunk more.
    public func run(_ receive: (Chunk) async throws -> Void) async throws {
        let parts = (count + Self.chunkSize - 1) / Self.chunkSize
        var previous: Chunk?
        for part in 0..<parts {
            try Task.checkCancellation()
            async let next = make(min(Self.chunkSize, count - part * Self.chunkSize), in: Self.ids(of: part, of: parts))
            if let previous { try await receive(previous) }
            previous = try await next
        }
        if let previous { try await receive(previous) }
    }

    /// The range from which a part draws its ids. The parts have the same width, except that the last one also has the
    /// remainder.
    static func ids(of part: Int, of parts: Int) -> ClosedRange<UInt64> {
        let width = UInt64.max / UInt64(parts)
        let first = UInt64(part) * width + 1
        return first...(part == parts - 1 ? UInt64.max : first + width - 1)
    }

    /// Creates one chunk. If an id is already taken, all ids of the chunk are generated again.
    private func make(_ count: Int, in ids: ClosedRange<UInt64>) async throws -> Chunk {
        let actor = issuer.actor
        let owner = String(decoding: traits.owner, as: UTF8.self)
        while true {
            let minted = try await issuer.mint(Self.draw(count, from: ids), kind: .apiKey, owner: traits.owner)
            do {
                let first = try await issuer.write(creates: true) { [traits] writer, transaction in
                    var first: StoredCredential?
                    for pending in minted {
                        var credential = pending.credential
                        try traits.apply(to: &credential, writer, in: transaction)
                        try writer.insertPending(credential, in: transaction)
                        if first == nil { first = credential }
                    }
                    let action = AuditedAction(
                        .keysCreated, credentials: minted.map(\.credential.record.id), owner: owner)
                    try writer.audit(action, by: actor, in: transaction)
                    return first
                }
                guard let first else { throw IssuanceError.unavailable(reason: "no key could be generated") }
                return Chunk(
                    first: issuer.summary(first), keys: minted.map { ($0.credential.record.id, $0.secret) })
            } catch is MintAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }

    /// Random ids in the order of the tables.
    private static func draw(_ count: Int, from ids: ClosedRange<UInt64>) -> [CredentialID] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt64.random(in: ids, using: &generator) }.sorted()
            .map { CredentialID(rawValue: $0) }
    }
}
