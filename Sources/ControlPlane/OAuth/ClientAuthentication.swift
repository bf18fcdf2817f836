import CredentialStore
import HTTPTypes
import Hummingbird
import Issuance

/// A client that is known now, and what it proved that with: the flows read that again inside their transaction.
struct AuthenticatedClient: Sendable {
    let definition: ClientDefinition
    let proof: ClientProof
}

/// Finds out which client sends a request to the token or the revocation endpoint (RFC 6749 §2.3, §3.2.1).
struct ClientAuthentication: Sendable {
    let store: CredentialStore
    let secrets: ClientSecrets

    /// - Throws: `invalid_client` for a secret that is wrong or missing, `invalid_request` for two methods at once.
    func client(of request: Request, _ parameters: FormParameters) throws(OAuthError) -> AuthenticatedClient {
        let clientID = try parameters.one("client_id")
        let secret = try parameters.one("client_secret")
        let fields = request.headers[values: .authorization]
        guard fields.count <= 1 else { throw OAuthError(.invalidRequest, "two Authorization fields") }
        if let field = fields.first {
            guard let pair = BasicCredentials(field) else {
                throw OAuthError(.invalidClient, "the Authorization field holds no Basic credentials")
            }
            // One method only; many clients repeat themselves in the body, which is fine if it agrees.
            guard clientID ?? pair.clientID == pair.clientID, secret ?? pair.secret == pair.secret else {
                throw OAuthError(.invalidRequest, "the credentials in the body differ from the Authorization field")
            }
            return try confidential(pair.clientID, pair.secret)
        }
        guard let clientID else { throw OAuthError(.invalidClient, "no client has identified itself") }
        if let secret { return try confidential(clientID, secret) }
        // An id proves nothing; only whoever can keep no secret needs none.
        guard let client = store.published.clients.client(id: clientID), client.revokedAt == nil,
            let proof = ClientProof(publicClient: client)
        else { throw Self.refusal }
        return AuthenticatedClient(definition: client, proof: proof)
    }

    /// Judges by the head alone, where that says who the client is; elsewhere its credentials may come in the body.
    /// - Throws: as ``client(of:_:)``.
    func admitHead(of request: Request) throws(OAuthError) {
        guard !request.headers[values: .authorization].isEmpty, let none = FormParameters("") else { return }
        _ = try client(of: request, none)
    }

    /// The same words for every cause: whether a client exists is nobody's business.
    private static let refusal = OAuthError(.invalidClient, "the client or its secret is unknown")

    private func confidential(_ clientID: String, _ secret: String) throws(OAuthError) -> AuthenticatedClient {
        guard let client = try secrets.client(clientID, secret: secret) else { throw Self.refusal }
        return client
    }
}
