import AdministrationAPI
import CredentialDigest
import CredentialModel
import HTTPTypes
import Hummingbird

/// What a request made: its ids, and the answer with the secrets.
struct Creation: Sendable {
    let handles: [String]
    let answer: Response
}

extension IdempotencyTable {
    /// Runs a creation at most once for each `Idempotency-Key`
    /// (draft-ietf-httpapi-idempotency-key-header). Without that field it just runs.
    ///
    /// - Parameter again: answers a repeated request from the ids, with null for the secrets.
    func once(
        _ exchange: Exchange, create: () async throws -> Creation, again: ([String]) async throws -> Response
    ) async throws -> Response {
        guard let key = try exchange.idempotencyKey() else { return try await create().answer }
        let number: UInt64
        switch claim(key, fingerprint: exchange.fingerprint) {
        case .made(let handles): return try await again(handles)
        case .inProgress: throw Problem(.requestInProgress, detail: "Repeat the request in a moment.")
        case .otherRequest:
            throw Problem(.idempotencyKeyReused, detail: "Use a new Idempotency-Key for each new request.")
        case .fresh(let claimed): number = claimed
        }
        do {
            let creation = try await create()
            settle(key, number, handles: creation.handles)
            return creation.answer
        } catch {
            abandon(key, number)
            throw error
        }
    }
}

extension Exchange {
    /// 1 to 255 visible ASCII characters, nil when the field is absent.
    fileprivate func idempotencyKey() throws(Problem) -> String? {
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

    /// Method, path and body as one hash: what makes two requests the same. The body itself is not kept.
    fileprivate var fingerprint: [UInt8] {
        var message = Array("\(request.method.rawValue) \(request.uri.path)\n".utf8)
        message.append(contentsOf: body)
        return Self.fingerprintKey.authenticationCode(of: message.octets).bytes
    }

    /// Drawn for this process: a body may hold a secret, and its hash must not be a way to guess it.
    private static let fingerprintKey: TagKey = {
        var generator = SystemRandomNumberGenerator()
        return TagKey((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }()
}
