internal import COpenSSL
import CredentialModel

/// SHA-256 of a message of any length (FIPS 180-4).
public enum SHA256Digest {
    /// The 32 bytes.
    public static func of(_ message: RawSpan) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        // SAFETY: the message is read within its own count; no pointer outlives the call.
        unsafe message.withUnsafeBytes { message in
            // SAFETY: SHA256 writes exactly 32 bytes, and `digest` has 32.
            unsafe digest.withUnsafeMutableBufferPointer { digest in
                // SAFETY: as above.
                unsafe cs_sha256(
                    message.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(message.count), digest.baseAddress)
            }
        }
        return digest
    }
}

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
