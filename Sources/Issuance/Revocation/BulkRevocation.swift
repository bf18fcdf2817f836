public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// A bulk revocation by one watermark.
public struct BulkRevocation: Sendable, Equatable {
    /// Everything of its subject that was issued under a lower journal number is revoked.
    public var journalNumber: UInt64
    // The rest is for counting what it revoked: the watermarks of its subject before and after, and the time.
    fileprivate var subject: WatermarkSubject
    fileprivate var before: Watermark?
    fileprivate var after: Watermark?
    fileprivate var time: UnixSeconds

    /// Raises the watermark of a subject.
    static func raise(
        of subject: WatermarkSubject, issuedBefore: UnixSeconds?, by writer: StoreWriter,
        in transaction: borrowing WriteTransaction
    ) throws -> BulkRevocation {
        let before = try writer.watermark(of: subject, in: transaction)
        let number = try writer.raiseWatermark(of: subject, issuedBefore: issuedBefore, in: transaction)
        return BulkRevocation(
            journalNumber: number, subject: subject, before: before,
            after: try writer.watermark(of: subject, in: transaction), time: writer.now)
    }

    /// Whether this revocation ended the credential, which would be valid without it.
    fileprivate func hasEnded(_ credential: StoredCredential, in published: Published) -> Bool {
        var record = credential.record
        guard !record.flags.contains(.revoked), record.expiresAt > time,
            after?.revokes(journalNumber: record.journalNumber, issuedAt: record.issuedAt) ?? false,
            !(before?.revokes(journalNumber: record.journalNumber, issuedAt: record.issuedAt) ?? false)
        else { return false }
        // The subject is removed from a copy of the record, so that only the watermarks of other subjects apply to it.
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

extension Issuer {
    /// Revokes all keys of an owner and all tokens of which it is the subject. If the owner is a client, its secrets are revoked
    /// too, which needs the right to revoke clients.
    /// - Parameter issuedBefore: only what was issued before this time; nil for everything issued up to now.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` without that right, ``IssuanceError/invalid(field:reason:)``.
    public func revokeOwner(_ owner: String, issuedBefore: UnixSeconds?) async throws(IssuanceError) -> BulkRevocation {
        let subject = WatermarkSubject.owner(try RequestText.owner(owner, field: "owner"))
        // A client's secrets have its id as their owner.
        if store.published.clients.client(id: owner) != nil, !authority.has(.clientsRevoke) {
            throw .forbidden(
                reason: "the owner is a client, whose secrets would be revoked too: this needs the right "
                    + "'\(Right.clientsRevoke.rawValue)'", field: "owner")
        }
        return try await raiseWatermark(
            of: subject, issuedBefore: issuedBefore, as: AuditedAction(.ownerRevoked, owner: owner))
    }

    /// Revokes everything that was issued through a client, including its secrets. The client itself is not revoked.
    /// - Parameter issuedBefore: only what was issued before this time; nil for everything issued up to now.
    /// - Throws: ``IssuanceError/unknownClient``, ``IssuanceError/invalid(field:reason:)`` for a time in the future.
    public func revokeClientCredentials(
        _ clientID: String, issuedBefore: UnixSeconds?
    ) async throws(IssuanceError) -> BulkRevocation {
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        return try await raiseWatermark(
            of: .client(client.number), issuedBefore: issuedBefore,
            as: AuditedAction(.clientCredentialsRevoked, clientID: clientID))
    }

    private func raiseWatermark(
        of subject: WatermarkSubject, issuedBefore: UnixSeconds?, as action: AuditedAction
    ) async throws(IssuanceError) -> BulkRevocation {
        let limit = try issuedBefore.map { limit throws(IssuanceError) in
            try RequestText.time(limit, field: "issued_before")
        }
        if let limit, limit > store.clock.now() {
            throw .invalid(field: "issued_before", reason: "is in the future")
        }
        let actor = actor
        return try await mutate(creates: false) { writer, transaction in
            let revocation = try BulkRevocation.raise(of: subject, issuedBefore: limit, by: writer, in: transaction)
            var action = action
            action.issuedBefore = limit
            try writer.audit(action, by: actor, in: transaction)
            return revocation
        }
    }
}

/// How many valid credentials a bulk revocation ended.
public struct EndedCount: Sendable, Equatable {
    public var byKind: [CredentialKind: Int] = [:]
    /// False if the time limit ended the count; there may be more.
    public var isComplete = true

    public var total: Int { byKind.values.reduce(0, +) }
}

extension Issuer {
    /// Counts the credentials that a bulk revocation ended. Runs after the revocation, so that it does not delay it: the
    /// watermarks before and after tell which credentials were ended.
    ///
    /// An owner's credentials are found by index; for a client all rows are examined.
    /// - Parameter limit: the maximum time for counting.
    public func countEnded(
        by revocation: BulkRevocation, within limit: Duration = .seconds(3)
    ) async throws(IssuanceError) -> EndedCount {
        let owner: [UInt8]? = if case .owner(let owner) = revocation.subject { owner } else { nil }
        let deadline = ContinuousClock.now + limit
        var count = EndedCount()
        var after: CredentialID?
        repeat {
            // The response to a revocation contains this count, so it does not wait behind long work. Other look-ups can run
            // between two pages.
            let page = try await offThread(.lookUp) { [after] store in
                try store.credentials(owner: owner, after: after, limit: Self.pageMax) {
                    revocation.hasEnded($0, in: store.published)
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

    /// Refuses an owner without any credential, which is probably a typing error.
    ///
    /// Access tokens are not indexed by owner, so they are searched. If that takes too long, the owner is accepted, since a
    /// revocation must never be refused for an owner with a valid token.
    /// - Parameter limit: the maximum time for the search among access tokens.
    /// - Throws: ``IssuanceError/unknownOwner(nearest:)``, with the most similar owners if the caller may read keys.
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
