internal import COpenSSL
public import CredentialModel

/// A pepper as SHA-256 states: the inner and the outer pad are hashed once, so that a tag costs two compressions.
///
/// HMAC (RFC 2104 §4) is `H(K ⊕ opad ‖ H(K ⊕ ipad ‖ message))`. Both pads fill one block each; their states are saved.
/// The states are as secret as the key: they do not print themselves.
public struct TagKey: Sendable, CustomStringConvertible, CustomReflectable {
    private let inner: InlineArray<8, UInt32>
    private let outer: InlineArray<8, UInt32>

    /// Prepares a key of any length (RFC 2104 §2: a key longer than a block is hashed first).
    public init(_ key: [UInt8]) {
        var block = [UInt8](repeating: 0, count: 64)
        if key.count > 64 {
            // SAFETY: SHA256 writes exactly 32 bytes, and `block` has 64; both buffers live across the call.
            unsafe key.withUnsafeBufferPointer { key in
                // SAFETY: as above.
                unsafe block.withUnsafeMutableBufferPointer { block in
                    // SAFETY: as above; neither base address is nil, since both arrays are non-empty.
                    unsafe cs_sha256(key.baseAddress, UInt64(key.count), block.baseAddress)
                }
            }
        } else {
            block.replaceSubrange(0..<key.count, with: key)
        }
        inner = Self.state(after: block, pad: 0x36)
        outer = Self.state(after: block, pad: 0x5C)
    }

    private static func state(after block: [UInt8], pad: UInt8) -> InlineArray<8, UInt32> {
        var state = [UInt32](repeating: 0, count: 8)
        let padded = block.map { $0 ^ pad }
        // SAFETY: the calls read 64 bytes of `padded` and write 8 words of `state`, which is what these arrays hold.
        unsafe cs_sha256_initial(&state)
        // SAFETY: as above.
        unsafe cs_sha256_compress(&state, padded)
        return InlineArray { state[$0] }
    }

    /// The tag of a native credential: one padded block, two compressions, no allocation.
    public func tag(of block: borrowing TagBlock) -> Tag {
        var tag = Tag(0, 0, 0, 0)
        // SAFETY: the call reads 8 words of each state and 64 bytes of the block, which is exactly what they hold, and
        // writes four words, which is exactly what a Tag is; no pointer outlives the call.
        unsafe withUnsafeBytes(of: block.words) { message in
            // SAFETY: as above.
            unsafe withUnsafeBytes(of: inner) { inner in
                // SAFETY: as above.
                unsafe withUnsafeBytes(of: outer) { outer in
                    // SAFETY: as above.
                    unsafe withUnsafeMutableBytes(of: &tag) { tag in
                        // SAFETY: as above; an InlineArray and a Tag are aligned for their words.
                        unsafe cs_hmac_one_block(
                            inner.baseAddress?.assumingMemoryBound(to: UInt32.self),
                            outer.baseAddress?.assumingMemoryBound(to: UInt32.self),
                            message.baseAddress?.assumingMemoryBound(to: UInt8.self),
                            tag.baseAddress?.assumingMemoryBound(to: UInt64.self))
                    }
                }
            }
        }
        return tag
    }

    /// HMAC-SHA-256 of a message of any length (RFC 2104; FIPS 198-1).
    public func authenticationCode(of message: RawSpan) -> Tag {
        var tag = Tag(0, 0, 0, 0)
        // SAFETY: as in `tag(of:)`; the message is read within its own count.
        unsafe message.withUnsafeBytes { message in
            // SAFETY: as above.
            unsafe withUnsafeBytes(of: inner) { inner in
                // SAFETY: as above.
                unsafe withUnsafeBytes(of: outer) { outer in
                    // SAFETY: as above.
                    unsafe withUnsafeMutableBytes(of: &tag) { tag in
                        // SAFETY: as above.
                        unsafe cs_hmac(
                            inner.baseAddress?.assumingMemoryBound(to: UInt32.self),
                            outer.baseAddress?.assumingMemoryBound(to: UInt32.self),
                            message.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(message.count),
                            tag.baseAddress?.assumingMemoryBound(to: UInt64.self))
                    }
                }
            }
        }
        return tag
    }

    public var description: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
