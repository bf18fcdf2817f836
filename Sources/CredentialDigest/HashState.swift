internal import CMachine
internal import COpenSSL
import CredentialModel

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

    /// The same with libcrypto.
    func authenticatingByLibrary(_ block: borrowing TagBlock, _ outer: HashState) -> Tag {
        compressing(block).finishing(outer)
    }

    /// Finishes an HMAC: this is the inner state after the message and its padding.
    func finishing(_ outer: HashState) -> Tag {
        let code = cs_hmac_finish(words, outer.words)
        return Tag(code.w0, code.w1, code.w2, code.w3)
    }
}
