import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance

/// `/v1/keys`: API keys.
struct KeyRoutes: Sendable {
    let work: LongWork

    func list(_ exchange: Exchange) async throws -> Response {
        try await CredentialList(issuer: exchange.issuer).answer(exchange, kind: .apiKey)
    }

    func create(_ exchange: Exchange) async throws -> Response {
        let request = try exchange.decode(KeyRequest.self)
        return try await exchange.once { issuer in
            let issued = try await issuer.createKeys(request)
            return try Self.answer(
                issued.map { KeyCreated(CredentialResource($0.summary), key: Secret($0.secret)) })
        } again: { ids in
            var keys: [KeyCreated] = []
            for id in ids { keys.append(KeyCreated(try await made(id, exchange), key: nil)) }
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
        let edit = try exchange.decode(KeyEdit.self)
        let key = try await key(exchange)
        return try .json(CredentialResource(try await exchange.issuer.editKey(key.id, edit)))
    }

    func rotate(_ exchange: Exchange) async throws -> Response {
        let overlapSeconds = try exchange.decode(RotationRequest.self).checkedOverlap()
        let old = try await key(exchange).id
        return try await exchange.once { issuer in
            let issued = try await issuer.rotate(old, overlapSeconds: overlapSeconds)
            return try await rotated(CredentialResource(issued.summary), key: Secret(issued.secret), exchange)
        } again: { ids in
            guard let id = ids.first else { throw Problem(.internalError) }
            return try await rotated(try await made(id, exchange), key: nil, exchange)
        }
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

    /// The key in the path. The kind of a credential never changes, so that this may be asked before a mutation.
    private func key(_ exchange: Exchange) async throws -> CredentialSummary {
        guard let summary = try await exchange.issuer.credential(try exchange.credentialID()), summary.kind == .apiKey
        else {
            throw Problem(.unknownCredential)
        }
        return summary
    }

    /// A key that an earlier request with the same Idempotency-Key made.
    private func made(_ id: CredentialID, _ exchange: Exchange) async throws -> CredentialResource {
        guard let summary = try await exchange.issuer.credential(id) else { throw Problem(.unknownCredential) }
        return CredentialResource(summary)
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
