import CredentialModel
import CredentialStore
import LMDB

// After a user has agreed and until the code is issued, the decision is kept by the browser, for up to ten minutes. It is a
// signed text and not a row of the store, so a revocation cannot end it. Therefore it contains the state of the store at the
// time of the decision. The transaction that stores the code compares this state with the current one and issues no code if
// something that the decision relies on was revoked since.
//
// The states can only be compared within one incarnation of the store. A store that was restored from a backup may have lost
// a revocation, or the mark that a decision was used.

/// A user's consent to an authorization request. Made by ``Issuer/decideSignIn(for:subject:scope:remember:)``. It must be
/// signed before it leaves this service.
public struct SignInDecision: Codable, Sendable {
    /// The user who agreed.
    public let subject: String
    /// The scope to which the user agreed.
    public let scope: [String]
    /// Of the store at the time of the decision.
    let incarnation: UInt64
    /// The last journal number at that time, to compare with watermarks of the subject and the client.
    let journalNumber: UInt64
    /// In seconds since the Unix epoch, to compare with bulk revocations of what was issued before a time.
    let decidedAt: Int64
    /// ``StoreWriter/withdrawals(of:from:in:)`` at that time.
    let withdrawal: UInt64
    /// The credential that authenticated the sign-in application; nil for the control socket.
    let decider: Decider?

    struct Decider: Codable, Sendable {
        let id: UInt64
        /// The number of an interned set.
        let scopes: UInt32
    }
}

extension Issuer {
    /// Records that a subject agrees to an authorization request.
    ///
    /// - Parameters:
    ///   - clientID: the client that sent the request.
    ///   - remember: whether to store the consent for later requests.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a revoked client.
    public func decideSignIn(
        for clientID: String, subject: String, scope: [String], remember: Bool
    ) async throws(IssuanceError) -> SignInDecision {
        let owner = try RequestText.owner(subject, field: "sub")
        guard let known = store.published.clients.client(id: clientID) else { throw .unknownClient }
        let (incarnation, decider) = (store.incarnation, authority.decider)
        // A mutation even if nothing is stored, since it reads the caller's own credential again.
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
    /// Checks that a decision is still valid.
    /// - Throws: `access_denied` if its subject, client, consent or decider was revoked since it was made, or if the store was
    ///   restored from a backup.
    func requireStanding(
        _ decision: SignInDecision, of owner: [UInt8], for client: UInt32, store: CredentialStore,
        in transaction: borrowing WriteTransaction
    ) throws {
        guard decision.incarnation == store.incarnation else {
            throw OAuthError(.accessDenied, "the sign-in was decided before the store was restored from a backup")
        }
        let revoked = OAuthError(.accessDenied, "something that the sign-in relied on was revoked meanwhile")
        // Stands for a credential that was issued at the time of the decision.
        var record = CredentialRecord(
            id: CredentialID(rawValue: 0), kind: .authorizationCode, tag: Tag(0, 0, 0, 0), pepper: 0)
        record.client = client
        record.journalNumber = decision.journalNumber
        record.issuedAt = UnixSeconds(decision.decidedAt)
        let issuedThen = StoredCredential(record: record, owner: owner, name: nil)
        guard try !watermarkRevokes(issuedThen, in: transaction) else { throw revoked }
        guard try withdrawals(of: owner, from: client, in: transaction) == decision.withdrawal else { throw revoked }
        if let decider = decision.decider {
            guard try isStanding(decider, in: transaction) else { throw revoked }
        }
    }

    /// Whether the decisions of a credential are still valid.
    ///
    /// They are if the credential has expired as planned: it was valid when it decided. If its expiry was set to an earlier
    /// time by an edit or a rotation, that counts as a revocation, since a stolen key can be ended in this way too. It counts
    /// even if the expiry was set before the decision: the holder of a stolen key may have used its last seconds.
    private func isStanding(
        _ decider: SignInDecision.Decider, in transaction: borrowing WriteTransaction
    ) throws -> Bool {
        // If its row is gone, it may have been revoked.
        guard let row = try credential(CredentialID(rawValue: decider.id), in: transaction),
            row.record.scopes == decider.scopes, !row.record.flags.contains(.hasUnknownCriticalClaim),
            row.record.notBefore <= now, try !isRevoked(row, in: transaction)
        else { return false }
        return now < row.record.expiresAt || !row.isShortened && !row.record.flags.contains(.superseded)
    }
}
