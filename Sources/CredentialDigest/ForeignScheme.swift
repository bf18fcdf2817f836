/// The form in which a key of another system was imported, and so how a presented key is transformed to find it.
///
/// The store never has this form itself: the key or hash is hashed again, under the lookup secret for the alias and under a
/// pepper for the tag.
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
        case .hmacSHA256(let key): "hmac-sha256-" + key.name
        }
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
