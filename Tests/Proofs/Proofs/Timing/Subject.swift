internal import CMachine
internal import CredentialDigest
internal import CredentialModel
internal import Glibc

/// A comparison that returns at the first difference, which the measurement must detect.
enum EarlyExit: String, Sendable {
    /// Of tags: saves at least three words of four, the smallest possible early exit.
    case wordByWord = "word-by-word"
    /// Of 32 bytes: `elementsEqual` of the model, which is for public values; the most likely mistake.
    case byteByByte = "byte-by-byte"
    /// Of 66 bytes: glibc's. It may compare 32 bytes at once, and then has no early exit for a tag.
    case memcmp
}

/// A comparison to be measured, and the number of bytes that it compares.
struct Subject: Sendable {
    private enum Comparison: Sendable {
        case tags
        case spans
        case mutant(EarlyExit)
    }

    let name: String
    let byteCount: Int
    private let comparison: Comparison

    private init(_ name: String, _ byteCount: Int, _ comparison: Comparison) {
        self.name = name
        self.byteCount = byteCount
        self.comparison = comparison
    }

    /// The comparisons of the product: tags as words, and callers' texts as bytes.
    static let contract = [
        Subject("tags", 32, .tags), Subject("32 bytes", 32, .spans),
        Subject("\(CredentialFormat.byteCount) bytes", CredentialFormat.byteCount, .spans),
    ]

    init(_ mutant: EarlyExit) {
        self.init(
            "mutant \(mutant.rawValue)", mutant == .memcmp ? CredentialFormat.byteCount : 32, .mutant(mutant))
    }

    /// Compares each pair of the batch once. This is what is timed.
    ///
    /// Not inlined, so that nothing of it moves out of the timed part. Each comparison has its own loop, so that it is
    /// inlined there as it is in its callers.
    /// - Returns: the number of equal pairs, so that the compiler cannot omit any comparison.
    @inline(never)
    func equalPairs(in batch: borrowing Batch) -> Int {
        let (ours, theirs) = (batch.stored.octets, batch.presented.octets)
        var count = 0
        switch comparison {
        case .tags:
            for offset in stride(from: 0, to: ours.byteCount, by: 32)
            where ConstantTime.equal(Tag(theirs, at: offset), Tag(ours, at: offset)) { count += 1 }
        case .spans:
            for offset in stride(from: 0, to: ours.byteCount, by: byteCount) {
                let place = offset..<offset + byteCount
                if ConstantTime.equal(theirs.extracting(place), ours.extracting(place)) { count += 1 }
            }
        case .mutant(.wordByWord):
            for offset in stride(from: 0, to: ours.byteCount, by: 32)
            where Self.equalByWord(Tag(theirs, at: offset), Tag(ours, at: offset)) { count += 1 }
        case .mutant(.byteByByte):
            for offset in stride(from: 0, to: ours.byteCount, by: byteCount) {
                let place = offset..<offset + byteCount
                if theirs.extracting(place).elementsEqual(ours.extracting(place)) { count += 1 }
            }
        case .mutant(.memcmp):
            for offset in stride(from: 0, to: ours.byteCount, by: byteCount) {
                let place = offset..<offset + byteCount
                if Self.equalByMemcmp(theirs.extracting(place), ours.extracting(place)) { count += 1 }
            }
        }
        return count
    }

    /// The optimiser must keep the assembly in `cs_words4_differ`, so it cannot merge these four steps into one.
    @inline(__always)
    private static func equalByWord(_ left: Tag, _ right: Tag) -> Bool {
        guard cs_words4_differ(left.word0, 0, 0, 0, right.word0, 0, 0, 0) == 0 else { return false }
        guard cs_words4_differ(left.word1, 0, 0, 0, right.word1, 0, 0, 0) == 0 else { return false }
        guard cs_words4_differ(left.word2, 0, 0, 0, right.word2, 0, 0, 0) == 0 else { return false }
        return cs_words4_differ(left.word3, 0, 0, 0, right.word3, 0, 0, 0) == 0
    }

    private static func equalByMemcmp(_ left: RawSpan, _ right: RawSpan) -> Bool {
        guard left.byteCount == right.byteCount, !left.isEmpty else { return left.byteCount == right.byteCount }
        // SAFETY: both pointers are read for exactly the count that both spans have, and neither is empty.
        return unsafe left.withUnsafeBytes { left in
            // SAFETY: as above.
            unsafe right.withUnsafeBytes { right in
                // SAFETY: as above.
                unsafe Glibc.memcmp(left.baseAddress!, right.baseAddress!, left.count) == 0
            }
        }
    }
}
