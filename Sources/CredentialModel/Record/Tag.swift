/// HMAC-SHA-256 of a credential: 32 bytes as four words in memory order.
///
/// Deliberately not `Equatable`: tags are compared by ``CredentialDigest`` in constant time.
public struct Tag: Sendable {
    public var word0: UInt64
    public var word1: UInt64
    public var word2: UInt64
    public var word3: UInt64

    @inlinable
    public init(_ word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64) {
        self.word0 = word0
        self.word1 = word1
        self.word2 = word2
        self.word3 = word3
    }

    /// The 32 bytes at `offset`.
    @inlinable @inline(__always)
    public init(_ bytes: RawSpan, at offset: Int) {
        self.init(
            bytes.word64(at: offset), bytes.word64(at: offset + 8),
            bytes.word64(at: offset + 16), bytes.word64(at: offset + 24))
    }

    /// The 32 bytes in order.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for word in [word0, word1, word2, word3] { bytes.append(word64: word) }
        return bytes
    }
}
