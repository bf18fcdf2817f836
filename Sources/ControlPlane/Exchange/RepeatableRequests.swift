import AdministrationAPI
import CredentialModel
import CredentialStore
import HTTPTypes
import Hummingbird
import Issuance

extension Exchange {
    /// Runs a creation at most once for each `Idempotency-Key`. Without that field it just runs.
    ///
    /// A caller whose connection broke does not know whether a key was made. It repeats the request with the same field and
    /// gets the same ids; the secret is not stored, so it gets null there, and revokes or rotates.
    /// - Parameters:
    ///   - create: works with the issuer that it is given.
    ///   - again: answers a repeated request from what the first has made, with null for the secrets.
    func once(
        create: (Issuer) async throws -> Response, again: ([CredentialID]) async throws -> Response
    ) async throws -> Response {
        guard let name = try idempotencyKey() else { return try await create(issuer) }
        let content = Array("\(request.method.rawValue) \(request.uri.path)\n".utf8) + body
        let repeatable = RepeatableRequest(
            caller: issuer.authority.name, name: name, content: content, lookup: issuer.store.lookup)
        do {
            return try await create(issuer.answering(repeatable))
        } catch IssuanceError.repeated(let ids) {
            return try await again(ids)
        }
    }

    /// For creations that cannot be repeated: a caller who relies on the field must not find out afterwards that it did
    /// nothing.
    /// - Throws: ``Problem`` when the request has the field.
    func refuseIdempotencyKey() throws(Problem) {
        guard try idempotencyKey() == nil else {
            let detail = "This request takes no Idempotency-Key: it cannot be repeated safely."
            throw Problem(.badIdempotencyKey, detail: detail)
        }
    }

    /// 1 to 255 visible ASCII characters, nil when the field is absent.
    private func idempotencyKey() throws(Problem) -> String? {
        let values = HTTPField.Name("Idempotency-Key").map { request.headers[values: $0] } ?? []
        guard let key = values.first else { return nil }
        let isGood =
            values.count == 1 && (1...ControlPlaneLimits.idempotencyKeyBytesMax).contains(key.utf8.count)
            && key.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard isGood else {
            let detail =
                "Send one Idempotency-Key of 1 to \(ControlPlaneLimits.idempotencyKeyBytesMax) visible characters."
            throw Problem(.badIdempotencyKey, detail: detail)
        }
        return key
    }
}
