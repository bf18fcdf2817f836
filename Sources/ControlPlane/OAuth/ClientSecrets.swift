import CredentialStore
import CredentialModel
import Issuance
import Synchronization
import Verification

/// Tells whether a client's secret is right. Has a verifier, and so a read transaction, of its own.
final class ClientSecrets: Sendable {
    private let verifier: Mutex<Verifier>
    private let store: CredentialStore

    init(store: CredentialStore) throws(StoreFailure) {
        verifier = Mutex(try Verifier(store: store))
        self.store = store
    }

    /// Whether a presented code or token, alive or not, is one of this store's.
    ///
    /// What is not needs no turn of the writer: a flood of it must not hold up revocations.
    /// - Throws: ``OAuthError`` when the store cannot answer.
    func mayBeKnown(_ text: SecretText) throws(OAuthError) -> Bool {
        let bytes = text.revealBytes()
        do throws(StoreFailure) {
            let verdict = try verifier.withLock { verifier throws(StoreFailure) in
                try verifier.verify(bytes.octets, at: store.clock.now())
            }
            switch verdict {
            case .inactive(.malformed): return false
            // Of imported keys, another form may be known.
            case .inactive(.unknown): return NativeCredential(bytes.octets, vendor: store.vendor) == nil
            default: return true
            }
        } catch {
            throw OAuthError(.temporarilyUnavailable, error.description)
        }
    }

    /// The client of that id and the proof, if this is a valid secret of it.
    /// - Throws: ``OAuthError`` when the store cannot answer.
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
