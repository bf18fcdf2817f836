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
        let verdict: Verdict
        do throws(StoreFailure) {
            verdict = try verifier.withLock { verifier throws(StoreFailure) in
                try verifier.verify(presented.octets, at: store.clock.now())
            }
        } catch {
            throw .unavailable(reason: error.description)
        }
        var reason = verdict.reason
        if let record = verdict.record {
            let interned = store.published.interned
            let needed = Array(scope.joined(separator: " ").utf8)
            if let audiences, record.audiences != 0,
                audiences.isEmpty || !Decision.isMeant(record, for: audiences.octets, interned: interned)
            {
                reason = .wrongAudience
            } else if !Decision.grants(record, scope: needed.octets, interned: interned) {
                reason = .insufficientScope
            }
        }
        // What is malformed or unknown has no row; of the others, the id in the text is the id of the row, and only
        // whoever holds the secret, or holds it no more, gets this far.
        var summary: CredentialSummary?
        if reason != .unknown, reason != .malformed {
            let id = verdict.record?.id ?? NativeCredential(presented.octets, vendor: store.vendor)?.id
            if let id { summary = try await issuer.credential(id) }
        }
        return Explanation(inactive: reason, summary: summary)
    }
}
