public import CredentialModel
import CredentialStore
import LMDB

extension Issuer {
    /// The longest time, in seconds, that an old credential may remain valid next to its successor.
    public static let overlapSecondsMax: Int64 = 90 * 86_400

    /// Creates a linked successor with the same rights; the old key works until the overlap ends, and not beyond the
    /// successor's end.
    ///
    /// - Parameter overlapSeconds: 0 ends the old one at once, like a revocation.
    /// - Throws: ``IssuanceError/conflict(reason:)`` when it already has a successor, ``IssuanceError/gone(reason:)`` when
    ///   it is revoked or expired, ``IssuanceError/forbidden(reason:field:)`` when the successor would have a right that the
    ///   caller lacks, or lack a limit that the caller has.
    public func rotate(_ id: CredentialID, overlapSeconds: Int64) async throws(IssuanceError) -> IssuedCredential {
        try await rotate(id, kind: .apiKey, overlapSeconds: overlapSeconds)
    }

    func rotate(
        _ id: CredentialID, kind: CredentialKind, overlapSeconds: Int64
    ) async throws(IssuanceError) -> IssuedCredential {
        guard (0...Self.overlapSecondsMax).contains(overlapSeconds) else {
            throw .invalid(field: "overlap_seconds", reason: "must be 0 to \(Self.overlapSecondsMax)")
        }
        let (store, authority, repeatable) = (store, authority, repeatable)
        // A client's secret may live without end; `lifetimes.key-max-seconds` is for keys.
        let secondsMax = kind == .apiKey ? policy.keySecondsMax : nil
        while true {
            guard let pending = PendingCredential.mint(kind: kind, owner: [], store: store) else { continue }
            do {
                let successor = try await write(creates: true) { writer, transaction in
                    // Read inside the mutation: a key that was revoked while this waited gets no successor.
                    guard let old = try writer.credential(id, in: transaction), old.record.kind == kind else {
                        throw IssuanceError.unknownCredential
                    }
                    try authority.requireMayGrant(rightsOf: old.record, in: store)
                    try writer.requireAlive(old, in: transaction)
                    if let successor = old.successor {
                        throw IssuanceError.conflict(reason: "was rotated already: its successor is \(successor)")
                    }
                    var successor = old.successor(pending.credential, at: writer.now, secondsMax: secondsMax)
                    try authority.requireMayGrant(limitsOf: successor.record, in: store)
                    var ending = old
                    ending.successor = successor.record.id
                    ending.end(overlapSeconds: overlapSeconds, at: writer.now, before: successor.record.expiresAt)
                    successor.predecessorsEndAt = max(old.lastPredecessorEnd, ending.lastUse)
                    try writer.insertPending(successor, in: transaction)
                    try writer.replace(
                        old, by: ending, event: overlapSeconds == 0 ? .revoked : .rotated, in: transaction)
                    let action = AuditedAction(.credentialRotated, credentials: [id, successor.record.id])
                    try writer.audit(action, by: authority.actor, in: transaction)
                    if let repeatable { try writer.remember(repeatable, made: [successor.record.id], in: transaction) }
                    return successor
                }
                return IssuedCredential(summary: summary(successor), secret: pending.secret)
            } catch is DrawAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }
}

extension StoredCredential {
    /// A new row with this one's rights and its lifetime, counted from now.
    ///
    /// - Parameter secondsMax: the longest lifetime of a new key today; nil for any. An older key may have a longer one, or
    ///   no end. A rotation asks for no lifetime, so that, like a creation that asks for none, it gets what the settings
    ///   allow: refusing it would keep the old secret in use.
    fileprivate func successor(
        _ pending: StoredCredential, at now: UnixSeconds, secondsMax: Int64?
    ) -> StoredCredential {
        var record = record
        record.id = pending.record.id
        record.tag = pending.record.tag
        record.pepper = pending.record.pepper
        record.flags = []
        record.issuedAt = now
        if let span = record.expiresAt.seconds(since: self.record.issuedAt) {
            record.expiresAt = now.adding(max(span, 1))
        }
        if let secondsMax { record.expiresAt = min(record.expiresAt, now.adding(secondsMax)) }
        var successor = StoredCredential(record: record, owner: owner, name: name)
        successor.description = description
        successor.predecessor = self.record.id
        return successor
    }

    /// Ends this credential: at once, or after the overlap.
    /// - Parameter end: the successor's. The old secret must not outlast the new one.
    fileprivate mutating func end(overlapSeconds: Int64, at now: UnixSeconds, before end: UnixSeconds) {
        if overlapSeconds == 0 {
            record.flags.insert(.revoked)
            revokedAt = now
        } else {
            record.flags.insert(.superseded)
            record.expiresAt = min(record.expiresAt, now.adding(overlapSeconds), end)
        }
    }

    /// Until when it may be accepted.
    fileprivate var lastUse: UnixSeconds { record.flags.contains(.revoked) ? .always : record.expiresAt }

    /// From this time on none of its predecessors, back to the first, is accepted.
    ///
    /// Each rotation computes it from the row that it rotates. The end of a rotated credential can only be set to an earlier
    /// time, so this still holds when the rows of the predecessors have been swept. Rows of earlier versions do not have it:
    /// all predecessors of such a row were rotated before it was issued, so the longest overlap is a bound.
    var lastPredecessorEnd: UnixSeconds {
        guard predecessor != nil else { return .always }
        return predecessorsEndAt ?? record.issuedAt.adding(Issuer.overlapSecondsMax)
    }
}

extension StoreWriter {
    /// - Throws: ``IssuanceError/gone(reason:)`` for a credential that is revoked, by itself or in bulk, or expired;
    ///   ``IssuanceError/conflict(reason:)`` for one that only a later version understands.
    func requireAlive(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws {
        if try credential.record.flags.contains(.revoked) || watermarkRevokes(credential, in: transaction) {
            throw IssuanceError.gone(reason: "is revoked")
        }
        if now >= credential.record.expiresAt { throw IssuanceError.gone(reason: "is expired") }
        // A copy of this row would lose the limit that this version cannot read.
        if credential.record.flags.contains(.hasUnknownCriticalClaim) {
            throw IssuanceError.conflict(reason: "holds a limit that this version does not know: use the newer one")
        }
    }
}
