import CredentialDigest
import CredentialModel
import Foundation
import Issuance

/// Texts that go through somebody's browser and come back as they were: nothing has to be kept for requests of which nobody
/// knows whether they will be gone on with.
///
/// They can be read by whoever sees them, and made by nobody else: an HMAC under the store's lookup secret, which no pepper
/// rotation changes, and a purpose, so that none passes for another.
struct Seal: Sendable {
    enum Purpose: String {
        case challenge, verdict, form
    }

    let key: TagKey

    /// The longest text that is looked at.
    private static let textBytesMax = 16_384

    func close(_ value: some Encodable, _ purpose: Purpose) throws -> String {
        let payload = Array(try JSONEncoder().encode(value))
        return Base64URL.encode(payload) + "." + Base64URL.encode(code(payload, purpose))
    }

    /// Nil for what was not sealed here for this purpose.
    func open<Value: Decodable>(_ type: Value.Type, _ text: String, _ purpose: Purpose) -> Value? {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let payload = Base64URL.decode(parts[0]), let given = Base64URL.decode(parts[1]),
            ConstantTime.equal(given.octets, code(payload, purpose).octets)
        else { return nil }
        return try? JSONDecoder().decode(type, from: Data(payload))
    }

    func code(_ payload: [UInt8], _ purpose: Purpose) -> [UInt8] {
        let message = Array("countersign oauth \(purpose.rawValue)".utf8) + [0] + payload
        return key.authenticationCode(of: message.octets).bytes
    }
}
