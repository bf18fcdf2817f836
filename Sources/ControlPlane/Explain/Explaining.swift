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
        verifier = Mutex(try Verifier(store: issuer.store, notesUses: false))
        self.issuer = issuer
    }

    /// The verdict that `POST /v1/verify` would give, with its reason, and the row if the presented secret was right.
    ///
    /// - Parameter address: of whoever presented it; nil: not known, so a credential that is limited to networks is
    ///   inactive.
    /// - Throws: ``IssuanceError/unknownClient`` when nobody is called `clientID`.
    public func explain(
        _ presented: [UInt8], scope: [String], clientID: String?, address: IPAddress?
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
        // What is malformed or unknown has no row; of the others, only whoever holds the secret, or holds it no more, gets
        // this far.
        if judged.reason == .unknown || judged.reason == .malformed {
            return Explanation(inactive: judged.reason, summary: nil)
        }
        let summary = try await issuer.credential(judged.record.id)
        let reason = Self.reason(
            judged.reason, judged.record, needed: scope, audiences: audiences, address: address,
            interned: store.published.interned)
        return Explanation(inactive: reason, summary: summary)
    }

    /// In the order of the data plane: kind, state, network, audience, scope.
    private static func reason(
        _ reason: InactiveReason?, _ record: CredentialRecord, needed scope: [String], audiences: [UInt8]?,
        address: IPAddress?, interned: InternedTable
    ) -> InactiveReason? {
        guard record.kind == .apiKey || record.kind == .accessToken else { return .unknown }
        if let reason { return reason }
        guard Decision.allows(record, from: address, interned: interned) else { return .wrongNetwork }
        if let audiences, record.audiences != 0,
            audiences.isEmpty || !Decision.isMeant(record, for: audiences.octets, interned: interned)
        {
            return .wrongAudience
        }
        let needed = Array(scope.joined(separator: " ").utf8)
        return Decision.grants(record, scope: needed.octets, interned: interned) ? nil : .insufficientScope
    }
}
