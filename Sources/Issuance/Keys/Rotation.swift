public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// The maximum time, in seconds, for which an old credential may remain valid beside its successor.
    public static let overlapSecondsMax: Int64 = 90 * 86_400

    /// Creates a successor of a key with the same rights. The old key works until the overlap ends, but not longer than its
    /// successor.
    ///
    /// - Parameter overlapSeconds: 0 ends the old key at once, like a revocation.
    /// - Throws: ``IssuanceError/conflict(reason:)`` if the key already has a successor, ``IssuanceError/gone(reason:)`` if it
    ///   is revoked or expired, ``IssuanceError/forbidden(reason:field:)`` if the successor would exceed the caller's rights
    ///   or limits.
    public func rotate(_ id: CredentialID, overlapSeconds: Int64) async throws(IssuanceError) -> IssuedCredential {
        try await rotate(id, kind: .apiKey, overlapSeconds: overlapSeconds)
    }

    /// Creates a successor of a credential of this kind; see ``rotate(_:overlapSeconds:)``.
    func rotate(
        _ id: CredentialID, kind: CredentialKind, overlapSeconds: Int64
    ) async throws(IssuanceError) -> IssuedCredential {
        guard (0...Self.overlapSecondsMax).contains(overlapSeconds) else {
            throw .invalid(field: "overlap_seconds", reason: "must be 0 to \(Self.overlapSecondsMax)")
        }
        let (store, authority, repeatable) = (store, authority, repeatable)
        // `lifetimes.key-max-seconds` is for keys; a client's secret need not expire.
        let secondsMax = kind == .apiKey ? policy.keySecondsMax : nil
        while true {
            guard let pending = PendingCredential.mint(kind: kind, owner: [], store: store) else { continue }
            do {
                let successor = try await write(creates: true) { writer, transaction in
                    // Read inside the mutation: a key that was revoked while the request waited gets no successor.
                    guard let old = try writer.credential(id, in: transaction), old.record.kind == kind else {
                        throw IssuanceError.unknownCredential
                    }
                    try authority.requireMayGrant(rightsOf: old.record, in: writer)
                    try writer.requireAlive(old, in: transaction)
                    if let successor = old.successor {
                        throw IssuanceError.conflict(reason: "was rotated already: its successor is \(successor)")
                    }
                    var successor = old.successor(pending.credential, at: writer.now, secondsMax: secondsMax)
                    try authority.requireMayGrant(limitsOf: successor.record, in: writer)
                    var ending = old
                    ending.successor = successor.record.id
                    ending.end(overlapSeconds: overlapSeconds, at: writer.now, before: successor.record.expiresAt)
                    successor.predecessorsEndAt = max(old.lastPredecessorEnd, ending.acceptedUntil)
                    try writer.insertPending(successor, in: transaction)
                    try writer.replace(
                        old, by: ending, event: overlapSeconds == 0 ? .revoked : .rotated, in: transaction)
                    let action = AuditedAction(.credentialRotated, credentials: [id, successor.record.id])
                    try writer.audit(action, by: authority.actor, in: transaction)
                    if let repeatable { try writer.remember(repeatable, made: [successor.record.id], in: transaction) }
                    return successor
                }
                return IssuedCredential(summary: summary(successor), secret: pending.secret)
            } catch is MintAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }
}

extension StoredCredential {
    /// A new row with the rights of this one and with the same lifetime, counted from now.
    ///
    /// - Parameter secondsMax: the maximum lifetime of a new key; nil for any. An older key may have a longer lifetime, or no
    ///   end. The successor's lifetime is shortened then: refusing the rotation would keep the old secret in use.
    fileprivate func successor(
        _ pending: StoredCredential, at now: UnixSeconds, secondsMax: Int64?
    ) -> StoredCredential {
        var record = record
        record.id = pending.record.id
        record.tag = pending.record.tag
        record.pepper = pending.record.pepper
        record.flags = []
        record.issuedAt = now
        if let lifetime = record.expiresAt.seconds(since: self.record.issuedAt) {
            record.expiresAt = now.adding(max(lifetime, 1))
        }
        if let secondsMax { record.expiresAt = min(record.expiresAt, now.adding(secondsMax)) }
        var successor = StoredCredential(record: record, owner: owner, name: name)
        successor.description = description
        successor.predecessor = self.record.id
        return successor
    }

    /// Ends this credential at once, or after the overlap.
    /// - Parameter end: the end of the successor, which the old secret must not outlast.
    fileprivate mutating func end(overlapSeconds: Int64, at now: UnixSeconds, before end: UnixSeconds) {
        if overlapSeconds == 0 {
            record.flags.insert(.revoked)
            revokedAt = now
        } else {
            record.flags.insert(.superseded)
            record.expiresAt = min(record.expiresAt, now.adding(overlapSeconds), end)
        }
    }

    /// From this time on it is not accepted.
    fileprivate var acceptedUntil: UnixSeconds { record.flags.contains(.revoked) ? .always : record.expiresAt }

    /// From this time on none of its predecessors, back to the first, is accepted.
    ///
    /// Each rotation computes it from the row that it rotates. The end of a rotated credential can only be set to an earlier
    /// time, so the value remains correct after the rows of the predecessors have been swept. Rows of earlier versions do not
    /// have it: all predecessors of such a row were rotated before it was issued, so the longest overlap is an upper bound.
    var lastPredecessorEnd: UnixSeconds {
        guard predecessor != nil else { return .always }
        return predecessorsEndAt ?? record.issuedAt.adding(Issuer.overlapSecondsMax)
    }
}

extension StoreWriter {
    /// Checks that a credential can be edited or rotated.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a credential that is expired or was revoked, on its own or in bulk;
    ///   ``IssuanceError/conflict(reason:)`` for one that has a limit of a later version.
    func requireAlive(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws {
        if try credential.record.flags.contains(.revoked) || watermarkRevokes(credential, in: transaction) {
            throw IssuanceError.gone(reason: "is revoked")
        }
        if now >= credential.record.expiresAt { throw IssuanceError.gone(reason: "is expired") }
        // Writing this row would drop the limit that this version cannot read.
        if credential.record.flags.contains(.hasUnknownCriticalClaim) {
            throw IssuanceError.conflict(reason: "has a limit that this version does not know: use the newer version")
        }
    }
}
