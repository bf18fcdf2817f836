internal import COpenSSL
import CredentialModel

/// SHA-512 of a message of any length (FIPS 180-4).
enum SHA512Digest {
    /// The 64 bytes.
    static func of(_ message: RawSpan) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 64)
        // SAFETY: the message is read within its own count; no pointer outlives the call.
        unsafe message.withUnsafeBytes { message in
            // SAFETY: SHA512 writes exactly 64 bytes, and `digest` has 64.
            unsafe digest.withUnsafeMutableBufferPointer { digest in
                // SAFETY: as above.
                unsafe cs_sha512(
                    message.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(message.count), digest.baseAddress)
            }
        }
        return digest
    }
}
