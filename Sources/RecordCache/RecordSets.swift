import CredentialModel
import Synchronization

/// The sets of ``RecordCache`` in memory, and what readers and fillers do there. Its rules stand beside that.
struct RecordSets: ~Copyable, Sendable {
    /// Words of a set's header: the floor and seven ids.
    static let headerWords = 8
    static let wayCount = 7
    static let setWords = headerWords + wayCount * SlotLayout.wordCount

    private let words: AtomicWords
    /// One word a set: bit w is set when way w was hit lately. Apart from the sets, so that hits leave those lines alone.
    private let visited: AtomicWords
    private let setCount: UInt64
    /// Differs in each process, so that nobody can choose ids that share a set.
    private let secret: UInt64

    private let evictionCount = Atomic<UInt64>(0)

    /// Nil when the system does not give the memory.
    init?(count: Int) {
        guard let words = AtomicWords(count: count * Self.setWords), let visited = AtomicWords(count: count) else {
            return nil
        }
        self.words = words
        self.visited = visited
        setCount = UInt64(count)
        var generator = SystemRandomNumberGenerator()
        secret = generator.next()
    }

    var capacity: Int { Int(setCount) * Self.wayCount }

    var evictions: UInt64 { evictionCount.load(ordering: .relaxed) }

    /// Where in a set the header ends and a way's slot begins.
    @inline(__always)
    private static func slot(_ way: Int) -> Int { headerWords &+ way &* SlotLayout.wordCount }

    @inline(__always)
    func set(of id: CredentialID) -> Int {
        let mixed = (id.rawValue ^ secret) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed.multipliedFullWidth(by: setCount).high)
    }

    /// The ways whose header says that they hold `id`, as bits: home if it does, else all that do.
    @inline(__always)
    private func ways(of header: borrowing AtomicBlock, holding id: CredentialID) -> UInt64 {
        let home = Self.home(id)
        if header.load(1 &+ home) == id.rawValue { return 1 << UInt64(home) }
        return waysFromHome(header, id)
    }

    /// Without a branch per way, which would be mispredicted.
    @inline(never)
    private func waysFromHome(_ header: borrowing AtomicBlock, _ id: CredentialID) -> UInt64 {
        var ways: UInt64 = 0
        for way in 0..<Self.wayCount { ways |= (header.load(1 &+ way) == id.rawValue ? 1 : 0) << UInt64(way) }
        return ways
    }

    /// The way that an id goes to if it can: where a look-up expects it before it has seen the header.
    @inline(__always)
    private static func home(_ id: CredentialID) -> Int {
        Int(truncatingIfNeeded: ((id.rawValue & 0xFFFF_FFFF) &* UInt64(wayCount)) >> 32)
    }

    /// Starts loading the header of the id's set, and the slot that it is probably in.
    @inline(__always)
    func prefetchHome(_ id: CredentialID, in set: Int) {
        let set = set &* Self.setWords
        words.block(at: set, count: Self.headerWords).prefetch(0)
        prefetch(slot: Self.home(id), set: set)
    }

    /// Starts loading the slot of the id, if the header names it and it is another than was expected.
    @inline(__always)
    func prefetchSlot(_ id: CredentialID, in set: Int) {
        let set = set &* Self.setWords
        let header = words.block(at: set, count: Self.headerWords)
        guard header.load(1 &+ Self.home(id)) != id.rawValue else { return }
        let ways = waysFromHome(header, id)
        guard ways != 0 else { return }
        prefetch(slot: ways.trailingZeroBitCount, set: set)
    }

    @inline(__always)
    private func prefetch(slot way: Int, set: Int) {
        let slot = words.block(at: set &+ Self.slot(way), count: SlotLayout.wordCount)
        for line in 0..<SlotLayout.wordCount / 8 { slot.prefetch(line &* 8) }
    }

    @inline(__always)
    func lookUp(_ id: CredentialID, in set: Int, into record: inout CredentialRecord, touch: Bool) -> Bool {
        let header = words.block(at: set &* Self.setWords, count: Self.headerWords)
        var ways = ways(of: header, holding: id)
        while ways != 0 {
            let way = ways.trailingZeroBitCount
            ways &= ways &- 1
            let slot = words.block(at: set &* Self.setWords &+ Self.slot(way), count: SlotLayout.wordCount)
            // Acquire: pairs with the release that ends a fill; the words read below are that fill's or later ones.
            let before = slot.acquire(SlotLayout.version)
            guard before & 1 == 0, slot.read(into: &record) else { continue }
            let stamp = slot.load(SlotLayout.stamp)
            // The fence keeps the loads above before the second load of the version.
            atomicMemoryFence(ordering: .acquiring)
            guard slot.load(SlotLayout.version) == before, record.id == id else { continue }
            #if !COUNTERSIGN_WITHOUT_FLOOR_CHECK
                // Acquire: what the mutation published before it raised the floor is seen as well.
                guard stamp >= header.acquire(0) else { return false }
            #endif
            if touch, visited.load(set) & (1 << UInt64(way)) == 0 { visited.setBits(set, 1 << UInt64(way)) }
            return true
        }
        return false
    }

    func fill(_ record: borrowing CredentialRecord, stamp: UInt64) {
        let set = set(of: record.id)
        let header = words.block(at: set &* Self.setWords, count: Self.headerWords)
        // Only saves work: what counts is the check on hits.
        guard stamp >= header.load(0) else { return }
        let way = chooseWay(for: record.id, set: set)
        let slot = words.block(at: set &* Self.setWords &+ Self.slot(way), count: SlotLayout.wordCount)
        let before = slot.load(SlotLayout.version)
        // The exchange acquires the slot; another filler in it means giving up.
        guard before & 1 == 0, slot.exchange(SlotLayout.version, expected: before, desired: before &+ 1) else { return }
        // Release fence: readers that see any word below also see the odd version.
        atomicMemoryFence(ordering: .releasing)
        let previous = slot.load(SlotLayout.id)
        if previous == record.id.rawValue, slot.load(SlotLayout.stamp) > stamp {
            slot.release(SlotLayout.version, before)
            return
        }
        if previous != 0, previous != record.id.rawValue { evictionCount.add(1, ordering: .relaxed) }
        slot.write(record, stamp: stamp)
        header.store(1 &+ way, record.id.rawValue)
        // Release: publishes the words above with the even version.
        slot.release(SlotLayout.version, before &+ 2)
    }

    func floor(of id: CredentialID) -> UInt64 {
        words.acquire(set(of: id) &* Self.setWords)
    }

    func raiseFloor(of id: CredentialID, to transaction: UInt64) {
        words.raise(set(of: id) &* Self.setWords, to: transaction)
    }

    /// To the highest transaction there can be, which no fill reaches.
    func raiseAllFloors() {
        for set in 0..<Int(setCount) { words.raise(set &* Self.setWords, to: UInt64.max) }
    }

    /// The way that holds `id`, else a free one, else one that was not hit since the last round (CLOCK). Home comes first.
    private func chooseWay(for id: CredentialID, set: Int) -> Int {
        let header = words.block(at: set &* Self.setWords, count: Self.headerWords)
        let home = Self.home(id)
        var free: Int?
        for way in 0..<Self.wayCount {
            let held = header.load(1 &+ way)
            if held == id.rawValue { return way }
            if held == 0, free == nil || way == home { free = way }
        }
        if let free { return free }
        let floor = header.load(0)
        // The hand starts where chance, that is the newcomer's id, puts it: no state to share, no way is favoured.
        let bits = visited.load(set)
        var victim: Int?
        for step in 0..<Self.wayCount {
            let way = (home &+ step) % Self.wayCount
            // A copy below the floor is dead and goes first.
            if words.load(set &* Self.setWords &+ Self.slot(way) &+ SlotLayout.stamp) < floor { return way }
            if victim == nil, bits & (1 << UInt64(way)) == 0 { victim = way }
        }
        if let victim { return victim }
        visited.clearBits(set, bits)
        return home
    }
}
