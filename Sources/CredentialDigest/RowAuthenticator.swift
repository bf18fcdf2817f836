import CredentialModel

// SipHash (Aumasson and Bernstein, 2012) with one round per word, three final rounds and a 128-bit result, as in its
// authors' reference implementation. Fewer rounds than the usual 2-4 suffice: nobody learns the code of a row of their
// choice, and nobody can try one without writing the store's file. It must not be used for tags.
//
// A row keeps the first eight of the 16 bytes. A damaged row passes by chance once in 2^64 reads. Whoever can write the
// file but has no pepper file succeeds once in 2^64 tries, each of which is a refused read and a line in the log. Eight
// more bytes would enlarge each row by 5 %.

/// The state of a SipHash with a 128-bit result.
struct SipHash {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    @inline(__always)
    init(_ key0: UInt64, _ key1: UInt64) {
        v0 = key0 ^ 0x736F_6D65_7073_6575
        v1 = key1 ^ 0x646F_7261_6E64_6F6D ^ 0xEE
        v2 = key0 ^ 0x6C79_6765_6E65_7261
        v3 = key1 ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    private mutating func round() {
        v0 &+= v1
        v2 &+= v3
        v1 = (v1 << 13 | v1 >> 51) ^ v0
        v3 = (v3 << 16 | v3 >> 48) ^ v2
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v1
        v0 &+= v3
        v1 = (v1 << 17 | v1 >> 47) ^ v2
        v3 = (v3 << 21 | v3 >> 43) ^ v0
        v2 = v2 << 32 | v2 >> 32
    }

    @inline(__always)
    mutating func absorb(_ word: UInt64, rounds: Int = 1) {
        v3 ^= word
        for _ in 0..<rounds { round() }
        v0 ^= word
    }

    /// Absorbs bytes as words in memory order; the last word is padded with zeros.
    @inline(__always)
    mutating func absorb(padding bytes: RawSpan) {
        var offset = 0
        while offset &+ 8 <= bytes.byteCount {
            absorb(bytes.word64(at: offset))
            offset &+= 8
        }
        if offset < bytes.byteCount { absorb(bytes.paddedWord64(at: offset)) }
    }

    /// The first eight bytes of the result, after the last word, which contains the length.
    @inline(__always)
    mutating func firstHalf(rounds: Int = 3) -> UInt64 {
        v2 ^= 0xEE
        for _ in 0..<rounds { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }

    /// The last eight bytes of the result.
    mutating func secondHalf(rounds: Int = 3) -> UInt64 {
        v1 ^= 0xDD
        for _ in 0..<rounds { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }

    /// The result for a whole message, with any number of rounds; for tests against the published vectors.
    static func hash(_ message: [UInt8], key: (UInt64, UInt64), rounds: Int, finalRounds: Int) -> [UInt8] {
        var state = SipHash(key.0, key.1)
        for offset in stride(from: 0, to: message.count & ~7, by: 8) {
            state.absorb(message.octets.word64(at: offset), rounds: rounds)
        }
        let tail = message.octets.paddedWord64(at: message.count & ~7)
        state.absorb(tail | UInt64(message.count & 0xFF) << 56, rounds: rounds)
        var result: [UInt8] = []
        result.append(word64: state.firstHalf(rounds: finalRounds))
        result.append(word64: state.secondHalf(rounds: finalRounds))
        return result
    }
}

/// Computes the codes that prove that a store's rows are its own and undamaged.
///
/// A code is the first eight bytes of SipHash-1-3-128 over the table's number, the key and the row, under a key derived
/// from the lookup secret. So a row is valid only in its own place: under another key or in another table its code is
/// wrong. An earlier version of the same row has a valid code; see the security model.
public struct RowAuthenticator: Sendable, CustomStringConvertible, CustomReflectable {
    private let key0: UInt64
    private let key1: UInt64

    /// - Parameter lookup: the lookup secret of the pepper file, which never rotates.
    public init(lookup: TagKey) {
        let key = lookup.authenticationCode(of: Array("countersign row authentication".utf8).octets)
        key0 = key.word0
        key1 = key.word1
    }

    /// The code of a row under an integer key. Allocates nothing.
    public func code(table: UInt8, key: UInt64, row: RawSpan) -> UInt64 {
        var state = begin(table: table, keyBytes: 8, rowBytes: row.byteCount)
        state.absorb(key)
        state.absorb(padding: row)
        return Self.finish(&state, keyBytes: 8, rowBytes: row.byteCount)
    }

    /// The code of a row under a key of up to 511 bytes.
    public func code(table: UInt8, key: RawSpan, row: RawSpan) -> UInt64 {
        var state = begin(table: table, keyBytes: key.byteCount, rowBytes: row.byteCount)
        state.absorb(padding: key)
        state.absorb(padding: row)
        return Self.finish(&state, keyBytes: key.byteCount, rowBytes: row.byteCount)
    }

    /// One word contains both lengths, so that no two rows produce the same words.
    @inline(__always)
    private func begin(table: UInt8, keyBytes: Int, rowBytes: Int) -> SipHash {
        var state = SipHash(key0, key1)
        state.absorb(
            UInt64(table) | UInt64(truncatingIfNeeded: keyBytes) << 8 | UInt64(truncatingIfNeeded: rowBytes) << 32)
        return state
    }

    /// The message is whole words, so its last block contains only its length modulo 256.
    @inline(__always)
    private static func finish(_ state: inout SipHash, keyBytes: Int, rowBytes: Int) -> UInt64 {
        let words = 1 &+ (keyBytes &+ 7) >> 3 &+ (rowBytes &+ 7) >> 3
        state.absorb(UInt64(truncatingIfNeeded: words &* 8) << 56)
        return state.firstHalf()
    }

    public var description: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
