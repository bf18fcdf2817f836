public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// A bulk revocation by one watermark.
public struct BulkRevocation: Sendable, Equatable {
    /// Everything of its subject that was issued under a lower journal number is revoked.
    public var journalNumber: UInt64
    /// For counting what it revoked: its subject, the watermarks before and after, and the time.
    fileprivate var subject: WatermarkSubject
    fileprivate var before: Watermark?
    fileprivate var after: Watermark?
    fileprivate var at: UnixSeconds

    /// Raises the watermark of a subject.
    static func raise(
        of subject: WatermarkSubject, issuedBefore: UnixSeconds?, by writer: StoreWriter,
        in transaction: borrowing WriteTransaction
    ) throws -> BulkRevocation {
        let before = try writer.watermark(of: subject, in: transaction)
        let number = try writer.raiseWatermark(of: subject, issuedBefore: issuedBefore, in: transaction)
        return BulkRevocation(
            journalNumber: number, subject: subject, before: before,
            after: try writer.watermark(of: subject, in: transaction), at: writer.now)
    }

    /// Whether this revoked the credential, which would be valid without it.
    fileprivate func ended(_ credential: StoredCredential, in published: Published) -> Bool {
        var record = credential.record
        guard !record.flags.contains(.revoked), record.expiresAt > at,
            after?.revokes(journalNumber: record.journalNumber, issuedAt: record.issuedAt) ?? false,
            !(before?.revokes(journalNumber: record.journalNumber, issuedAt: record.issuedAt) ?? false)
        else { return false }
        // Checks the watermarks of the other subjects.
        switch subject {
        case .owner: record.owner = OwnerText()
        case .client(let number):
            guard record.client == number else { return false }
            record.client = 0
            guard
                credential.record.owner.isWhole
                    || !published.watermarks.revokes(credential.record, longOwner: credential.owner.octets)
            else { return false }
        case .family(let number):
            guard record.family == number else { return false }
            record.family = 0
        }
        return !published.watermarks.revokes(record)
    }
}

/// How many valid credentials a bulk revocation ended.
public struct EndedCount: Sendable, Equatable {
    public var byKind: [CredentialKind: Int] = [:]
    /// False if the time for counting was up and there are more.
    public var isComplete = true

    public var total: Int { byKind.values.reduce(0, +) }
}

extension Issuer {
    /// Counts what a bulk revocation ended. Runs afterwards, so that it does not delay the revocation: the watermarks before
    /// and after show what it ended.
    ///
    /// An owner's credentials are found by index; for a client all rows are examined.
    /// - Parameter limit: how long it may take.
    public func countEnded(
        by revocation: BulkRevocation, within limit: Duration = .seconds(3)
    ) async throws(IssuanceError) -> EndedCount {
        let owner: [UInt8]? = if case .owner(let owner) = revocation.subject { owner } else { nil }
        let deadline = ContinuousClock.now + limit
        var count = EndedCount()
        var after: CredentialID?
        repeat {
            // A revocation is answered with this count: it waits for no long work, and each page lets other look-ups
            // pass.
            let page = try await offThread(.lookUp) { [after] store in
                try store.credentials(owner: owner, after: after, limit: Self.pageMax) {
                    revocation.ended($0, in: store.published)
                }
            }
            for row in page.rows { count.byKind[row.record.kind, default: 0] += 1 }
            after = page.next
            if after != nil, ContinuousClock.now > deadline {
                count.isComplete = false
                break
            }
        } while after != nil
        return count
    }

    /// Refuses an owner without any credential, which was most likely mistyped.
    ///
    /// Access tokens are not indexed by owner, so they are searched. If that takes too long, the owner is accepted, since a
    /// revocation must never be refused for an owner with a valid token.
    /// - Parameter limit: how long the search among access tokens may take.
    /// - Throws: ``IssuanceError/unknownOwner(nearest:)``, with the owners of the nearest names if the caller may read keys.
    public func requireOwner(_ owner: String, within limit: Duration = .milliseconds(500)) async throws(IssuanceError) {
        let bytes = try RequestText.owner(owner, field: "owner")
        let mayRead = authority.has(.keysRead)
        let deadline = ContinuousClock.now + limit
        let nearest = try await offThread(.lookUp) { store -> [String]? in
            if store.published.watermarks.hasWatermark(owner: bytes.octets) { return nil }
            var after: CredentialID?
            repeat {
                let page = try store.credentials(owner: bytes, after: after, limit: 1) { _ in true }
                guard page.rows.isEmpty else { return nil }
                after = page.next
                if after != nil, ContinuousClock.now > deadline { return nil }
            } while after != nil
            guard mayRead else { return [] }
            var search = NearNameSearch(owner)
            try store.eachOwner(within: .seconds(2)) { search.consider($0) }
            return search.found
        }
        if let nearest { throw .unknownOwner(nearest: nearest) }
    }
}
