import CredentialModel
import CredentialStore
import HTTPTypes
import Hummingbird
import Issuance
import Synchronization
import Verification

/// An authenticated client and its proof. The grants check the proof again inside their transaction.
struct AuthenticatedClient: Sendable {
    let definition: ClientDefinition
    let proof: ClientProof
}

/// Authenticates the client of a request to the token or revocation endpoint (RFC 6749 §2.3, §3.2.1).
struct ClientAuthentication: Sendable {
    let store: CredentialStore
    let secrets: ClientSecrets

    /// - Throws: `invalid_client` for a wrong or missing secret, `invalid_request` for two methods at once.
    func client(of request: Request, _ parameters: FormParameters) throws(OAuthError) -> AuthenticatedClient {
        let clientID = try parameters.one("client_id")
        let secret = try parameters.one("client_secret")
        let fields = request.headers[values: .authorization]
        guard fields.count <= 1 else { throw OAuthError(.invalidRequest, "there is more than one Authorization field") }
        if let field = fields.first {
            guard case .basic(let fieldID, let fieldSecret) = PresentedCredential(field) else {
                throw OAuthError(.invalidClient, "the Authorization field has no valid Basic credentials")
            }
            // Only one method is allowed, but many clients repeat the credentials in the body; that is accepted if they
            // agree.
            guard clientID ?? fieldID == fieldID, secret ?? fieldSecret == fieldSecret else {
                throw OAuthError(.invalidRequest, "the credentials in the body differ from the Authorization field")
            }
            return try confidential(fieldID, fieldSecret)
        }
        guard let clientID else { throw OAuthError(.invalidClient, "the client is not identified") }
        if let secret { return try confidential(clientID, secret) }
        // An id proves nothing, so only a public client needs no secret.
        guard let client = store.published.clients.client(id: clientID), client.revokedAt == nil,
            let proof = ClientProof(publicClient: client)
        else { throw Self.refusal }
        return AuthenticatedClient(definition: client, proof: proof)
    }

    /// Authenticates by the head, if it has an Authorization field; otherwise the credentials may be in the body.
    /// - Throws: as ``client(of:_:)``.
    func admitHead(of request: Request) throws(OAuthError) {
        guard !request.headers[values: .authorization].isEmpty, let none = FormParameters("") else { return }
        _ = try client(of: request, none)
    }

    /// One text for all causes: it must not reveal whether a client exists.
    private static let refusal = OAuthError(.invalidClient, "the client or its secret is unknown")

    private func confidential(_ clientID: String, _ secret: String) throws(OAuthError) -> AuthenticatedClient {
        guard let client = try secrets.client(clientID, secret: secret) else { throw Self.refusal }
        return client
    }
}

/// Verifies client secrets. Has its own verifier and thus its own read transaction.
final class ClientSecrets: Sendable {
    private let verifier: Mutex<Verifier>
    private let store: CredentialStore

    /// - Throws: ``StoreFailure`` if the store has no free reader slot.
    init(store: CredentialStore) throws(StoreFailure) {
        verifier = Mutex(try Verifier(store: store))
        self.store = store
    }

    /// Whether a presented code or token may be one of this store's, active or not.
    ///
    /// Others are not passed to the writer: a flood of them must not delay revocations.
    /// - Throws: ``OAuthError`` if the store cannot answer.
    func mayBeKnown(_ text: SecretText) throws(OAuthError) -> Bool {
        let bytes = text.revealBytes()
        do throws(StoreFailure) {
            let verdict = try verifier.withLock { verifier throws(StoreFailure) in
                try verifier.verify(bytes.octets, at: store.clock.now())
            }
            switch verdict {
            case .inactive(.malformed): return false
            // An imported key may be stored in another form.
            case .inactive(.unknown): return NativeCredential(bytes.octets, vendor: store.vendor) == nil
            default: return true
            }
        } catch {
            throw OAuthError(.temporarilyUnavailable, error.description)
        }
    }

    /// The client and its proof; nil if the client is unknown or revoked, or the secret is not valid.
    /// - Throws: ``OAuthError`` if the store cannot answer.
    func client(_ clientID: String, secret: String) throws(OAuthError) -> AuthenticatedClient? {
        guard let client = store.published.clients.client(id: clientID), client.revokedAt == nil else { return nil }
        do throws(StoreFailure) {
            let verdict = try verifier.withLock { verifier throws(StoreFailure) in
                try verifier.verify(Array(secret.utf8).octets, at: store.clock.now())
            }
            guard case .active(let record) = verdict, let proof = ClientProof(of: client, secret: record) else {
                return nil
            }
            return AuthenticatedClient(definition: client, proof: proof)
        } catch {
            throw OAuthError(.temporarilyUnavailable, error.description)
        }
    }
}
