import AdministrationAPI
import CredentialModel
public import CredentialStore
import HTTPTypes
import HTTPWire
import Hummingbird
import Issuance
import Synchronization
import Verification

/// Who may do what on a listener. Applied to every request before its body is read.
public struct AccessRule: Sendable {
    /// Returns the authority that a request acts with. Throws if it lacks the right, where one is needed.
    let admit: @Sendable (Request, Peer, Right?) async throws -> Authority

    /// - Parameter admit: throws a ``Problem`` to refuse.
    init(admit: @escaping @Sendable (Request, Peer, Right?) async throws -> Authority) {
        self.admit = admit
    }

    /// Whoever can open the socket file has every right.
    public static let socketFile = AccessRule { _, peer, _ in
        .unlimited(.controlSocket(user: await peer.userID()))
    }

    /// For a command that has opened the store itself and is its only client.
    public static let command = AccessRule { _, _, _ in .unlimited(.command) }

    /// A caller has the rights of the credential that it presents.
    public static func credentials(_ authenticator: AdministrationAuthenticator) -> AccessRule {
        AccessRule { request, peer, right in try await authenticator.admit(request, from: peer, needing: right) }
    }
}

/// Authenticates callers of administration over a network: by an API key, a bearer token or a client secret, whose
/// scope must contain the right (RFC 6750 §2.1, RFC 7617).
///
/// Every request is verified; nothing is remembered for a connection. Has its own verifier and thus its own read
/// transaction.
public final class AdministrationAuthenticator: Sendable {
    private let verifier: Mutex<Verifier>
    private let store: CredentialStore
    /// The audience that a credential with audiences must have: this service. Nil: such a credential is refused.
    private let audience: String?

    /// - Parameter audience: the address of this service, as in the `issuer` setting.
    /// - Throws: ``StoreFailure`` if the store has no free reader slot.
    public init(store: CredentialStore, audience: String?) throws(StoreFailure) {
        verifier = Mutex(try Verifier(store: store))
        self.store = store
        self.audience = audience
    }

    /// - Throws: ``Problem``: 401 if the credential is missing or not accepted, 403 if it lacks the right, 503 if the
    ///   store cannot answer.
    fileprivate func admit(_ request: Request, from peer: Peer, needing right: Right?) async throws -> Authority {
        let fields = request.headers[values: .authorization]
        guard let field = fields.first, fields.count == 1 else {
            // Routes without a right are open; all others are not.
            guard right != nil || fields.count > 1 else { return Authority.anonymous }
            throw Problem(.unauthenticated, detail: "Send one Authorization field: 'ApiKey KEY' or 'Bearer TOKEN'.")
        }
        guard let right else { return Authority.anonymous }
        guard let presented = PresentedCredential(field), let record = try verify(presented),
            Decision.allows(record, from: peer.address, interned: store.published.interned), isForThisService(record)
        else {
            throw Problem(.unauthenticated, detail: "The credential is not accepted here.")
        }
        let authority = Authority.holder(of: record, in: store)
        guard authority.has(right) else {
            throw Problem(.forbidden, detail: "This needs the scope '\(right.rawValue)'.")
        }
        return authority
    }

    private func verify(_ presented: PresentedCredential) throws -> CredentialRecord? {
        let (kinds, secret): (Set<CredentialKind>, SecretText)
        switch presented {
        case .apiKey(let text): (kinds, secret) = ([.apiKey], text)
        // A key too: Prometheus and most other programs support no other scheme.
        case .bearer(let text): (kinds, secret) = ([.accessToken, .apiKey], text)
        case .basic(_, let text): (kinds, secret) = ([.clientSecret], SecretText(Array(text.utf8)))
        }
        do throws(StoreFailure) {
            let verdict = try verifier.withLock { verifier throws(StoreFailure) in
                try verifier.verify(secret.revealBytes().octets, at: store.clock.now())
            }
            guard case .active(let record) = verdict, kinds.contains(record.kind) else { return nil }
            guard case .basic(let clientID, _) = presented else { return record }
            let client = store.published.clients.client(id: clientID)
            return client?.number == record.client && client?.revokedAt == nil ? record : nil
        } catch {
            throw Problem(.unavailable, detail: error.description)
        }
    }

    /// The audiences of a client secret do not count: they say which credentials the client may ask about.
    private func isForThisService(_ record: CredentialRecord) -> Bool {
        if record.kind == .clientSecret { return true }
        let audience = Array((audience ?? "").utf8)
        return Decision.isMeant(record, for: audience.octets, interned: store.published.interned)
    }
}

/// The credential of an Authorization field, read by the data plane's parsers: both planes accept the same spellings.
enum PresentedCredential {
    case apiKey(SecretText)
    case bearer(SecretText)
    case basic(clientID: String, secret: String)

    /// Nil for another scheme and for a malformed value.
    init?(_ field: String) {
        let bytes = Array(field.utf8)
        switch AuthorizationField.parse(bytes.octets) {
        case .apiKey(let range): self = .apiKey(SecretText(Array(bytes[range.bounds])))
        case .bearer(let range): self = .bearer(SecretText(Array(bytes[range.bounds])))
        case .basic(let range):
            var decoder = BasicCredentials()
            defer { decoder.wipe() }
            guard decoder.parse(bytes.octets.extracting(range.bounds)) else { return nil }
            let (id, secret) = decoder.withCredentials { id, secret in (id.copied(), secret.copied()) }
            guard let id = String(validating: id, as: UTF8.self), let secret = String(validating: secret, as: UTF8.self)
            else { return nil }
            self = .basic(clientID: id, secret: secret)
        case .unsupported, .malformed: return nil
        }
    }
}
