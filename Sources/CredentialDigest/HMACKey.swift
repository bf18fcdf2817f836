import CredentialModel

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
    /// Identifies the right key. An HMAC under the lookup secret, so that the store alone does not allow guessing the key.
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
