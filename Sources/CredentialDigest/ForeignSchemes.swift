import CredentialModel

/// All schemes that keys of other systems can be imported by here, with the secrets that they need.
public struct ForeignSchemes: Sendable, CustomStringConvertible, CustomReflectable {
    /// The one that keys are looked for by first stands first.
    public let all: [ForeignScheme]
    private let lookup: TagKey

    public init(lookup: TagKey, hmacKeys: [HMACKey]) {
        self.lookup = lookup
        all = [.raw, .sha256, .sha512] + hmacKeys.map { .hmacSHA256($0) }
    }

    /// The HMAC key of that name; nil when the pepper file has none.
    public func hmacKey(named name: String) -> HMACKey? {
        for case .hmacSHA256(let key) in all where key.name == name { return key }
        return nil
    }

    /// What is imported of a key by a scheme: the key itself, or its hash.
    public static func form(of key: RawSpan, by scheme: ForeignScheme) -> [UInt8] {
        switch scheme {
        case .raw: key.copied()
        case .sha256: SHA256Digest.of(key)
        case .sha512: SHA512Digest.of(key)
        case .hmacSHA256(let hmac): hmac.code(of: key)
        }
    }

    /// Where what was imported is found: HMAC(lookup secret, 0x00 ‖ scheme ‖ key or hash), its first 16 bytes.
    ///
    /// Keyed with a secret that never rotates, so that pepper rotation never changes an id and the store alone does not
    /// tell whether a guessed key, or a hash that somebody knows, was imported.
    public func alias(of form: RawSpan, by scheme: ForeignScheme) -> [UInt8] {
        var message = scheme.prefix
        message.reserveCapacity(message.count + form.byteCount)
        for offset in 0..<form.byteCount { message.append(form.byte(at: offset)) }
        return Array(lookup.authenticationCode(of: message.octets).bytes.prefix(Self.aliasByteCount))
    }

    /// Bytes of an alias.
    public static let aliasByteCount = 16

    public var description: String { "\(all.count) schemes <redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
