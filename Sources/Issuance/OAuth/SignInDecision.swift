import CredentialModel
import CredentialStore
import LMDB

// Between somebody's agreement and the code, a decision travels through the browser, for up to ten minutes. It is a sealed
// text and no row, so a revocation cannot end it. Therefore it holds the state of the store in which it was made, and the
// transaction that stores the code compares: what was revoked since then gives no code.
//
// That state is only comparable within one incarnation of the store. A restored one continues from a backup: it may have
// lost the revocation that ended a decision, or the note that a decision was used up.

/// Somebody's agreement to an authorization request. Made by ``Issuer/decideSignIn(for:subject:scope:remember:)``; whoever
/// carries it must seal it.
public struct SignInDecision: Codable, Sendable {
    /// Who agreed.
    public let subject: String
    /// What was agreed to.
    public let scope: [String]
    /// Of the store in which it was made.
    let incarnation: UInt64
    /// The last journal number when it was made, for watermarks of the subject and the client.
    let journalNumber: UInt64
    /// In seconds since the Unix epoch, for bulk revocations that name a time.
    let decidedAt: Int64
    /// ``StoreWriter/withdrawals(of:from:in:)`` when it was made.
    let withdrawal: UInt64
    /// The credential that authenticated the sign-in application; nil for the control socket.
    let decider: Decider?

    struct Decider: Codable, Sendable {
        let id: UInt64
        /// Interned.
        let scopes: UInt32
    }
}

extension Issuer {
    /// Decides an authorization request in the name of a subject.
    ///
    /// - Parameters:
    ///   - clientID: the client that asks.
    ///   - remember: whether to store the consent.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a revoked client.
    public func decideSignIn(
        for clientID: String, subject: String, scope: [String], remember: Bool
    ) async throws(IssuanceError) -> SignInDecision {
        let owner = try RequestText.owner(subject, field: "sub")
        guard let known = store.published.clients.client(id: clientID) else { throw .unknownClient }
        let (incarnation, decider) = (store.incarnation, authority.decider)
        // Also when nothing is stored: only here is the caller's own credential read again.
        return try await mutate(creates: remember) { writer, transaction in
            guard let client = try writer.client(known.number, in: transaction), client.revokedAt == nil else {
                throw IssuanceError.gone(reason: "the client is revoked")
            }
            let withdrawal = try writer.withdrawals(of: owner, from: client.number, in: transaction)
            if remember {
                try writer.addConsent(of: owner, to: client.number, scope: scope, in: transaction)
            }
            return SignInDecision(
                subject: subject, scope: scope, incarnation: incarnation, journalNumber: writer.nextJournalNumber - 1,
                decidedAt: writer.now.rawValue, withdrawal: withdrawal, decider: decider)
        }
    }
}

extension StoreWriter {
    /// - Throws: `access_denied` for a decision whose subject, client, consent or decider was revoked since it was made, and
    ///   for one from before a restore.
    func requireStanding(
        _ decision: SignInDecision, of owner: [UInt8], for client: UInt32, store: CredentialStore,
        in transaction: borrowing WriteTransaction
    ) throws {
        guard decision.incarnation == store.incarnation else {
            throw OAuthError(.accessDenied, "the sign-in was decided before the store was restored from a backup")
        }
        let revoked = OAuthError(.accessDenied, "what the sign-in relied on was revoked meanwhile")
        // A credential that would have been issued at the moment of the decision.
        var record = CredentialRecord(
            id: CredentialID(rawValue: 0), kind: .authorizationCode, tag: Tag(0, 0, 0, 0), pepper: 0)
        record.client = client
        record.journalNumber = decision.journalNumber
        record.issuedAt = UnixSeconds(decision.decidedAt)
        let then = StoredCredential(record: record, owner: owner, name: nil)
        guard try !watermarkRevokes(then, in: transaction) else { throw revoked }
        guard try withdrawals(of: owner, from: client, in: transaction) == decision.withdrawal else { throw revoked }
        if let decider = decision.decider {
            guard try isStanding(decider, in: transaction) else { throw revoked }
        }
    }

    /// Whether what a credential decided still stands.
    ///
    /// An expiry does not change that: the decision was made with authority, and the credential ended as planned. An expiry
    /// that was set to an earlier time, by an edit or a rotation, counts as a revocation: so a stolen key is ended, too. Also
    /// if it was set before the decision, which may have been made in the last second.
    private func isStanding(
        _ decider: SignInDecision.Decider, in transaction: borrowing WriteTransaction
    ) throws -> Bool {
        // Without its row nobody can tell whether it was revoked.
        guard let row = try credential(CredentialID(rawValue: decider.id), in: transaction),
            row.record.scopes == decider.scopes, !row.record.flags.contains(.hasUnknownCriticalClaim),
            row.record.notBefore <= now, try !isRevoked(row, in: transaction)
        else { return false }
        return now < row.record.expiresAt || !row.isShortened && !row.record.flags.contains(.superseded)
    }
}
