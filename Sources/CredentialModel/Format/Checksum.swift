internal import CMachine

/// The checksum at the end of a credential: CRC-32 as zlib computes it (reflected polynomial 0xEDB88320).
///
/// It rejects typing errors and random scans before any look-up; it is not a security measure.
enum Checksum {
    /// The checksum of bytes 0..59.
    @inline(__always)
    static func crc32(_ bytes: RawSpan) -> UInt32 {
        cs_crc32_of_60(
            bytes.word32(at: 0), bytes.word64(at: 4), bytes.word64(at: 12), bytes.word64(at: 20), bytes.word64(at: 28),
            bytes.word64(at: 36), bytes.word64(at: 44), bytes.word64(at: 52))
    }
}
