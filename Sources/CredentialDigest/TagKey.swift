public import CMachine
internal import COpenSSL
public import CredentialModel

/// A pepper as SHA-256 states: the inner and the outer pad are hashed once, so that a tag costs two compressions.
///
/// HMAC (RFC 2104 §4) is `H(K ⊕ opad ‖ H(K ⊕ ipad ‖ message))`. Each pad fills one block; the states after them are
/// stored. The states are as secret as the key and do not print themselves.
public struct TagKey: Sendable, CustomStringConvertible, CustomReflectable {
    private let inner: HashState
    private let outer: HashState

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
        inner = HashState.initial.compressing(TagBlock(padded: block, 0x36))
        outer = HashState.initial.compressing(TagBlock(padded: block, 0x5C))
    }

    /// The tag of a native credential: one padded block, two compressions, no allocation.
    @inline(__always)
    public func tag(of block: borrowing TagBlock) -> Tag {
        inner.authenticating(block, outer)
    }

    /// Computes the tags of two blocks of a batch, from the even `index` on.
    @inline(__always)
    public func makeTwo(of batch: inout TagBatch, from index: Int) {
        batch.makeTwo(from: index, inner, outer)
    }

    /// The tag computed by libcrypto, whatever this processor supports; for tests.
    func tagByLibrary(of block: borrowing TagBlock) -> Tag {
        inner.authenticatingByLibrary(block, outer)
    }

    /// HMAC-SHA-256 of a message of any length (RFC 2104; FIPS 198-1).
    public func authenticationCode(of message: RawSpan) -> Tag {
        // SAFETY: the message is read within its own count; no pointer outlives the call.
        let begun = unsafe message.withUnsafeBytes { message in
            // SAFETY: as above.
            unsafe cs_hmac_begin(
                inner.words, message.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(message.count))
        }
        return HashState(begun).finishing(outer)
    }

    public var description: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Comparisons whose time does not depend on the data. In C, because the optimiser turns masks in Swift into branches.
public enum ConstantTime {
    /// Whether two tags are equal.
    @inlinable @inline(__always)
    public static func equal(_ left: Tag, _ right: Tag) -> Bool {
        cs_words4_differ(
            left.word0, left.word1, left.word2, left.word3, right.word0, right.word1, right.word2, right.word3) == 0
    }

    /// Whether two spans are equal; their lengths are not secret.
    public static func equal(_ left: RawSpan, _ right: RawSpan) -> Bool {
        guard left.byteCount == right.byteCount else { return false }
        // SAFETY: both pointers are read for exactly the count that both spans have.
        return unsafe left.withUnsafeBytes { left in
            // SAFETY: as above.
            unsafe right.withUnsafeBytes { right in
                // SAFETY: as above.
                unsafe cs_bytes_differ(left.baseAddress, right.baseAddress, UInt64(left.count)) == 0
            }
        }
    }
}

/// A SHA-256 state between two compressions (FIPS 180-4 §6.2): eight 32-bit words in order, four to each half.
struct HashState: Sendable {
    private let first: SIMD2<UInt64>
    private let second: SIMD2<UInt64>

    /// The initial state of SHA-256.
    static var initial: HashState { HashState(cs_sha256_initial()) }

    /// Converts a state of libcrypto.
    init(_ words: cs_words4) {
        first = SIMD2(words.w0, words.w1)
        second = SIMD2(words.w2, words.w3)
    }

    /// The state in libcrypto's form.
    var words: cs_words4 { cs_words4(w0: first.x, w1: first.y, w2: second.x, w3: second.y) }

    /// The state in the form that the processor's instructions need.
    var state: cs_state { cs_state(first: first, second: second) }

    /// The state after one more block.
    func compressing(_ block: borrowing TagBlock) -> HashState {
        let quarters = block.quarters
        return HashState(
            cs_sha256_compress(
                words, quarters[0].x, quarters[0].y, quarters[1].x, quarters[1].y, quarters[2].x, quarters[2].y,
                quarters[3].x, quarters[3].y))
    }

    /// The HMAC of a block: this is the state after the inner pad, `outer` the one after the outer pad (RFC 2104 §4).
    ///
    /// Uses the processor's SHA-256 instructions if it has them: as libcrypto does, with less overhead.
    @inline(__always)
    func authenticating(_ block: borrowing TagBlock, _ outer: HashState) -> Tag {
        guard cs_has_sha256() != 0 else { return authenticatingByLibrary(block, outer) }
        let quarters = block.quarters
        let code = cs_hmac_sha256(
            first, second, outer.first, outer.second, quarters[0], quarters[1], quarters[2], quarters[3])
        return Tag(code.first.x, code.first.y, code.second.x, code.second.y)
    }

    /// The HMAC of a block, computed by libcrypto.
    func authenticatingByLibrary(_ block: borrowing TagBlock, _ outer: HashState) -> Tag {
        compressing(block).finishing(outer)
    }

    /// Finishes an HMAC: this is the inner state after the message and its padding.
    func finishing(_ outer: HashState) -> Tag {
        let code = cs_hmac_finish(words, outer.words)
        return Tag(code.w0, code.w1, code.w2, code.w3)
    }
}

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
