internal import COpenSSL
public import CredentialModel

/// Messages that only holders of a key can read or make (AES-256-GCM, NIST SP 800-38D).
///
/// The nonce is zero, so each key must be for one message only: derive it from what makes the message unique.
public enum SealedMessage {
    /// Bytes that sealing adds.
    public static let overheadBytes = 16

    /// A key for one message: HKDF-Expand (RFC 5869 §2.3) to 32 bytes of a secret.
    /// - Parameter name: different for each message.
    public static func key(_ secret: TagKey, name: [UInt8]) -> Tag {
        secret.authenticationCode(of: (name + [1]).octets)
    }

    /// Encrypts a message and authenticates it together with `associated`.
    /// - Returns: nil when the library has no memory.
    public static func seal(_ message: [UInt8], key: Tag, associated: [UInt8]) -> [UInt8]? {
        run(seals: true, message, count: message.count, outputCount: message.count + overheadBytes, key, associated)
    }

    /// The message; nil when it, its key or `associated` is another one.
    public static func open(_ sealed: [UInt8], key: Tag, associated: [UInt8]) -> [UInt8]? {
        let count = sealed.count - overheadBytes
        guard count >= 0 else { return nil }
        return run(seals: false, sealed, count: count, outputCount: count, key, associated)
    }

    private static func run(
        seals: Bool, _ input: [UInt8], count: Int, outputCount: Int, _ key: Tag, _ associated: [UInt8]
    ) -> [UInt8]? {
        let key = key.bytes
        var isRight: Int32 = 0
        // SAFETY: as many bytes are written as are said to be, see below.
        let output = unsafe [UInt8](unsafeUninitializedCapacity: outputCount) { output, written in
            // SAFETY: the key has 32 bytes, `associated` as many as it says; input and output have `count`, and 16 more
            // on the side that has the tag. No pointer outlives the call.
            isRight = unsafe cs_aes_gcm(
                seals ? 1 : 0, key, associated, UInt64(associated.count), input, UInt64(count), output.baseAddress)
            // All of it was written, unless the call failed; then nothing of it is used.
            written = isRight == 1 ? outputCount : 0
        }
        return isRight == 1 ? output : nil
    }
}
