public import CredentialModel
import Synchronization

// A Bloom filter over the ids of the store's credentials, in blocks of one cache line.
//
// Whoever floods a service with ids that do not exist would make each of them a look-up in the store, which costs several
// times what a hit does. The filter says of nearly all of them that there is no such credential, for one cache line.
//
// It must never say so of one that there is. Ids only come in, never out: the one writer puts each new id in after its
// commit and before its acknowledgement, from the moment the store is open. What was there before is put in by a scan, in
// pieces and without a hurry; until that has seen all, the filter says nothing. A row that the scan's snapshots do not have
// was committed after the store was opened, so the writer has put it in. Credentials that were deleted leave their bits:
// they cost a look-up in vain. So does a store that has grown far beyond the capacity; the next start makes room for it.
//
// An id has one bit in each of the eight words of its block, as in Parquet's split-block filters. Where they lie depends on a
// secret, so that nobody can choose ids that are taken for others.

/// Which ids there may be.
public final class LiveIDs: Sendable {
    /// Bits for each id of the capacity: about one in 250 that are not there is taken for one that is.
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

    /// Notes an id. Any thread.
    public func insert(_ id: CredentialID) {
        let (block, bits) = place(of: id)
        for index in 0..<Self.blockWords { words.setBits(block &+ index, Self.bit(bits, index)) }
    }

    /// Everything that was in the store when it was opened has been noted.
    public func becomeComplete() {
        // Release: whoever sees it sees all bits that the scan has set.
        complete.store(true, ordering: .releasing)
    }

    /// Says nothing any more: the store behind it is no longer this process's.
    public func close() {
        complete.store(false, ordering: .releasing)
    }

    /// Whether everything that was in the store has been noted.
    public var isComplete: Bool { complete.load(ordering: .acquiring) }

    /// Whether there is surely no credential of that id. False says nothing.
    public func surelyLacks(_ id: CredentialID) -> Bool {
        guard isComplete else { return false }
        let (block, bits) = place(of: id)
        var missing: UInt64 = 0
        for index in 0..<Self.blockWords {
            let bit = Self.bit(bits, index)
            missing |= ~words.load(block &+ index) & bit
        }
        return missing != 0
    }

    /// The word number of an id's block, and what its bits are made of.
    @inline(__always)
    private func place(of id: CredentialID) -> (block: Int, bits: UInt64) {
        let product = (id.rawValue ^ firstSecret).multipliedFullWidth(by: lastSecret)
        let mixed = product.high ^ product.low
        let block = mixed.multipliedFullWidth(by: blockCount).high
        // Another mix: the block is taken from the upper bits of the first.
        let again = (mixed ^ lastSecret).multipliedFullWidth(by: firstSecret | 1)
        return (Int(truncatingIfNeeded: block) &* Self.blockWords, again.high ^ again.low)
    }

    @inline(__always)
    private static func bit(_ bits: UInt64, _ index: Int) -> UInt64 {
        1 << (bits >> UInt64(6 &* index) & 63)
    }
}
