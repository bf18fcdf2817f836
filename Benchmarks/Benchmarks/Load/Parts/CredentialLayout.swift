/// Where things are in a credential, as far as a caller has to know.
///
/// ```
/// i i k 1 _ 0 0 0 0 0 0 0 0 0 0 0 _ xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx cccccc
/// └──prefix┘ └──id, 11 base62────┘   └────────secret, 43 base62──────────────┘ └CRC-32 of bytes 0..59
/// ```
package enum CredentialLayout {
    package static let byteCount = 66
    /// Vendor, kind, version and the first separator.
    static let prefixCount = 5
    static let kindOffset = 2
    static let idOffset = 5
    static let idCount = 11
    static let separatorOffset = 16
    static let secretOffset = 17
    static let secretCount = 43
    static let checksumOffset = 60
    static let checksumCount = 6
    static let separator: UInt8 = 0x5F
    /// `k`: API keys, which go by `ApiKey`.
    static let keyKind: UInt8 = 0x6B
    /// `b`: access tokens, which go by `Bearer`.
    static let bearerKind: UInt8 = 0x62
}
