import CredentialModel
public import CredentialStore
public import Issuance
import Synchronization
import Verification

/// Judges one credential for an operator and says why.
public final class Explaining: Sendable {
    private let verifier: Mutex<Verifier>
    private let issuer: Issuer

    public init(issuer: Issuer) throws(StoreFailure) {
        verifier = Mutex(try Verifier(store: issuer.store, notesUses: false))
        self.issuer = issuer
    }

    /// The verdict with its reason, and the row if the presented secret was right.
    /// - Throws: ``IssuanceError/unknownClient`` when nobody is called `clientID`.
    public func explain(
        _ presented: [UInt8], scope: [String], clientID: String?
    ) async throws(IssuanceError) -> Explanation {
        let store = issuer.store
        var audiences: [UInt8]?
        if let clientID {
            guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
            audiences = Array(client.audience.joined(separator: " ").utf8)
        }
        let judged: (reason: InactiveReason?, record: CredentialRecord)
        do throws(StoreFailure) {
            judged = try verifier.withLock { verifier throws(StoreFailure) in
                var record = CredentialRecord.blank
                let reason = try verifier.verify(presented.octets, at: store.clock.now(), into: &record)
                return (reason, record)
            }
        } catch {
            throw .unavailable(reason: error.description)
        }
        var reason = judged.reason
        if reason == nil {
            let interned = store.published.interned
            let needed = Array(scope.joined(separator: " ").utf8)
            if let audiences, judged.record.audiences != 0,
                audiences.isEmpty || !Decision.isMeant(judged.record, for: audiences.octets, interned: interned)
            {
                reason = .wrongAudience
            } else if !Decision.grants(judged.record, scope: needed.octets, interned: interned) {
                reason = .insufficientScope
            }
        }
        // What is malformed or unknown has no row; of the others, only whoever holds the secret, or holds it no more, gets
        // this far.
        var summary: CredentialSummary?
        if reason != .unknown, reason != .malformed { summary = try await issuer.credential(judged.record.id) }
        return Explanation(inactive: reason, summary: summary)
    }
}
