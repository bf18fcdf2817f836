import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// `/v1/keys`: API keys.
struct KeyRoutes: Sendable {
    let issuer: Issuer
    let created: IdempotencyTable

    func list(_ exchange: Exchange) async throws -> Response {
        try await CredentialList(issuer: issuer).answer(exchange, kind: .apiKey)
    }

    func create(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(KeyCreateRequest.self)
        let count = asked.count ?? 1
        guard (1...KeyCreateRequest.countMax).contains(count) else {
            let detail = "'count' must be 1 to \(KeyCreateRequest.countMax)."
            throw Problem(.invalidValue, detail: detail, member: "count")
        }
        let request = try asked.request(count: count)
        return try await created.once(exchange) {
            let issued = try await issuer.createKeys(request)
            let keys = issued.map { KeyCreated(CredentialResource($0.summary), key: Secret($0.secret)) }
            return Creation(handles: keys.map(\.id), answer: try Self.answer(keys))
        } again: { handles in
            var keys: [KeyCreated] = []
            for handle in handles { keys.append(KeyCreated(try await made(handle), key: nil)) }
            return try Self.answer(keys)
        }
    }

    private static func answer(_ keys: [KeyCreated]) throws -> Response {
        let location = keys.count == 1 ? keys.first.map { "/v1/keys/\($0.id)" } : nil
        return try .json(KeysCreated(items: keys), status: .created, location: location)
    }

    func show(_ exchange: Exchange) async throws -> Response {
        try .json(CredentialResource(try await key(exchange)))
    }

    func edit(_ exchange: Exchange) async throws -> Response {
        let asked = try exchange.decode(KeyEditRequest.self)
        let edit = KeyEdit(
            name: asked.name.asOptional, scope: asked.scope?.words, audience: asked.audience,
            networks: asked.networks, expiresAt: try Self.time(asked.expiresAt, member: "exp"),
            notBefore: try Self.time(asked.notBefore, member: "nbf"))
        let key = try await key(exchange)
        return try .json(CredentialResource(try await issuer.editKey(key.id, edit)))
    }

    private static func time(_ change: Change<Int64>, member: String) throws(Problem) -> UnixSeconds?? {
        switch change {
        case .leave: nil
        case .clear: .some(nil)
        case .set(let seconds): .some(try UnixSeconds.from(seconds, member: member))
        }
    }

    func rotate(_ exchange: Exchange) async throws -> Response {
        let overlapSeconds = try exchange.decode(RotationRequest.self).checkedOverlap()
        let old = try await key(exchange).id
        return try await created.once(exchange) {
            let issued = try await issuer.rotate(old, overlapSeconds: overlapSeconds)
            let resource = CredentialResource(issued.summary)
            return Creation(handles: [resource.id], answer: try await rotated(resource, key: Secret(issued.secret)))
        } again: { handles in
            guard let handle = handles.first else { throw Problem(.internalError) }
            return try await rotated(try await made(handle), key: nil)
        }
    }

    private func rotated(_ successor: CredentialResource, key: Secret?) async throws -> Response {
        var sunset: Int64?
        if let id = successor.predecessor.flatMap({ CredentialID($0) }) {
            sunset = try await issuer.credential(id)?.sunset?.rawValue
        }
        let rotation = KeyRotated(
            created: KeyCreated(successor, key: key), predecessor: successor.predecessor, predecessorSunset: sunset)
        return try .json(rotation, status: .created, location: "/v1/keys/\(successor.id)")
    }

    /// The key in the path. The kind of a credential never changes, so that this may be asked before a mutation.
    private func key(_ exchange: Exchange) async throws -> CredentialSummary {
        guard let summary = try await issuer.credential(try exchange.credentialID()), summary.kind == .apiKey else {
            throw Problem(.unknownCredential)
        }
        return summary
    }

    /// A key that an earlier request with the same Idempotency-Key made.
    private func made(_ handle: String) async throws -> CredentialResource {
        guard let id = CredentialID(handle), let summary = try await issuer.credential(id) else {
            throw Problem(.unknownCredential)
        }
        return CredentialResource(summary)
    }
}

extension KeyCreateRequest {
    func request(count: Int) throws(Problem) -> KeyRequest {
        KeyRequest(
            owner: owner, name: name, scope: scope?.words ?? [], audience: audience ?? [], networks: networks ?? [],
            expiresInSeconds: expiresIn, notBefore: try UnixSeconds.from(notBefore, member: "nbf"), count: count)
    }
}

extension RotationRequest {
    func checkedOverlap() throws(Problem) -> Int64 {
        guard overlapSeconds >= 0 else {
            throw Problem(.invalidValue, detail: "'overlap_seconds' must not be negative.", member: "overlap_seconds")
        }
        return overlapSeconds
    }
}
