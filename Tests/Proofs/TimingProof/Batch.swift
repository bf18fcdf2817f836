import ProofSupport

/// Where a presented secret goes wrong.
enum DifferenceClass: Sendable {
    case firstByte
    case lastByte
}

/// Pairs of a stored and a presented value, which differ in one byte each.
///
/// Both classes lie at the same addresses and are made by the same instructions: a cache line or an alignment of their
/// own would be a difference that is not the comparison's.
struct Batch: ~Copyable {
    /// So many that reading the clock, some 30 ns, is little beside them; so few that all fit in the nearest cache.
    static let pairCount = 128

    let byteCount: Int
    let stored: [UInt8]
    private(set) var presented: [UInt8]
    /// By what the wrong byte of each pair differs, the same for both classes; never 0.
    private let differences: [UInt8]

    init(byteCount: Int, _ random: inout Randomness) {
        self.byteCount = byteCount
        var bytes: [UInt8] = []
        for _ in 0..<Self.pairCount * byteCount { bytes.append(UInt8.random(in: 0...255, using: &random)) }
        stored = bytes
        presented = bytes
        differences = (0..<Self.pairCount).map { _ in UInt8.random(in: 1...255, using: &random) }
    }

    /// Writes the first and the last byte of each pair, whatever the class.
    mutating func prepare(_ differenceClass: DifferenceClass) {
        let first: UInt8 = differenceClass == .firstByte ? 0xFF : 0
        let last = ~first
        for pair in 0..<Self.pairCount {
            let (start, end) = (pair * byteCount, (pair + 1) * byteCount - 1)
            presented[start] = stored[start] ^ (differences[pair] & first)
            presented[end] = stored[end] ^ (differences[pair] & last)
        }
    }
}
