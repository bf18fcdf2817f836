import CredentialModel

/// The form in which a key of another system was imported, and so how a presented key is transformed to find it.
///
/// The store never has this form itself: the key or hash is hashed again, under the lookup secret for the alias and
/// under a pepper for the tag.
public enum ForeignScheme: Sendable {
    /// The key as it is.
    case raw
    /// Its SHA-256.
    case sha256
    /// Its SHA-512.
    case sha512
    /// Its HMAC-SHA-256 under a key of the other system.
    case hmacSHA256(HMACKey)

    /// The name under which a store records that it has keys of this scheme.
    public var name: String {
        switch self {
        case .raw: "raw"
        case .sha256: "sha256"
        case .sha512: "sha512"
        case .hmacSHA256(let key): Self.hmacPrefix + key.name
        }
    }

    private static let hmacPrefix = "hmac-sha256-"

    /// The name of the HMAC key that the scheme with this ``name`` needs; nil if it needs none.
    public static func hmacKeyName(ofScheme name: String) -> String? {
        name.hasPrefix(hmacPrefix) ? String(name.dropFirst(hmacPrefix.count)) : nil
    }

    /// The number of bytes in the hash; nil for an unhashed key.
    public var hashByteCount: Int? {
        switch self {
        case .raw: nil
        case .sha256, .hmacSHA256: 32
        case .sha512: 64
        }
    }

    /// Its bit in a ``ForeignSchemeSet``, fixed while this process runs.
    var place: Int {
        switch self {
        case .raw: 0
        case .sha256: 1
        case .sha512: 2
        case .hmacSHA256(let key): 3 + key.place
        }
    }

    /// The beginning of an alias's message. A name may have any length, because exactly 32 bytes follow it; so no two
    /// schemes have a message in common.
    var prefix: [UInt8] {
        switch self {
        case .raw: [0, 1]
        case .sha256: [0, 2]
        case .sha512: [0, 3]
        case .hmacSHA256(let key): [0, 4] + Array(key.name.utf8)
        }
    }
}

/// A set of schemes, valid in one process.
public struct ForeignSchemeSet: Sendable, Equatable {
    public private(set) var bits: UInt32 = 0

    public init() {}

    public init(bits: UInt32) {
        self.bits = bits
    }

    public var isEmpty: Bool { bits == 0 }

    public func contains(_ scheme: ForeignScheme) -> Bool { bits >> UInt32(scheme.place) & 1 == 1 }

    public mutating func insert(_ scheme: ForeignScheme) {
        bits |= 1 << UInt32(scheme.place)
    }
}

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
    /// The secret never rotates, so pepper rotation never changes an alias. Without it, the store does not reveal
    /// whether a guessed key or a known hash was imported.
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

/// A key under which another system hashed its credentials, with the name that imports use for it.
///
/// It is in the pepper file and as secret as a pepper, since whoever has it can test guesses against the other system's
/// table.
public final class HMACKey: Sendable, CustomStringConvertible, CustomReflectable {
    /// Most HMAC keys in one pepper file: each one in use costs a hash and a look-up for every presented foreign key.
    public static let countMax = 8
    public static let byteCountMax = 1_024
    public static let nameBytesMax = 32

    public let name: String
    /// Identifies the right key. An HMAC under the lookup secret, so that the store alone does not allow guessing the
    /// key.
    public let checkValue: [UInt8]
    let place: Int
    let secret: [UInt8]
    private let key: TagKey

    init(name: String, secret: [UInt8], place: Int, lookup: TagKey) {
        self.name = name
        self.secret = secret
        self.place = place
        key = TagKey(secret)
        let message = Array("countersign hmac key".utf8) + [0] + Array(name.utf8) + [0] + secret
        checkValue = lookup.authenticationCode(of: message.octets).bytes
    }

    /// HMAC-SHA-256 of a message.
    public func code(of message: RawSpan) -> [UInt8] { key.authenticationCode(of: message).bytes }

    /// Lower-case letters, digits, `-` and `_`, beginning with a letter.
    static func isName(_ text: some Collection<UInt8>) -> Bool {
        guard let first = text.first, text.count <= nameBytesMax, (0x61...0x7A).contains(first) else { return false }
        return text.allSatisfy {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x5F
        }
    }

    public var description: String { "HMAC key \(name) <redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
