import CredentialModel
import Synchronization

/// The chains of a hash table. Entries are added at the head, raised in place and never removed.
///
/// ```
/// bucket → entry: next │ hash │ journal number │ issued before │ key's word count │ key …
/// ```
final class WatermarkChains: @unchecked Sendable {
    private typealias Word = Atomic<UInt64>

    private static let bucketBits: UInt64 = 20
    private static let next = 0
    private static let hash = 1
    private static let journalNumber = 2
    private static let issuedBefore = 3
    private static let wordCount = 4
    private static let key = 5

    /// Each word is 0 or the address of the first entry. Untouched pages cost no memory.
    private let buckets: AtomicWords
    private let secret: UInt64

    init?() {
        guard let buckets = AtomicWords(count: 1 << Int(Self.bucketBits)) else { return nil }
        self.buckets = buckets
        var generator = SystemRandomNumberGenerator()
        secret = generator.next()
    }

    deinit {
        for bucket in 0..<buckets.count {
            var address = buckets.load(bucket)
            // SAFETY: nobody uses the table any more; every non-zero word is the address of an entry from `raise`.
            while let entry = unsafe Self.entry(address) {
                // SAFETY: as above.
                address = unsafe entry[Self.next].load(ordering: .relaxed)
                // SAFETY: as above.
                unsafe entry.deallocate()
            }
        }
    }

    /// Raises the entry of a key, or adds it. Returns whether it was added. One writer at a time.
    func raise(_ key: [UInt64], to watermark: Watermark) -> Bool {
        let hash = hash(count: key.count) { key[$0] }
        let bucket = Int(truncatingIfNeeded: hash >> (64 - Self.bucketBits))
        let issuedBefore = UInt64(clamping: watermark.issuedBefore.rawValue)
        let first = buckets.load(bucket)
        // SAFETY: addresses in a chain are those of entries, which live as long as the table.
        if let entry = unsafe find(first, hash: hash, count: key.count, word: { key[$0] }) {
            // SAFETY: as above. Release: whoever sees the acknowledgement sees the raised numbers.
            unsafe entry[Self.journalNumber].max(watermark.journalNumber, ordering: .acquiringAndReleasing)
            // SAFETY: as above.
            unsafe entry[Self.issuedBefore].max(issuedBefore, ordering: .acquiringAndReleasing)
            return false
        }
        // SAFETY: allocated for the fields and the key; every word is initialised before the entry is published.
        let entry = UnsafeMutablePointer<Word>.allocate(capacity: Self.key + key.count)
        let fields = [first, hash, watermark.journalNumber, issuedBefore, UInt64(key.count)] + key
        for (index, value) in fields.enumerated() {
            // SAFETY: index < Self.key + key.count.
            unsafe (entry + index).initialize(to: Word(value))
        }
        // SAFETY: only stores the address as a number. The release publishes the words written above.
        buckets.release(bucket, UInt64(UInt(bitPattern: entry)))
        return true
    }

    /// Whether the key has an entry that revokes the record.
    @inline(__always)
    func find(_ key: InlineArray<9, UInt64>, wordCount: Int, kills record: borrowing CredentialRecord) -> Bool {
        kills(hash(count: wordCount) { key[$0] }, count: wordCount, word: { key[$0] }, record)
    }

    /// The same for keys of any length.
    func find(_ key: [UInt64], kills record: borrowing CredentialRecord) -> Bool {
        kills(hash(count: key.count) { key[$0] }, count: key.count, word: { key[$0] }, record)
    }

    @inline(__always)
    private func kills(
        _ hash: UInt64, count: Int, word: (Int) -> UInt64, _ record: borrowing CredentialRecord
    ) -> Bool {
        // Acquire: pairs with the release of a new head.
        let first = buckets.acquire(Int(truncatingIfNeeded: hash >> (64 - Self.bucketBits)))
        // SAFETY: addresses in a chain are those of entries, which live as long as the table.
        guard let entry = unsafe find(first, hash: hash, count: count, word: word) else { return false }
        // SAFETY: as above. Acquire: pairs with `raise`.
        let journalNumber = unsafe entry[Self.journalNumber].load(ordering: .acquiring)
        // SAFETY: as above.
        let issuedBefore = unsafe entry[Self.issuedBefore].load(ordering: .acquiring)
        return Watermark(journalNumber: journalNumber, issuedBefore: UnixSeconds(Int64(clamping: issuedBefore)))
            .kills(journalNumber: record.journalNumber, issuedAt: record.issuedAt)
    }

    @inline(__always)
    private func find(
        _ first: UInt64, hash: UInt64, count: Int, word: (Int) -> UInt64
    ) -> UnsafeMutablePointer<Word>? {
        var address = first
        // SAFETY: addresses in a chain are those of entries, which live as long as the table and whose keys never change.
        while let entry = unsafe Self.entry(address) {
            // SAFETY: as above.
            if unsafe entry[Self.hash].load(ordering: .relaxed) == hash,
                unsafe entry[Self.wordCount].load(ordering: .relaxed) == UInt64(count)
            {
                var same = true
                for index in 0..<count {
                    // SAFETY: the entry has `count` key words.
                    same = unsafe entry[Self.key &+ index].load(ordering: .relaxed) == word(index) && same
                }
                // SAFETY: as above.
                if same { return unsafe entry }
            }
            // SAFETY: as above.
            address = unsafe entry[Self.next].load(ordering: .relaxed)
        }
        return nil
    }

    @inline(__always)
    private static func entry(_ address: UInt64) -> UnsafeMutablePointer<Word>? {
        // SAFETY: callers pass 0 or the address of an entry.
        unsafe UnsafeMutablePointer<Word>(bitPattern: UInt(address))
    }

    /// Keyed, so that nobody can choose owners that share a chain.
    @inline(__always)
    private func hash(count: Int, _ word: (Int) -> UInt64) -> UInt64 {
        var hash = secret
        for index in 0..<count {
            let product = (hash ^ word(index)).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            hash = product.high ^ product.low &+ secret
        }
        return hash &* 0xD6E8_FEB8_6659_FD93
    }
}
