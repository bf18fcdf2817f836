public import CredentialModel
public import CredentialStore
import RecordCache

/// A client as administration shows it: its stored definition and its secrets. The members of the definition can be read as
/// members of the summary.
@dynamicMemberLookup
public struct ClientSummary: Sendable {
    public let definition: ClientDefinition
    /// In the order of issuance: all that may still be valid, and the newest ended ones (``Issuer/endedSecretsMax``).
    public let secrets: [CredentialSummary]
    /// The number of ended secrets that are not in `secrets`.
    public let secretsOmitted: Int

    public subscript<Value>(dynamicMember path: KeyPath<ClientDefinition, Value>) -> Value { definition[keyPath: path] }
}

/// A client with a new secret; a public client has none.
public struct IssuedClient: Sendable {
    public var summary: ClientSummary
    public var secret: SecretText?
}

extension Issuer {
    private static let grantTypes = ["authorization_code", "client_credentials", "refresh_token"]
    /// Rights over this service, as scopes of the client's secret without their prefix.
    private static let clientRights = ["introspect", "changes", "admin"]
    private static let redirectURIsMax = 32
    /// The maximum number of ended secrets in a ``ClientSummary``.
    public static let endedSecretsMax = 100

    /// Registers a client and, unless it is public, issues a secret.
    /// - Throws: ``IssuanceError/invalid(field:reason:)``; ``IssuanceError/conflict(reason:)`` if another client has the same
    ///   name in its certificate; ``IssuanceError/forbidden(reason:field:)`` for a right that the caller lacks.
    public func createClient(_ request: ClientRequest) async throws(IssuanceError) -> IssuedClient {
        let metadata = try check(request)
        let rights = try Grants(
            scope: metadata.rights.map { ScopeSet.rightPrefix + $0 }, audience: metadata.audience, until: .never,
            by: authority)
        let (store, actor, repeatable) = (store, actor, repeatable)
        while true {
            let idNumber = CredentialID.random()
            let clientID = idNumber.description
            let owner = Array(clientID.utf8)
            guard let pending = PendingCredential.mint(kind: .clientSecret, owner: owner, store: store) else {
                continue
            }
            do {
                let client = try await write(creates: true) { writer, transaction in
                    // The directory has the state of the last commit, the writer the earlier changes of this one.
                    if let san = metadata.certificateSAN,
                        store.published.clients.client(certificateSAN: san) != nil
                            || writer.changedClients.contains(where: { $0.metadata.certificateSAN == san })
                    {
                        throw IssuanceError.conflict(reason: "another client has this certificate_san")
                    }
                    let number = try writer.intern(.client, Array(clientID.utf8), in: transaction)
                    if !metadata.isPublic {
                        var secret = pending.credential
                        secret.record.client = number
                        secret.record.issuedAt = writer.now
                        try writer.set(rights, of: &secret.record, in: transaction)
                        try writer.insertPending(secret, in: transaction)
                    }
                    let client = ClientDefinition(
                        number: number, clientID: clientID, metadata: metadata, createdAt: writer.now)
                    try writer.putClient(client, in: transaction)
                    let secrets = metadata.isPublic ? [] : [pending.credential.record.id]
                    let action = AuditedAction(.clientCreated, credentials: secrets, clientID: clientID)
                    try writer.audit(action, by: actor, in: transaction)
                    if let repeatable { try writer.remember(repeatable, made: [idNumber], in: transaction) }
                    return client
                }
                let summary = try await summary(client)
                return IssuedClient(summary: summary, secret: metadata.isPublic ? nil : pending.secret)
            } catch is MintAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }

    /// The metadata to store for a request, checked, normalised and without duplicates.
    private func check(_ request: ClientRequest) throws(IssuanceError) -> ClientMetadata {
        var metadata = request
        guard let name = try RequestText.name(request.name) else {
            throw .invalid(field: "name", reason: "is required")
        }
        metadata.name = name
        metadata.description = try RequestText.description(request.description)
        let grants = try Grants(scope: request.scope, audience: request.audience, until: .never, by: authority)
        metadata.scope = grants.scope.tokens
        metadata.audience = grants.audience.uris
        for grant in request.grants where !Self.grantTypes.contains(grant) {
            throw .invalid(field: "grant_types", reason: "can be \(Self.grantTypes.joined(separator: ", "))")
        }
        guard request.redirectURIs.count <= Self.redirectURIsMax else {
            throw .invalid(field: "redirect_uris", reason: "must have at most \(Self.redirectURIsMax) URIs")
        }
        for uri in request.redirectURIs {
            if let reason = RedirectURI.fault(in: uri) {
                throw .invalid(field: "redirect_uris", reason: "'\(uri.prefix(200))' \(reason)")
            }
        }
        if request.isPublic, request.grants.contains("client_credentials") {
            // RFC 6749 §4.4: the grant is only for confidential clients.
            throw .invalid(
                field: "grant_types",
                reason: "a public client has no secret: client_credentials is for clients that can keep one")
        }
        if request.grants.contains("authorization_code"), request.redirectURIs.isEmpty {
            throw .invalid(field: "redirect_uris", reason: "the authorization_code grant needs at least one")
        }
        for scope in request.scope where scope.hasPrefix(ScopeSet.rightPrefix) {
            throw .invalid(
                field: "scope", reason: "rights over this service are given by 'may' (--may), not by 'scope'")
        }
        if let san = request.certificateSAN {
            guard (1...255).contains(san.utf8.count), san.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw .invalid(field: "certificate_san", reason: "must be 1 to 255 visible ASCII characters")
            }
        }
        if request.isPublic, !request.rights.isEmpty, request.certificateSAN == nil {
            throw .invalid(field: "may", reason: "a public client cannot authenticate, so it can have no rights")
        }
        metadata.rights = []
        for right in request.rights where !metadata.rights.contains(right) {
            guard Self.clientRights.contains(right) else {
                throw .invalid(field: "may", reason: "can be \(Self.clientRights.joined(separator: ", "))")
            }
            metadata.rights.append(right)
        }
        return metadata
    }

    /// A client, revoked or not; nil if the id is unknown.
    public func client(_ clientID: String) async throws(IssuanceError) -> ClientSummary? {
        guard let client = store.published.clients.client(id: clientID) else { return nil }
        return try await summary(client)
    }

    /// Clients in the order of their ids.
    /// - Returns: up to `limit` clients, and the id after which the next page begins; nil on the last page.
    public func clients(
        search: String? = nil, after: String?, limit: Int
    ) async throws(IssuanceError) -> (items: [ClientSummary], next: String?) {
        guard (1...Self.pageMax).contains(limit) else {
            throw .invalid(field: "limit", reason: "must be 1 to \(Self.pageMax)")
        }
        let clients = store.published.clients.clients(search: search, after: after, limit: limit)
        var items: [ClientSummary] = []
        for client in clients { items.append(try await summary(client)) }
        return (items, clients.count == limit ? clients.last?.clientID : nil)
    }

    /// Issues a new secret for a client; its newest one stops working when the overlap ends.
    /// - Parameter overlapSeconds: 0 ends the old secret at once.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a revoked client, ``IssuanceError/conflict(reason:)`` for a public one.
    public func rotateClientSecret(
        _ clientID: String, overlapSeconds: Int64
    ) async throws(IssuanceError) -> IssuedClient {
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        guard client.revokedAt == nil else { throw .gone(reason: "the client is revoked") }
        guard !client.metadata.isPublic else { throw .conflict(reason: "a public client has no secret") }
        let living = try await secrets(of: client, endedMax: 0).shown
        let newest = living.last { $0.successor == nil && $0.state == .active }
        // A bulk revocation of its credentials leaves a client without secrets, but does not revoke the client.
        guard let newest else { return try await issueSecret(for: client) }
        let issued = try await rotate(newest.id, kind: .clientSecret, overlapSeconds: overlapSeconds)
        return IssuedClient(summary: try await summary(client), secret: issued.secret)
    }

    /// Issues a secret with the registered rights for a client that has no valid one.
    private func issueSecret(for client: ClientDefinition) async throws(IssuanceError) -> IssuedClient {
        let rights = try Grants(
            scope: client.metadata.rights.map { ScopeSet.rightPrefix + $0 }, audience: client.metadata.audience,
            until: .never, by: authority)
        let owner = Array(client.clientID.utf8)
        let action = AuditedAction(.clientSecretCreated, clientID: client.clientID)
        let issued = try await issue(.clientSecret, owner: owner, as: action) { writer, transaction, row in
            guard let client = try writer.client(client.number, in: transaction), client.revokedAt == nil else {
                throw IssuanceError.gone(reason: "the client is revoked")
            }
            row.record.client = client.number
            row.record.issuedAt = writer.now
            try writer.set(rights, of: &row.record, in: transaction)
        }
        return IssuedClient(summary: try await summary(client), secret: issued.first?.secret)
    }

    /// Revokes a client, its secrets and everything that was issued through it, by one watermark.
    public func revokeClient(_ clientID: String) async throws(IssuanceError) -> BulkRevocation {
        guard let client = store.published.clients.client(id: clientID) else { throw .unknownClient }
        let actor = actor
        return try await mutate(creates: false) { writer, transaction in
            let revocation = try BulkRevocation.raise(
                of: .client(client.number), issuedBefore: nil, by: writer, in: transaction)
            guard var ended = try writer.client(client.number, in: transaction) else {
                throw IssuanceError.unknownClient
            }
            ended.revokedAt = ended.revokedAt ?? writer.now
            try writer.putClient(ended, in: transaction)
            try writer.audit(AuditedAction(.clientRevoked, clientID: clientID), by: actor, in: transaction)
            return revocation
        }
    }

    private func summary(_ client: ClientDefinition) async throws(IssuanceError) -> ClientSummary {
        let secrets = try await secrets(of: client)
        return ClientSummary(definition: client, secrets: secrets.shown, secretsOmitted: secrets.omitted)
    }

    /// A client's secrets have its id as their owner, so that the index of owners finds them. There may be any number of
    /// ended secrets, so all pages are read: a valid secret may be on the last one.
    /// - Returns: in the order of issuance, all secrets that may still be valid and the newest `endedMax` ended ones; and the
    ///   number of ended ones that are left out.
    private func secrets(
        of client: ClientDefinition, endedMax: Int = Issuer.endedSecretsMax
    ) async throws(IssuanceError) -> (shown: [CredentialSummary], omitted: Int) {
        let owner = Array(client.clientID.utf8)
        let now = store.clock.now()
        let (rows, omitted) = try await offThread(.lookUp) { store in
            var living: [StoredCredential] = []
            var ended: [StoredCredential] = []
            var endedCount = 0
            var after: CredentialID?
            repeat {
                let page = try store.credentials(owner: owner, kind: .clientSecret, after: after, limit: Self.pageMax) {
                    $0.record.client == client.number
                }
                for row in page.rows {
                    if row.record.expiresAt > now, !store.published.isRevoked(row) {
                        living.append(row)
                    } else {
                        ended.append(row)
                        endedCount += 1
                    }
                }
                ended.sort { $0.record.issuedAt > $1.record.issuedAt }
                ended = Array(ended.prefix(endedMax))
                after = page.next
            } while after != nil
            return (living + ended, endedCount - ended.count)
        }
        return (rows.map { summary($0) }.sorted { $0.issuedAt < $1.issuedAt }, omitted)
    }
}
