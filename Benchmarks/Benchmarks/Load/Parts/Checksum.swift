/// CRC-32 as zlib computes it (reflected polynomial 0xEDB88320), a byte a step.
struct Checksum: Sendable {
    private let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { word, _ in word & 1 == 1 ? 0xEDB8_8320 ^ (word >> 1) : word >> 1 }
    }

    func crc32(_ bytes: Span<UInt8>) -> UInt32 {
        var word = ~UInt32(0)
        for index in bytes.indices { word = table[Int(UInt8(truncatingIfNeeded: word) ^ bytes[index])] ^ (word >> 8) }
        return ~word
    }
}
