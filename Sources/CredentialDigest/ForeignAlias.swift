import CredentialModel

/// How a credential of another system is found: by a keyed hash of what is presented.
public enum ForeignAlias {
    /// Bytes of an alias.
    public static let byteCount = 16
    /// How the presented bytes are turned into what was imported.
    private static let rawScheme: UInt8 = 1

    /// The alias of a raw key: HMAC(lookup secret, 0x00 ‖ scheme ‖ key), its first 16 bytes.
    ///
    /// Keyed with a secret that never rotates, so that pepper rotation never changes an id and the store alone does not
    /// tell whether a guessed key was imported.
    public static func key(ofRaw presented: RawSpan, lookup: TagKey) -> [UInt8] {
        var message: [UInt8] = [0, rawScheme]
        for offset in 0..<presented.byteCount { message.append(presented.byte(at: offset)) }
        return Array(lookup.authenticationCode(of: message.octets).bytes.prefix(byteCount))
    }
}
