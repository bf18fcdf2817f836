public import CredentialModel
import Synchronization

// A Bloom filter over the ids of the store's credentials, in blocks of one cache line.
//
// Without it, a flood of ids that do not exist would cost a look-up in the store for each of them, several times as
// much as a hit. The filter recognises nearly all of them as absent, for one cache line.
//
// It must never rule out an existing id. Ids are only added, never removed. From the moment the store is open, the one
// writer adds each new id after its commit and before its acknowledgement. Older ids are added by a scan, in pieces and
// at low priority; until the scan is complete, the filter rules out nothing. A row that the scan's snapshots do not
// have was committed after the store was opened, so the writer has added it. Deleted credentials leave their bits set,
// which costs a needless look-up. So does a store that has grown far beyond the capacity; the next start allocates
// more.
//
// An id has one bit in each of the eight words of its block, as in Parquet's split-block filters. Their positions
// depend on a secret, so that nobody can choose ids that are mistaken for others.

/// A filter of the ids that may exist.
public final class IDFilter: Sendable {
    /// Bits for each id of the capacity: about one absent id in 250 is taken for an existing one.
    private static let bitsPerID = 12
    private static let blockWords = 8

    private let words: AtomicWords
    private let blockCount: UInt64
    private let firstSecret: UInt64
    private let lastSecret: UInt64
    private let complete = Atomic<Bool>(false)

    /// Nil when the system does not give the memory.
    public init?(capacity: Int) {
        let blocks = max(1, capacity * Self.bitsPerID / (Self.blockWords * 64))
        guard let words = AtomicWords(count: blocks * Self.blockWords) else { return nil }
        self.words = words
        blockCount = UInt64(blocks)
        var generator = SystemRandomNumberGenerator()
        firstSecret = generator.next()
        lastSecret = generator.next() | 1
    }

    /// Adds an id. Any thread.
    public func insert(_ id: CredentialID) {
        let (block, bits) = place(of: id)
        for index in 0..<Self.blockWords { words.setBits(block &+ index, Self.bit(bits, index)) }
    }

    /// Called when every id that was in the store at opening has been added.
    public func becomeComplete() {
        // Release: whoever sees `true` sees all bits that the scan has set.
        complete.store(true, ordering: .releasing)
    }

    /// From now on rules out nothing: the store no longer belongs to this process.
    public func close() {
        complete.store(false, ordering: .releasing)
    }

    /// Whether every id that was in the store at opening has been added.
    public var isComplete: Bool { complete.load(ordering: .acquiring) }

    /// False if there is certainly no credential with that id. True says nothing.
    public func mayContain(_ id: CredentialID) -> Bool {
        guard isComplete else { return true }
        let (block, bits) = place(of: id)
        var missing: UInt64 = 0
        for index in 0..<Self.blockWords {
            let bit = Self.bit(bits, index)
            missing |= ~words.load(block &+ index) & bit
        }
        return missing == 0
    }

    /// The word number of an id's block, and the hash from which its bits are taken.
    @inline(__always)
    private func place(of id: CredentialID) -> (block: Int, bits: UInt64) {
        let product = (id.rawValue ^ firstSecret).multipliedFullWidth(by: lastSecret)
        let mixed = product.high ^ product.low
        let block = mixed.multipliedFullWidth(by: blockCount).high
        // A second hash: the block is chosen by the upper bits of the first.
        let again = (mixed ^ lastSecret).multipliedFullWidth(by: firstSecret | 1)
        return (Int(truncatingIfNeeded: block) &* Self.blockWords, again.high ^ again.low)
    }

    @inline(__always)
    private static func bit(_ bits: UInt64, _ index: Int) -> UInt64 {
        1 << (bits >> UInt64(6 &* index) & 63)
    }
}
