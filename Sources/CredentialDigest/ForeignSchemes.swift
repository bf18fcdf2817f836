import CredentialModel

/// All schemes by which keys of other systems can be imported here, with the secrets that they need.
public struct ForeignSchemes: Sendable, CustomStringConvertible, CustomReflectable {
    /// In the order in which a presented key is looked up.
    public let all: [ForeignScheme]
    private let lookup: TagKey

    public init(lookup: TagKey, hmacKeys: [HMACKey]) {
        self.lookup = lookup
        all = [.raw, .sha256, .sha512] + hmacKeys.map { .hmacSHA256($0) }
    }

    /// The HMAC key with a name; nil when the pepper file has none.
    public func hmacKey(named name: String) -> HMACKey? {
        for case .hmacSHA256(let key) in all where key.name == name { return key }
        return nil
    }

    /// The imported form of a key: the key itself, or its hash.
    public static func form(of key: RawSpan, by scheme: ForeignScheme) -> [UInt8] {
        switch scheme {
        case .raw: key.copied()
        case .sha256: SHA256Digest.of(key)
        case .sha512: SHA512Digest.of(key)
        case .hmacSHA256(let hmac): hmac.code(of: key)
        }
    }

    /// The alias of an imported form: HMAC(lookup secret, 0x00 ‖ scheme ‖ key or hash), its first 16 bytes.
    ///
    /// The secret never rotates, so pepper rotation never changes an alias. Without it, the store does not reveal whether a
    /// guessed key or a known hash was imported.
    public func alias(of form: RawSpan, by scheme: ForeignScheme) -> [UInt8] {
        var message = scheme.prefix
        message.reserveCapacity(message.count + form.byteCount)
        for offset in 0..<form.byteCount { message.append(form.byte(at: offset)) }
        return Array(lookup.authenticationCode(of: message.octets).bytes.prefix(Self.aliasByteCount))
    }

    /// Length of an alias in bytes.
    public static let aliasByteCount = 16

    public var description: String { "\(all.count) schemes <redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
