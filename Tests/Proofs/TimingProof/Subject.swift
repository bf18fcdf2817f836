internal import CMachine
internal import CredentialDigest
internal import CredentialModel
internal import Glibc

/// A comparison that leaves at the first difference, to see that the measurement notices.
enum Mutant: String, Sendable {
    /// Of tags: the least that an early exit can save, three words of four.
    case wordByWord = "word-by-word"
    /// Of 32 bytes: the model's own comparison of public values, the likeliest slip.
    case byteByByte = "byte-by-byte"
    /// Of 66 bytes: glibc's. It may read 32 bytes at once, and then has no early exit for a tag.
    case memcmp
}

/// One comparison, and how many bytes it is given.
struct Subject: Sendable {
    private enum Comparison: Sendable {
        case tags
        case spans
        case mutant(Mutant)
    }

    let name: String
    let byteCount: Int
    private let comparison: Comparison

    private init(_ name: String, _ byteCount: Int, _ comparison: Comparison) {
        self.name = name
        self.byteCount = byteCount
        self.comparison = comparison
    }

    /// What the product compares: tags as words, and what callers send as bytes.
    static let contract = [
        Subject("tags", 32, .tags), Subject("32 bytes", 32, .spans),
        Subject("\(CredentialFormat.byteCount) bytes", CredentialFormat.byteCount, .spans),
    ]

    init(_ mutant: Mutant) {
        self.init(
            "mutant \(mutant.rawValue)", mutant == .memcmp ? CredentialFormat.byteCount : 32, .mutant(mutant))
    }

    /// Compares each pair of the batch once: this is what is timed.
    ///
    /// A function of its own, so that nothing of it moves out of the timed part; one loop for each comparison, so that
    /// each is compiled into its loop just as it is into its callers.
    /// - Returns: how many pairs are equal, so that no comparison can be left out.
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

    /// The assembly in `cs_words4_differ` may not be run in vain, so the optimiser cannot make one step of these four.
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
