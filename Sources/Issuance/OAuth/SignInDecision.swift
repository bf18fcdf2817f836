import CredentialModel
import CredentialStore
import LMDB

// Between somebody's agreement and the code, a decision travels through the browser, for up to ten minutes. It is a sealed
// text and no row, so a revocation cannot end it. Therefore it holds the state of the store in which it was made, and the
// transaction that stores the code compares: what was revoked since then gives no code.

/// Somebody's agreement to an authorization request. Made by ``Issuer/decideSignIn(for:subject:scope:remember:)``; whoever
/// carries it must seal it.
public struct SignInDecision: Codable, Sendable {
    /// Who agreed.
    public let subject: String
    /// What was agreed to.
    public let scope: [String]
    /// The last journal number when it was made, for watermarks of the subject and the client.
    let journalNumber: UInt64
    /// In seconds since the Unix epoch, for bulk revocations that name a time.
    let decidedAt: Int64
    /// The last withdrawal of the subject's consent to the client when it was made; 0 for none.
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
        let owner = try RequestText.owner(subject, field: "subject")
        guard let known = store.published.clients.client(id: clientID) else { throw .unknownClient }
        let withdrawals = ConsentWithdrawals(subject: owner, client: known.number, lookup: store.lookup)
        let decider = authority.decider
        // Also when nothing is stored: only here is the caller's own credential read again.
        return try await mutate(creates: remember) { writer, transaction in
            guard let client = try writer.client(known.number, in: transaction), client.revokedAt == nil else {
                throw IssuanceError.gone(reason: "the client is revoked")
            }
            let withdrawal = try writer.lastWithdrawal(withdrawals, in: transaction)
            if remember {
                try writer.addConsent(of: owner, to: client.number, scope: scope, in: transaction)
            }
            return SignInDecision(
                subject: subject, scope: scope, journalNumber: writer.nextJournalNumber - 1,
                decidedAt: writer.now.rawValue, withdrawal: withdrawal, decider: decider)
        }
    }
}

extension StoreWriter {
    /// - Throws: `access_denied` for a decision whose subject, client, consent or decider was revoked since it was made.
    func requireStanding(
        _ decision: SignInDecision, of owner: [UInt8], for client: UInt32, store: CredentialStore,
        in transaction: borrowing WriteTransaction
    ) throws {
        let revoked = OAuthError(.accessDenied, "what the sign-in relied on was revoked meanwhile")
        // A credential that would have been issued at the moment of the decision.
        var record = CredentialRecord(
            id: CredentialID(rawValue: 0), kind: .authorizationCode, tag: Tag(0, 0, 0, 0), pepper: 0)
        record.client = client
        record.journalNumber = decision.journalNumber
        record.issuedAt = UnixSeconds(decision.decidedAt)
        let then = StoredCredential(record: record, owner: owner, name: nil)
        guard try !watermarkKills(then, in: transaction) else { throw revoked }
        let withdrawals = ConsentWithdrawals(subject: owner, client: client, lookup: store.lookup)
        let withdrawal = try lastWithdrawal(withdrawals, in: transaction)
        // 0: the last one is forgotten after a day, long after the decision is over.
        guard withdrawal == 0 || withdrawal == decision.withdrawal else { throw revoked }
        if let decider = decision.decider {
            let id = CredentialID(rawValue: decider.id)
            guard try standing(id, scopes: decider.scopes, in: transaction) != nil else { throw revoked }
        }
    }
}
