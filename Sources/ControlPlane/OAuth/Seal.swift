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

    /// - Parameter text: carried along as it is, sealed with the rest.
    func close(_ value: some Encodable, _ purpose: Purpose, beside text: String? = nil) throws -> String {
        var payload = Array(try JSONEncoder().encode(value))
        // JSON holds no zero byte outside of an escape.
        if let text { payload += [0] + Array(text.utf8) }
        return Base64URL.encode(payload) + "." + Base64URL.encode(code(payload, purpose))
    }

    /// Nil for what was not sealed here for this purpose.
    func open<Value: Decodable>(
        _ type: Value.Type, _ text: String, _ purpose: Purpose
    ) -> (value: Value, text: String?)? {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let payload = Base64URL.decode(parts[0]), let given = Base64URL.decode(parts[1]),
            ConstantTime.equal(given.octets, code(payload, purpose).octets)
        else { return nil }
        let end = payload.firstIndex(of: 0)
        guard let value = try? JSONDecoder().decode(type, from: Data(payload[..<(end ?? payload.endIndex)])) else {
            return nil
        }
        return (value, end.map { String(decoding: payload[($0 + 1)...], as: UTF8.self) })
    }

    func code(_ payload: [UInt8], _ purpose: Purpose) -> [UInt8] {
        let message = Array("countersign oauth \(purpose.rawValue)".utf8) + [0] + payload
        return key.authenticationCode(of: message.octets).bytes
    }
}
