internal import COpenSSL
import CredentialModel

/// A SHA-256 state between two compressions (FIPS 180-4 §6.2): eight 32-bit words, two to each word here.
struct HashState: Sendable {
    private let word0: UInt64
    private let word1: UInt64
    private let word2: UInt64
    private let word3: UInt64

    /// What SHA-256 begins with.
    static var initial: HashState { HashState(cs_sha256_initial()) }

    @inline(__always)
    init(_ words: cs_words4) {
        word0 = words.w0
        word1 = words.w1
        word2 = words.w2
        word3 = words.w3
    }

    /// As libcrypto takes it.
    @inline(__always)
    var words: cs_words4 { cs_words4(w0: word0, w1: word1, w2: word2, w3: word3) }

    /// The state after one more block.
    @inline(__always)
    func compressing(_ block: borrowing TagBlock) -> HashState {
        HashState(
            cs_sha256_compress(
                words, block.quarters[0].x, block.quarters[0].y, block.quarters[1].x, block.quarters[1].y,
                block.quarters[2].x, block.quarters[2].y, block.quarters[3].x, block.quarters[3].y))
    }
}
