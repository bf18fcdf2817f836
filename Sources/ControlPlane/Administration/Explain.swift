import AdministrationAPI
public import CredentialModel
public import CredentialStore
import Hummingbird
public import Issuance
import RecordCache
import Synchronization
import Verification

/// `/v1/explain`: why a credential is accepted or not.
struct ExplainRoutes: Sendable {
    let explainer: Explainer

    func explain(_ exchange: Exchange) async throws -> Response {
        let explained = try exchange.decode(ExplainRequest.self)
        let bytes = Array(explained.credential.reveal().utf8)
        let address = try explained.clientIP.map { text throws(Problem) in
            guard let address = IPAddress(text) else {
                throw Problem(.invalidValue, detail: "'client_ip' is not an IP address.", member: "client_ip")
            }
            return address
        }
        let explanation = try await explainer.explain(
            bytes, scope: explained.scope?.words ?? [], clientID: explained.clientID, address: address)
        let resource = ExplanationResource(
            isActive: explanation.inactive == nil, reason: explanation.code,
            credential: explanation.summary.map { CredentialResource($0) })
        return try .json(resource)
    }
}

/// Verifies one credential for an operator and gives the reason of the verdict.
public final class Explainer: Sendable {
    private let verifier: Mutex<Verifier>
    private let issuer: Issuer

    /// - Throws: ``StoreFailure`` if the store has no free reader slot.
    public init(issuer: Issuer) throws(StoreFailure) {
        verifier = Mutex(try Verifier(store: issuer.store, reportsUses: false))
        self.issuer = issuer
    }

    /// The verdict that `POST /v1/verify` would give to this client, with its reason, and the row if the presented
    /// secret is correct.
    ///
    /// If the client is not in the audience of the credential, it would be told that the credential is unknown; here
    /// the reason is ``InactiveReason/wrongAudience``.
    /// - Parameters:
    ///   - clientID: the client that asks; nil for a caller who may know of every credential.
    ///   - address: the address that presented the credential. Nil: unknown, so a credential that is limited to
    ///     networks is inactive.
    /// - Throws: ``IssuanceError/unknownClient`` if there is no client `clientID`,
    ///   ``IssuanceError/unavailable(reason:)`` if the store cannot answer.
    public func explain(
        _ presented: [UInt8], scope: [String], clientID: String?, address: IPAddress?
    ) async throws(IssuanceError) -> Explanation {
        let store = issuer.store
        var audiences: [UInt8]?
        if let clientID {
            guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
            audiences = Array(client.metadata.audience.joined(separator: " ").utf8)
        }
        let verified: (reason: InactiveReason?, record: CredentialRecord)
        do throws(StoreFailure) {
            verified = try verifier.withLock { verifier throws(StoreFailure) in
                var record = CredentialRecord.blank
                let reason = try verifier.verify(presented.octets, at: store.clock.now(), into: &record)
                return (reason, record)
            }
        } catch {
            throw .unavailable(reason: error.description)
        }
        // Malformed and unknown credentials have no row. For all others the presented secret is, or was, the correct
        // one.
        if verified.reason == .unknown || verified.reason == .malformed {
            return Explanation(inactive: verified.reason, summary: nil)
        }
        let summary = try await issuer.credential(verified.record.id)
        let (record, interned) = (verified.record, store.published.interned)
        let requiredScope = Array(scope.joined(separator: " ").utf8)
        // The function of the data plane, so that the first reason is the same.
        let reason = InactiveReason.first(
            verified.reason, takesKind: record.kind == .apiKey || record.kind == .accessToken,
            callerMayKnow: Self.mayKnow(record, audiences: audiences, interned: interned), hidden: .wrongAudience,
            allowsNetwork: Decision.allows(record, from: address, interned: interned),
            grantsScope: Decision.grants(record, scope: requiredScope.octets, interned: interned))
        return Explanation(inactive: reason, summary: summary)
    }

    /// Whether a caller with these audiences may know of a record; nil: a caller that may know of all.
    private static func mayKnow(
        _ record: CredentialRecord, audiences: [UInt8]?, interned: InternedTable
    ) -> Bool {
        guard let audiences, record.audiences != 0 else { return true }
        return !audiences.isEmpty && Decision.isMeant(record, for: audiences.octets, interned: interned)
    }
}

/// The verdict on a presented credential with its reason. For operators: introspection never gives a reason.
///
/// For a kind that callers cannot present, the reason is ``InactiveReason/wrongKind`` (code `unknown`, as on every
/// gateway), and the summary is present.
public struct Explanation: Sendable {
    /// Why the credential is not accepted; nil if it is.
    public let inactive: InactiveReason?
    /// The stored values of the credential; nil if the store has none.
    public let summary: CredentialSummary?

    /// The stable code of the reason; `valid` if the credential is accepted.
    public var code: String { inactive?.code ?? "valid" }
}
