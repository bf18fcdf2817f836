public import CredentialModel
public import CredentialStore

/// Shows which client sends a request, and what it proved that with (RFC 6749 §2.3).
///
/// A request is authenticated before it waits for the writer, and its secret may be revoked meanwhile. So the flows take no
/// client id but this, and get the client from it inside their transaction, where the secret is read again
/// (`StoreWriter.livingClient`).
public struct ClientProof: Sendable {
    enum Method: Sendable, Equatable {
        /// A client secret, by its id.
        case secret(CredentialID)
        /// A public client proves nothing (RFC 6749 §2.1).
        case none
    }

    public let clientID: String
    let number: UInt32
    let method: Method

    /// A client whose secret was verified.
    /// - Parameter secret: the record of the secret that was presented.
    /// - Returns: nil when the record is not that of a secret of this client.
    public init?(of client: ClientDefinition, secret: CredentialRecord) {
        guard secret.kind == .clientSecret, secret.client == client.number else { return nil }
        (clientID, number, method) = (client.clientID, client.number, .secret(secret.id))
    }

    /// A client that can keep no secret and has only named itself. Nil for a confidential one.
    public init?(publicClient client: ClientDefinition) {
        guard client.metadata.isPublic else { return nil }
        (clientID, number, method) = (client.clientID, client.number, .none)
    }
}
