import CredentialDigest
public import CredentialModel
import CredentialStore

/// What another system exports of a key: the key itself, or its stored hash.
public enum ImportedForm: Sendable {
    /// The key as its users present it: 20 to 512 visible ASCII characters without comma and quote.
    case key(SecretText)
    /// SHA-256 of the key, as parsed by ``HashText``.
    case sha256(SecretText)
    /// SHA-512 of the key.
    case sha512(SecretText)
    /// HMAC-SHA-256 of the key, under the key with that name in the pepper file.
    case hmacSHA256(SecretText, keyName: String)
}

extension ImportedForm {
    /// The scheme, and the bytes to look up and tag.
    func checked(_ store: CredentialStore) throws(IssuanceError) -> (scheme: ForeignScheme, bytes: [UInt8]) {
        switch self {
        case .key(let text):
            let bytes = text.revealBytes()
            guard CredentialFormat.isImportable(bytes.octets) else {
                throw .invalid(
                    field: "key", reason: "must be 20 to 512 visible ASCII characters without comma and quote")
            }
            guard NativeCredential(bytes.octets, vendor: store.vendor) == nil else {
                throw .invalid(field: "key", reason: "has the form of this service's own credentials")
            }
            return (.raw, bytes)
        case .sha256(let text): return try Self.hash(text, .sha256, field: "sha256")
        case .sha512(let text): return try Self.hash(text, .sha512, field: "sha512")
        case .hmacSHA256(let text, let name):
            // The error does not repeat the name, in case it is the key itself.
            guard let key = store.foreignSchemes.hmacKey(named: name) else {
                throw .invalid(
                    field: "hmac_key_name",
                    reason: "is none of the pepper file's `hmac` lines: add the key there and restart")
            }
            return try Self.hash(text, .hmacSHA256(key), field: "hmac_sha256")
        }
    }

    private static func hash(
        _ text: SecretText, _ scheme: ForeignScheme, field: String
    ) throws(IssuanceError) -> (scheme: ForeignScheme, bytes: [UInt8]) {
        let byteCount = scheme.hashByteCount ?? 0
        guard let bytes = HashText.decode(text.revealBytes(), byteCount: byteCount) else {
            throw .invalid(
                field: field,
                reason: "must be \(byteCount) bytes in \(2 * byteCount) hexadecimal digits, base64 or base64url")
        }
        // The result of unset columns and empty hashes: it would match nobody's key, or everybody's.
        guard bytes.contains(where: { $0 != 0 }) else {
            throw .invalid(field: field, reason: "is all zeros, which is no hash of a key")
        }
        return (scheme, bytes)
    }
}
