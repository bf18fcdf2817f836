import AdministrationAPI
import CredentialModel
public import CredentialStore
import HTTPTypes
import Hummingbird
import Issuance
import Synchronization
import Verification

/// Finds out who asks for administration over a network: by an API key, a bearer token or a client's secret, whose scope
/// holds the right (RFC 6750 §2.1, RFC 7617).
///
/// Each request is verified anew; nothing is remembered of a connection. Has a verifier, and so a read transaction, of its
/// own.
public final class AdministrationCallers: Sendable {
    private let verifier: Mutex<Verifier>
    private let store: CredentialStore
    /// The audience that a credential with audiences must name: this service. Nil: such a credential is refused.
    private let audience: String?

    /// - Parameter audience: the address of this service, as the `issuer` setting has it.
    /// - Throws: ``StoreFailure`` when the store has no reader left.
    public init(store: CredentialStore, audience: String?) throws(StoreFailure) {
        verifier = Mutex(try Verifier(store: store))
        self.store = store
        self.audience = audience
    }

    /// - Throws: ``Problem``: 401 for a missing credential and for one that is not accepted, 403 for a missing right, 503 when
    ///   the store cannot answer.
    func admit(_ request: ControlPlaneRequest, from peer: Peer, needing right: Right?) async throws -> Authority {
        let fields = request.headers[values: .authorization]
        guard let field = fields.first, fields.count == 1 else {
            // Routes without a right are open; everything else is not.
            guard right != nil || fields.count > 1 else { return Authority.stranger }
            throw Problem(.unauthenticated, detail: "Send one Authorization field: 'ApiKey KEY' or 'Bearer TOKEN'.")
        }
        guard let right else { return Authority.stranger }
        guard let presented = Presented(field), let record = try verify(presented),
            Decision.allows(record, from: peer.address, interned: store.published.interned), isMeantForUs(record)
        else {
            throw Problem(.unauthenticated, detail: "The credential is not accepted here.")
        }
        let authority = Authority.holder(of: record, in: store)
        guard authority.has(right) else {
            throw Problem(.forbidden, detail: "This needs the scope '\(right.rawValue)'.")
        }
        return authority
    }

    private func verify(_ presented: Presented) throws -> CredentialRecord? {
        do throws(StoreFailure) {
            let verdict = try verifier.withLock { verifier throws(StoreFailure) in
                try verifier.verify(presented.secret.revealBytes().octets, at: store.clock.now())
            }
            guard case .active(let record) = verdict, presented.kinds.contains(record.kind) else { return nil }
            guard let clientID = presented.clientID else { return record }
            let client = store.published.clients.client(id: clientID)
            return client?.number == record.client && client?.revokedAt == nil ? record : nil
        } catch {
            throw Problem(.unavailable, detail: error.description)
        }
    }

    /// A client's secret is no token that was made for somebody: its audiences say whom the client may ask about.
    private func isMeantForUs(_ record: CredentialRecord) -> Bool {
        if record.kind == .clientSecret { return true }
        let audience = Array((audience ?? "").utf8)
        return Decision.isMeant(record, for: audience.octets, interned: store.published.interned)
    }
}

/// What an Authorization field says.
private struct Presented {
    let kinds: Set<CredentialKind>
    let secret: SecretText
    var clientID: String?

    init?(_ field: String) {
        if let pair = BasicCredentials(field) {
            (kinds, secret, clientID) = ([.clientSecret], SecretText(Array(pair.secret.utf8)), pair.clientID)
            return
        }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        switch parts[0].lowercased() {
        case "apikey": kinds = [.apiKey]
        // A key as well: Prometheus and most other programs know no other scheme.
        case "bearer": kinds = [.accessToken, .apiKey]
        default: return nil
        }
        secret = SecretText(Array(parts[1].drop { $0 == " " }.utf8))
    }
}
