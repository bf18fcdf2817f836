import CredentialModel

// Most identity providers use as subject a UUID in its usual text form (RFC 9562 §4), in lower case:
//
// ```
// f81d4fae -7dec-11 d0-a765- 00a0c91e 6bf6      eight characters a word
// ```
//
// It has 36 characters. The last four are kept as they are, since there is room. Of the 32 before, two digits share a
// byte and the hyphens are dropped. The form of a text is not checked in advance: the packed value is expanded again,
// and if the result differs, the text is not a UUID.

/// An owner of 36 characters in 24 bytes.
struct CompactUUID {
    static let textBytes: UInt64 = 36

    /// The digits of the text's first word in the low halves of the bytes, those of its fourth word in the high halves.
    let word0: UInt64
    /// The digits of the second and the third word, packed likewise.
    let word1: UInt64
    /// The last four characters.
    let word2: UInt64

    private static let digits: UInt64 = 0x0F0F_0F0F_0F0F_0F0F
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    /// `0` eight times.
    private static let zeros: UInt64 = 0x3030_3030_3030_3030
    // With a hyphen where the text has one: characters 8 and 13, and 18 and 23.
    private static let hyphens1: UInt64 = 0x3030_2D30_3030_302D
    private static let hyphens2: UInt64 = 0x2D30_3030_302D_3030

    init(word0: UInt64, word1: UInt64, word2: UInt64) {
        self.word0 = word0
        self.word1 = word1
        self.word2 = word2
    }

    /// Nil unless the record's owner, which has 36 bytes, is restored exactly by expanding the result.
    /// - Parameter record: not modified.
    init?(_ record: inout CredentialRecord) {
        word0 = Self.values(record.words[13]) | Self.values(record.words[16]) << 4
        let second = Self.values(record.words[14]) & 0x0F0F_000F_0F0F_0F00
        let third = Self.values(record.words[15]) & 0x000F_0F0F_0F00_0F0F
        word1 = second | third << 4
        word2 = record.words[17]
        guard first == record.words[13], self.second == record.words[14], self.third == record.words[15],
            fourth == record.words[16]
        else { return nil }
    }

    /// Makes this the owner of a record.
    @inline(__always)
    func expand(into record: inout CredentialRecord) {
        record.words[5] = record.words[5] & ~0xFF00 | Self.textBytes << 8
        record.words[13] = first
        record.words[14] = second
        record.words[15] = third
        record.words[16] = fourth
        record.words[17] = word2
    }

    private var first: UInt64 { Self.text(word0 & Self.digits, Self.zeros) }
    private var second: UInt64 { Self.text(word1 & Self.digits, Self.hyphens1) }
    private var third: UInt64 { Self.text(word1 >> 4 & Self.digits, Self.hyphens2) }
    private var fourth: UInt64 { Self.text(word0 >> 4 & Self.digits, Self.zeros) }

    /// The values of eight hexadecimal digits; for other characters, any value below 16.
    @inline(__always)
    private static func values(_ text: UInt64) -> UInt64 {
        // Letters have bit 6 set, and `a` ends in 1.
        ((text & digits) &+ (text >> 6 & ones) &* 9) & digits
    }

    /// Eight values as digits, each added to its byte of `zeros`.
    @inline(__always)
    private static func text(_ values: UInt64, _ zeros: UInt64) -> UInt64 {
        // From 10 on, adding six sets bit 4; `a` is 39 more than `9` plus one.
        zeros &+ values &+ ((values &+ 6 &* ones) >> 4 & ones) &* 39
    }
}
