import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// `/v1/keys`: API keys.
struct KeyRoutes: Sendable {
    let work: LongWork

    func list(_ exchange: Exchange) async throws -> Response {
        try await exchange.credentialList(kind: .apiKey)
    }

    func create(_ exchange: Exchange) async throws -> Response {
        let request = try exchange.decode(KeyRequest.self)
        return try await exchange.idempotent { issuer in
            let issued = try await issuer.createKeys(request)
            return try Self.created(
                issued.map { KeyCreated(CredentialResource($0.summary), key: Secret($0.secret)) })
        } replay: { ids in
            var keys: [KeyCreated] = []
            for id in ids { keys.append(KeyCreated(try await createdBefore(id, exchange), key: nil)) }
            return try Self.created(keys)
        }
    }

    private static func created(_ keys: [KeyCreated]) throws -> Response {
        let location = keys.count == 1 ? keys.first.map { "/v1/keys/\($0.id)" } : nil
        return try .json(KeysCreated(items: keys), status: .created, location: location)
    }

    func show(_ exchange: Exchange) async throws -> Response {
        try .json(CredentialResource(try await key(exchange)))
    }

    func edit(_ exchange: Exchange) async throws -> Response {
        let edit = try exchange.decode(KeyEdit.self)
        let key = try await key(exchange)
        return try .json(CredentialResource(try await exchange.issuer.editKey(key.id, edit)))
    }

    func rotate(_ exchange: Exchange) async throws -> Response {
        let overlapSeconds = try exchange.decode(RotationRequest.self).checkedOverlap()
        let old = try await key(exchange).id
        return try await exchange.idempotent { issuer in
            let issued = try await issuer.rotate(old, overlapSeconds: overlapSeconds)
            return try await rotated(CredentialResource(issued.summary), key: Secret(issued.secret), exchange)
        } replay: { ids in
            guard let id = ids.first else { throw Problem(.internalError) }
            return try await rotated(try await createdBefore(id, exchange), key: nil, exchange)
        }
    }

    func revoke(_ exchange: Exchange) async throws -> Response {
        let id = try exchange.credentialID().description
        let result = try await CredentialRevocation(issuer: exchange.issuer, kinds: [.apiKey])
            .revoke([id], chain: try exchange.query.flag("chain"))
        guard result.unknown.isEmpty else { throw Problem(.unknownCredential) }
        return try .json(result)
    }

    func revokeMany(_ exchange: Exchange) async throws -> Response {
        let revocation = try exchange.decode(RevocationRequest.self)
        return try .json(
            try await CredentialRevocation(issuer: exchange.issuer, kinds: [.apiKey]).revoke(
                revocation.ids, chain: revocation.chain))
    }

    private func rotated(
        _ successor: CredentialResource, key: Secret?, _ exchange: Exchange
    ) async throws -> Response {
        var sunset: Int64?
        if let id = successor.predecessor.flatMap({ CredentialID($0) }) {
            sunset = try await exchange.issuer.credential(id)?.sunset?.rawValue
        }
        let rotation = KeyRotated(
            created: KeyCreated(successor, key: key), predecessor: successor.predecessor, predecessorSunset: sunset)
        return try .json(rotation, status: .created, location: "/v1/keys/\(successor.id)")
    }

    /// The key in the path. The kind of a credential never changes, so it can be checked before a mutation.
    private func key(_ exchange: Exchange) async throws -> CredentialSummary {
        guard let summary = try await exchange.issuer.credential(try exchange.credentialID()), summary.kind == .apiKey
        else {
            throw Problem(.unknownCredential)
        }
        return summary
    }

    /// A key that an earlier request with the same Idempotency-Key created.
    private func createdBefore(_ id: CredentialID, _ exchange: Exchange) async throws -> CredentialResource {
        guard let summary = try await exchange.issuer.credential(id) else { throw Problem(.unknownCredential) }
        return CredentialResource(summary)
    }
}

extension RotationRequest {
    /// - Throws: ``Problem`` for a negative time.
    func checkedOverlap() throws(Problem) -> Int64 {
        guard overlapSeconds >= 0 else {
            throw Problem(.invalidValue, detail: "'overlap_seconds' must not be negative.", member: "overlap_seconds")
        }
        return overlapSeconds
    }
}

// MARK: - Keys and tokens

extension Exchange {
    /// A page of keys or tokens, filtered by the query.
    func credentialList(kind: CredentialKind) async throws -> Response {
        let filter = CredentialFilter(
            kind: kind, owner: query["owner"], clientID: query["client_id"],
            expiresBefore: try Self.time(query, "expires_before"), isRotated: try query.flag("rotated"),
            search: query["search"])
        let page = try await issuer.credentials(filter, after: try Self.cursor(query), limit: try query.pageLimit())
        return try .json(
            PageResource(items: page.items.map { CredentialResource($0) }, next: page.next?.description))
    }

    private static func time(_ query: RequestQuery, _ name: String) throws(Problem) -> UnixSeconds? {
        guard let text = query[name] else { return nil }
        guard let seconds = Int64(text) else {
            throw Problem(.badQuery, detail: "'\(name)' must be seconds since 1970.", member: name)
        }
        return try UnixSeconds.from(seconds, member: name)
    }

    private static func cursor(_ query: RequestQuery) throws(Problem) -> CredentialID? {
        guard let text = query["after"] else { return nil }
        guard let id = CredentialID(text) else {
            throw Problem(.badQuery, detail: "'after' must be the 'next' of a page.", member: "after")
        }
        return id
    }
}

/// Revokes credentials of the given kinds. Others count as unknown, so that the right to revoke keys does not revoke
/// tokens.
struct CredentialRevocation: Sendable {
    let issuer: Issuer
    let kinds: Set<CredentialKind>

    func revoke(_ texts: [String], chain: Bool) async throws -> RevocationResult {
        guard (1...RevocationRequest.idsMax).contains(texts.count) else {
            let detail = "'ids' must have 1 to \(RevocationRequest.idsMax) elements."
            throw Problem(.invalidValue, detail: detail, member: "ids")
        }
        var ids: [CredentialID] = []
        var unknown: [String] = []
        for (index, text) in texts.enumerated() {
            // Text that is not an id may be a whole credential, pasted by mistake: it is identified by its index.
            guard let id = CredentialID(text) else {
                let detail = "'ids.\(index)' is not an id: 11 letters and digits."
                throw Problem(.invalidValue, detail: detail, member: "ids.\(index)")
            }
            // The kind of a credential never changes, so it can be checked before the mutation.
            if try await issuer.isRevocable(id, as: kinds) {
                ids.append(id)
            } else {
                unknown.append(id.description)
            }
        }
        guard !ids.isEmpty else {
            return RevocationResult(RevocationReport(), unknown: unknown)
        }
        return RevocationResult(try await issuer.revoke(ids, chain: chain), unknown: unknown)
    }
}
