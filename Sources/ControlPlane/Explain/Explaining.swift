public import CredentialModel
public import CredentialStore
public import Issuance
import RecordCache
import Synchronization
import Verification

/// Judges one credential for an operator and says why.
public final class Explaining: Sendable {
    private let verifier: Mutex<Verifier>
    private let issuer: Issuer

    public init(issuer: Issuer) throws(StoreFailure) {
        verifier = Mutex(try Verifier(store: issuer.store, reportsUses: false))
        self.issuer = issuer
    }

    /// The verdict that `POST /v1/verify` would give to this client, with its reason, and the row if the presented
    /// secret was right.
    ///
    /// Of a credential outside of its audiences the client would be told that it is unknown; here the reason is
    /// ``InactiveReason/wrongAudience``.
    /// - Parameters:
    ///   - clientID: who asks; nil for somebody who may know of every credential.
    ///   - address: of whoever presented it; nil: not known, so a credential that is limited to networks is inactive.
    /// - Throws: ``IssuanceError/unknownClient`` when nobody is called `clientID`.
    public func explain(
        _ presented: [UInt8], scope: [String], clientID: String?, address: IPAddress?
    ) async throws(IssuanceError) -> Explanation {
        let store = issuer.store
        var audiences: [UInt8]?
        if let clientID {
            guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
            audiences = Array(client.metadata.audience.joined(separator: " ").utf8)
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
        // What is malformed or unknown has no row; of the others, only whoever holds the secret, or holds it no more, gets
        // this far.
        if judged.reason == .unknown || judged.reason == .malformed {
            return Explanation(inactive: judged.reason, summary: nil)
        }
        let summary = try await issuer.credential(judged.record.id)
        let (record, interned) = (judged.record, store.published.interned)
        let needed = Array(scope.joined(separator: " ").utf8)
        // By the same function as on the data plane, so that the first reason is the same.
        let reason = InactiveReason.first(
            judged.reason, takesKind: record.kind == .apiKey || record.kind == .accessToken,
            callerMayKnow: Self.mayKnow(record, audiences: audiences, interned: interned), hidden: .wrongAudience,
            allowsNetwork: Decision.allows(record, from: address, interned: interned),
            grantsScope: Decision.grants(record, scope: needed.octets, interned: interned))
        return Explanation(inactive: reason, summary: summary)
    }

    /// Whether a caller with these audiences may know of a record; nil: one that may know of all.
    private static func mayKnow(
        _ record: CredentialRecord, audiences: [UInt8]?, interned: InternedTable
    ) -> Bool {
        guard let audiences, record.audiences != 0 else { return true }
        return !audiences.isEmpty && Decision.isMeant(record, for: audiences.octets, interned: interned)
    }
}
