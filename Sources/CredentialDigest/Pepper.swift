import CredentialModel

/// A secret key of 32 bytes and the number by which records refer to it. It does not print itself.
public struct Pepper: Sendable, CustomStringConvertible, CustomReflectable {
    /// Length of every pepper.
    public static let byteCount = 32

    /// 1 to 65,535; higher is newer.
    public let number: UInt16
    let secret: [UInt8]

    /// Nil unless there are 32 bytes and the number is not 0.
    public init?(number: UInt16, secret: [UInt8]) {
        guard number > 0, secret.count == Self.byteCount else { return nil }
        self.number = number
        self.secret = secret
    }

    /// A new pepper from the system's random generator.
    public static func random(number: UInt16) -> Pepper? {
        Pepper(number: number, secret: PepperFile.randomSecret())
    }

    /// Identifies the right pepper without revealing it: an HMAC of a fixed text under the pepper.
    public var checkValue: [UInt8] {
        TagKey(secret).authenticationCode(of: Array("countersign pepper check".utf8).octets).bytes
    }

    public var description: String { "pepper \(number) <redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
