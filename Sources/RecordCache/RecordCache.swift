public import CredentialModel
import Synchronization

// A lock-free, set-associative table of whole records, keyed by the public id.
//
// ## Layout
//
// A set is one header line and seven slots. The header holds the set's *floor* and the ids of its slots, so that one
// cache line answers both "is it here" and "may it count":
//
// ```
// ┌ floor │ id │ id │ id │ id │ id │ id │ id ┐  64 bytes
// ├ slot 0: version, stamp, tag, … ──────────┤ 192 bytes
// ┊                                          ┊
// └ slot 6 ──────────────────────────────────┘
// ```
//
// ## Readers and fillers
//
// A slot is a sequence lock: its version is odd while a filler writes. A reader takes the version (acquire), the words
// (relaxed), a fence, and the version again; unless both are the same even number it has seen nothing. Readers write
// nothing to a set, so that hits scale over cores.
//
// ## Publication: why no acceptance follows an acknowledged revocation
//
// The cache holds copies, and copies age. Each slot carries as its *stamp* the id of the store's transaction it was read
// in. A mutation that takes something away commits as transaction T, *then* raises the floor of the id's set to T, *then*
// is acknowledged. A hit counts only if stamp ≥ floor.
//
// Claim: a verification that starts after the acknowledgement does not use a copy older than T.
// It loads the floor after it started, the floor was raised before the acknowledgement, and floors only rise: it sees a
// floor ≥ T. So it uses a slot only with stamp ≥ T, which was read in a snapshot that has the mutation. Otherwise it goes
// to the store, whose snapshot is taken after T was committed. The fills that race:
//
//   1. Fill reads snapshot T-1, revoke commits T, raises, acknowledges, fill publishes stamp T-1: each later reader
//      finds T-1 < floor. (A check at fill time alone would let this one through.)
//   2. Fill publishes T-1, then revoke raises: the same.
//   3. Fill reads T, publishes before the floor is raised: the copy has the mutation. It is right early.
//   4. Two fills of T-1 and T in one slot: a fill never replaces a higher stamp, so the order does not matter; and
//      were T-1 to win, the floor would make it worthless.
//   5. A reader between commit and raise may accept with stamp T-1: its verification began before the acknowledgement.
//
// In none of them does the claim depend on whether, when or where a fill lands. Hence fills may also give up: on a busy
// slot they do.

/// The records of recently used credentials.
public final class RecordCache: Sendable {
    /// Words of a set's header: the floor and seven ids.
    static let headerWords = 8
    static let ways = 7
    static let setWords = headerWords + ways * SlotLayout.wordCount
    /// Bytes of one set with its word of the visited bits.
    public static let bytesPerSet = (setWords + 1) * 8
    /// The smallest cache that can be had, in bytes.
    public static let bytesMin = bytesPerSet * 64

    fileprivate let words: AtomicWords
    /// One word a set: bit w is set when way w was hit lately. Apart from the sets, so that hits leave those lines alone.
    private let visited: AtomicWords
    private let setCount: UInt64
    /// Differs in each process, so that nobody can choose ids that share a set.
    private let secret: UInt64

    private let evictionCount = Atomic<UInt64>(0)

    /// A cache of at most `bytes`, at least ``bytesMin``. Nil when the system does not give the memory.
    public init?(bytes: Int) {
        let sets = max(64, bytes / Self.bytesPerSet)
        guard let words = AtomicWords(count: sets * Self.setWords), let visited = AtomicWords(count: sets) else {
            return nil
        }
        self.words = words
        self.visited = visited
        setCount = UInt64(sets)
        var generator = SystemRandomNumberGenerator()
        secret = generator.next()
    }

    /// Records that fit.
    public var capacity: Int { Int(setCount) * Self.ways }

    /// Records that had to make room for others, since the start.
    public var evictions: UInt64 { evictionCount.load(ordering: .relaxed) }

    @inline(__always)
    func set(of id: CredentialID) -> Int {
        let mixed = (id.rawValue ^ secret) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed.multipliedFullWidth(by: setCount).high)
    }

    /// Starts loading the header of the id's set, so that the memory's latency passes while the credential is hashed.
    @inline(__always)
    public func prefetch(_ id: CredentialID) {
        words.prefetch(set(of: id) &* Self.setWords)
    }

    /// Reads the record of `id` if it is here and counts.
    ///
    /// The result is a copy as of some transaction at or above the floor; its tag is still to be compared.
    /// - Parameter touch: whether this hit is to be remembered for eviction; a sample of the hits is enough.
    /// - Returns: false when the store has to be asked.
    @inline(__always)
    public func lookUp(_ id: CredentialID, into record: inout CredentialRecord, touch: Bool) -> Bool {
        let set = set(of: id)
        let header = set &* Self.setWords
        for way in 0..<Self.ways where words.load(header &+ 1 &+ way) == id.rawValue {
            let slot = header &+ Self.headerWords &+ way &* SlotLayout.wordCount
            // Acquire: pairs with the release that ends a fill; the words read below are that fill's or later ones.
            let before = words.acquire(slot)
            guard before & 1 == 0, words.read(slot: slot, into: &record) else { continue }
            let stamp = words.load(slot &+ SlotLayout.stamp)
            // The fence keeps the loads above before the second load of the version.
            atomicMemoryFence(ordering: .acquiring)
            guard words.load(slot) == before, record.id == id else { continue }
            #if !COUNTERSIGN_WITHOUT_FLOOR_CHECK
                // Acquire: what the mutation published before it raised the floor is seen as well.
                guard stamp >= words.acquire(header) else { return false }
            #endif
            if touch, visited.load(set) & (1 << UInt64(way)) == 0 { visited.setBits(set, 1 << UInt64(way)) }
            return true
        }
        return false
    }

    /// Offers a record that was read in the snapshot `stamp` and whose presented secret was right.
    ///
    /// Gives up when the copy is old already, when the slot is busy, and when the record does not fit.
    public func fill(_ record: borrowing CredentialRecord, stamp: UInt64) {
        guard record.owner.isWhole, record.id.rawValue != 0 else { return }
        let set = set(of: record.id)
        let header = set &* Self.setWords
        // Only saves work: what counts is the check on hits.
        guard stamp >= words.load(header) else { return }
        let way = chooseWay(for: record.id, set: set)
        let slot = header &+ Self.headerWords &+ way &* SlotLayout.wordCount
        let before = words.load(slot)
        // The exchange acquires the slot; another filler in it means giving up.
        guard before & 1 == 0, words.exchange(slot, expected: before, desired: before &+ 1) else { return }
        // Release fence: readers that see any word below also see the odd version.
        atomicMemoryFence(ordering: .releasing)
        let previous = words.load(slot &+ SlotLayout.id)
        if previous == record.id.rawValue, words.load(slot &+ SlotLayout.stamp) > stamp {
            words.release(slot, before)
            return
        }
        if previous != 0, previous != record.id.rawValue { evictionCount.add(1, ordering: .relaxed) }
        words.write(record, stamp: stamp, slot: slot)
        words.store(header &+ 1 &+ way, record.id.rawValue)
        // Release: publishes the words above with the even version.
        words.release(slot, before &+ 2)
    }

    /// Makes every copy of `id` older than transaction `transaction` worthless. Between the commit and its acknowledgement.
    public func raiseFloor(of id: CredentialID, to transaction: UInt64) {
        words.raise(set(of: id) &* Self.setWords, to: transaction)
    }

    /// The way that holds `id`, else a free one, else one that was not hit since the last round (CLOCK).
    private func chooseWay(for id: CredentialID, set: Int) -> Int {
        let header = set &* Self.setWords
        var free: Int?
        for way in 0..<Self.ways {
            let held = words.load(header &+ 1 &+ way)
            if held == id.rawValue { return way }
            if held == 0, free == nil { free = way }
        }
        if let free { return free }
        let floor = words.load(header)
        // The hand starts where chance, that is the newcomer's id, puts it: no state to share, no way is favoured.
        let start = Int(truncatingIfNeeded: id.rawValue >> 32 & 0xFF_FFFF) % Self.ways
        let bits = visited.load(set)
        var victim: Int?
        for step in 0..<Self.ways {
            let way = (start &+ step) % Self.ways
            let slot = header &+ Self.headerWords &+ way &* SlotLayout.wordCount
            // A copy below the floor is dead and goes first.
            if words.load(slot &+ SlotLayout.stamp) < floor { return way }
            if victim == nil, bits & (1 << UInt64(way)) == 0 { victim = way }
        }
        if let victim { return victim }
        visited.clearBits(set, bits)
        return start
    }
}

extension RecordCache {
    /// The floor of a credential's set. Whoever remembers a record with the floor from *before* it was verified may use
    /// it again while the floor is the same: every mutation of the record since then would have raised it.
    public func floor(of id: CredentialID) -> UInt64 {
        words.acquire(set(of: id) &* Self.setWords)
    }
}
