public import CredentialModel
import Synchronization

/// The subject of a bulk revocation.
public enum WatermarkSubject: Hashable, Sendable {
    /// The exact bytes of an owner.
    case owner([UInt8])
    /// An interned client number.
    case client(UInt32)
    case family(UInt64)
}

/// A bulk revocation of what was issued under a lower journal number and, if a time was given, before it.
public struct Watermark: Hashable, Sendable {
    /// Revokes records with a lower journal number.
    public var journalNumber: UInt64
    /// Revokes records issued before this second; ``UnixSeconds/always`` revokes none.
    public var issuedBefore: UnixSeconds

    public init(journalNumber: UInt64, issuedBefore: UnixSeconds) {
        self.journalNumber = journalNumber
        self.issuedBefore = issuedBefore
    }

    /// Whether this revokes a record with this journal number and time of issue.
    public func revokes(journalNumber number: UInt64, issuedAt: UnixSeconds) -> Bool {
        number < journalNumber || issuedAt < issuedBefore
    }
}

/// All watermarks, readable on the hot path without a lock. Most stores have none of a kind; the check then costs one
/// load.
///
/// A hash table with chains. Entries are only added, at the head of their chain, and their two numbers only rise. So
/// readers need no lock, and nothing is freed while they read. Keys are compared whole.
public final class WatermarkTable: Sendable {
    private enum Kind: UInt64 {
        case owner = 1
        case client = 2
        case family = 3
    }

    private let chains: WatermarkChains
    private let ownerCount = Atomic<Int>(0)
    private let clientCount = Atomic<Int>(0)
    private let familyCount = Atomic<Int>(0)

    /// Nil when the system does not give the memory.
    public init?() {
        guard let chains = WatermarkChains() else { return nil }
        self.chains = chains
    }

    /// Raises the watermark of a subject, between the commit and its acknowledgement. Only one writer at a time.
    public func raise(_ subject: WatermarkSubject, to watermark: Watermark) {
        switch subject {
        case .owner(let text):
            if chains.raise(Self.key(of: text.octets), to: watermark) { ownerCount.add(1, ordering: .releasing) }
        case .client(let number):
            let key = [Kind.client.rawValue, UInt64(number)]
            if chains.raise(key, to: watermark) { clientCount.add(1, ordering: .releasing) }
        case .family(let number):
            if chains.raise([Kind.family.rawValue, number], to: watermark) { familyCount.add(1, ordering: .releasing) }
        }
    }

    /// Whether there are no watermarks at all.
    public var isEmpty: Bool {
        // Acquire: as in `revokes`.
        ownerCount.load(ordering: .acquiring) | clientCount.load(ordering: .acquiring)
            | familyCount.load(ordering: .acquiring) == 0
    }

    /// Whether a bulk revocation covers this record. For owners that it does not contain whole see
    /// `revokes(_:longOwner:)`.
    @inline(__always)
    public func revokes(_ record: borrowing CredentialRecord) -> Bool {
        // Acquire: pairs with the release of the count, so the counted entry is visible.
        if clientCount.load(ordering: .acquiring) > 0, record.client != 0,
            chains.find(Self.key(.client, UInt64(record.client)), wordCount: 2, revokes: record)
        {
            return true
        }
        if familyCount.load(ordering: .acquiring) > 0, record.family != 0,
            chains.find(Self.key(.family, record.family), wordCount: 2, revokes: record)
        {
            return true
        }
        guard ownerCount.load(ordering: .acquiring) > 0, record.holdsWholeOwner else { return false }
        let tagged = Kind.owner.rawValue | UInt64(record.owner.byteCount) << 8
        let words = record.owner.words
        let key: InlineArray<9, UInt64> = [
            tagged, words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7],
        ]
        return chains.find(key, wordCount: 1 &+ (Int(record.owner.byteCount) &+ 7) / 8, revokes: record)
    }

    /// Whether an owner has a watermark. Not for the hot path: it copies the key.
    public func hasWatermark(owner: RawSpan) -> Bool {
        // A record from before every journal number and time: any watermark revokes it.
        var first = CredentialRecord(id: CredentialID(rawValue: 0), kind: .apiKey, tag: Tag(0, 0, 0, 0), pepper: 0)
        first.journalNumber = 0
        first.issuedAt = .always
        return revokes(first, longOwner: owner)
    }

    /// Whether a bulk revocation by owner covers this record, whose owner has more than 64 bytes.
    public func revokes(_ record: borrowing CredentialRecord, longOwner: RawSpan) -> Bool {
        guard ownerCount.load(ordering: .acquiring) > 0 else { return false }
        return chains.find(Self.key(of: longOwner), revokes: record)
    }

    @inline(__always)
    private static func key(_ kind: Kind, _ number: UInt64) -> InlineArray<9, UInt64> {
        [kind.rawValue, number, 0, 0, 0, 0, 0, 0, 0]
    }

    /// The length in one word, then the text in whole words, zero-padded: only equal texts have equal keys.
    private static func key(of text: RawSpan) -> [UInt64] {
        var key = [Kind.owner.rawValue | UInt64(text.byteCount) << 8]
        var offset = 0
        while offset < text.byteCount {
            var word: UInt64 = 0
            for index in 0..<min(8, text.byteCount - offset) {
                word |= UInt64(text.byte(at: offset + index)) << UInt64(index * 8)
            }
            key.append(word)
            offset += 8
        }
        return key
    }
}

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
    func find(_ key: InlineArray<9, UInt64>, wordCount: Int, revokes record: borrowing CredentialRecord) -> Bool {
        revokes(hash(count: wordCount) { key[$0] }, count: wordCount, word: { key[$0] }, record)
    }

    /// Whether a key of any length, such as that of a long owner, has an entry that revokes the record.
    func find(_ key: [UInt64], revokes record: borrowing CredentialRecord) -> Bool {
        revokes(hash(count: key.count) { key[$0] }, count: key.count, word: { key[$0] }, record)
    }

    @inline(__always)
    private func revokes(
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
            .revokes(journalNumber: record.journalNumber, issuedAt: record.issuedAt)
    }

    @inline(__always)
    private func find(
        _ first: UInt64, hash: UInt64, count: Int, word: (Int) -> UInt64
    ) -> UnsafeMutablePointer<Word>? {
        var address = first
        // SAFETY: addresses in a chain are those of entries, which live as long as the table and whose keys never
        // change.
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
