/// CRC-32 as zlib computes it (reflected polynomial 0xEDB88320), eight bytes a step.
///
/// It rejects typing errors and random scans before any look-up; it protects nothing.
enum Checksum {
    /// Slicing-by-8 tables: entry `256 * k + b` is the CRC of byte `b` followed by `k` zero bytes.
    private static let tables: InlineArray<2048, UInt32> = {
        var tables = InlineArray<2048, UInt32>(repeating: 0)
        for byte in 0..<256 {
            var remainder = UInt32(byte)
            for _ in 0..<8 { remainder = remainder & 1 == 1 ? 0xEDB8_8320 ^ (remainder >> 1) : remainder >> 1 }
            tables[byte] = remainder
        }
        for index in 256..<2048 {
            let previous = tables[index - 256]
            tables[index] = (previous >> 8) ^ tables[Int(previous & 0xFF)]
        }
        return tables
    }()

    /// The checksum of bytes `0..<count`.
    static func crc32(_ bytes: RawSpan, count: Int) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        var offset = 0
        while offset &+ 8 <= count {
            let word = bytes.word64(at: offset) ^ UInt64(crc)
            // Eight independent look-ups, so that only one load and the XORs lie on the critical path.
            crc = entry(7, word) ^ entry(6, word >> 8) ^ entry(5, word >> 16) ^ entry(4, word >> 24)
            crc ^= entry(3, word >> 32) ^ entry(2, word >> 40) ^ entry(1, word >> 48) ^ entry(0, word >> 56)
            offset &+= 8
        }
        while offset < count {
            crc = entry(0, UInt64(crc) ^ UInt64(bytes.byte(at: offset))) ^ (crc >> 8)
            offset &+= 1
        }
        return ~crc
    }

    @inline(__always)
    private static func entry(_ table: Int, _ word: UInt64) -> UInt32 {
        tables[table &* 256 &+ Int(word & 0xFF)]
    }
}
