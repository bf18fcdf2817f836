import CredentialModel
import Synchronization

/// The sets of ``RecordCache`` in memory, and what readers and fillers do there. Its rules stand beside that.
struct RecordSets: ~Copyable, Sendable {
    /// Words of a set's header: the floor and seven keys.
    static let headerWords = 8
    static let wayCount = 7
    static let setWords = headerWords + wayCount * SlotLayout.wordCount

    private let words: AtomicWords
    /// One word a set: bit w is set when way w was hit lately. Apart from the sets, so that hits leave those lines alone.
    private let visited: AtomicWords
    private let setCount: UInt64
    /// Differ in each process, so that nobody can choose ids that share a set.
    private let firstSecret: UInt64
    private let lastSecret: UInt64

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
        firstSecret = generator.next()
        lastSecret = generator.next()
    }

    var capacity: Int { Int(setCount) * Self.wayCount }

    var evictions: UInt64 { evictionCount.load(ordering: .relaxed) }

    /// Where in a set the header ends and a way's slot begins.
    @inline(__always)
    private static func slot(_ way: Int) -> Int { headerWords &+ way &* SlotLayout.wordCount }

    /// Where an id's record is looked for.
    @inline(__always)
    func place(of id: WrittenID) -> RecordPlace {
        let product = (id.first ^ firstSecret).multipliedFullWidth(by: id.last ^ lastSecret)
        let mixed = product.high ^ product.low
        let set = Int(truncatingIfNeeded: mixed.multipliedFullWidth(by: setCount).high)
        // Zero marks an empty way.
        return RecordPlace(set: set, key: mixed == 0 ? 1 : mixed)
    }

    /// The ways whose header says that they hold `key`, as bits: home if it does, else all that do.
    @inline(__always)
    private func ways(of header: borrowing AtomicBlock, holding key: UInt64) -> UInt64 {
        let home = Self.home(key)
        if header.load(1 &+ home) == key { return 1 << UInt64(home) }
        return waysFromHome(header, key)
    }

    /// Without a branch per way, which would be mispredicted.
    @inline(never)
    private func waysFromHome(_ header: borrowing AtomicBlock, _ key: UInt64) -> UInt64 {
        var ways: UInt64 = 0
        for way in 0..<Self.wayCount { ways |= (header.load(1 &+ way) == key ? 1 : 0) << UInt64(way) }
        return ways
    }

    /// The way that a key goes to if it can: where a look-up expects it before it has seen the header.
    @inline(__always)
    private static func home(_ key: UInt64) -> Int {
        Int(truncatingIfNeeded: ((key & 0xFFFF_FFFF) &* UInt64(wayCount)) >> 32)
    }

    /// Starts loading the header of the set, and the slot that the record is probably in.
    @inline(__always)
    func prefetch(_ place: RecordPlace) {
        // One block, so that its bounds are checked once.
        let set = words.block(at: place.set &* Self.setWords, count: Self.setWords)
        set.prefetch(0)
        let slot = Self.slot(Self.home(place.key))
        for line in 0..<SlotLayout.wordCount / 8 { set.prefetch(slot &+ line &* 8) }
    }

    @inline(__always)
    func lookUp(_ place: RecordPlace, into record: inout CredentialRecord, touch: Bool) -> UInt64? {
        let header = words.block(at: place.set &* Self.setWords, count: Self.headerWords)
        var ways = ways(of: header, holding: place.key)
        while ways != 0 {
            let way = ways.trailingZeroBitCount
            ways &= ways &- 1
            let slot = words.block(at: place.set &* Self.setWords &+ Self.slot(way), count: SlotLayout.wordCount)
            // Acquire: pairs with the release that ends a fill; the words read below are that fill's or later ones.
            let before = slot.acquire(SlotLayout.version)
            guard before & 1 == 0 else { continue }
            slot.read(into: &record)
            let stamp = slot.load(SlotLayout.stamp)
            let checksum = slot.load(SlotLayout.checksum)
            // The fence keeps the loads above before the second load of the version.
            atomicMemoryFence(ordering: .acquiring)
            guard slot.load(SlotLayout.version) == before else { continue }
            #if !COUNTERSIGN_WITHOUT_FLOOR_CHECK
                // Acquire: what the mutation published before it raised the floor is seen as well.
                guard stamp >= header.acquire(0) else { return nil }
            #endif
            if touch, visited.load(place.set) & (1 << UInt64(way)) == 0 {
                visited.setBits(place.set, 1 << UInt64(way))
            }
            return checksum
        }
        return nil
    }

    func fill(_ record: inout CredentialRecord, at place: RecordPlace, stamp: UInt64, checksum: UInt64) {
        let set = place.set
        let header = words.block(at: set &* Self.setWords, count: Self.headerWords)
        // Only saves work: what counts is the check on hits.
        let floor = header.load(0)
        guard stamp >= floor else { return }
        let way = chooseWay(for: place, floor: floor)
        let slot = words.block(at: set &* Self.setWords &+ Self.slot(way), count: SlotLayout.wordCount)
        let before = slot.load(SlotLayout.version)
        // The exchange acquires the slot; another filler in it means giving up.
        guard before & 1 == 0, slot.exchange(SlotLayout.version, expected: before, desired: before &+ 1) else { return }
        // Release fence: readers that see any word below also see the odd version.
        atomicMemoryFence(ordering: .releasing)
        let previous = slot.load(SlotLayout.id)
        let id = record.id.rawValue
        if previous == id, slot.load(SlotLayout.stamp) > stamp {
            slot.release(SlotLayout.version, before)
            return
        }
        if previous != 0, previous != id { evictionCount.add(1, ordering: .relaxed) }
        slot.write(&record, stamp: stamp, checksum: checksum)
        header.store(1 &+ way, place.key)
        // Release: publishes the words above with the even version.
        slot.release(SlotLayout.version, before &+ 2)
    }

    func floor(of place: RecordPlace) -> UInt64 {
        words.acquire(place.set &* Self.setWords)
    }

    func raiseFloor(of place: RecordPlace, to transaction: UInt64) {
        words.raise(place.set &* Self.setWords, to: transaction)
    }

    /// To the highest transaction there can be, which no fill reaches.
    func raiseAllFloors() {
        for set in 0..<Int(setCount) { words.raise(set &* Self.setWords, to: UInt64.max) }
    }

    /// The way that holds the key, else a free one, else one that was not hit since the last round (CLOCK). Home first.
    @inline(__always)
    private func chooseWay(for place: RecordPlace, floor: UInt64) -> Int {
        let header = words.block(at: place.set &* Self.setWords, count: Self.headerWords)
        let home = Self.home(place.key)
        // The hand starts where chance, that is the newcomer's key, puts it: no state to share, no way is favoured.
        if header.load(1 &+ home) == 0 { return home }
        let holding = ways(of: header, holding: place.key)
        if holding != 0 { return holding.trailingZeroBitCount }
        let free = waysFromHome(header, 0)
        if free != 0 { return free.trailingZeroBitCount }
        // Most sets have no floor, and need no look at each slot.
        if floor > 0, let dead = deadWay(in: place.set, floor: floor, from: home) { return dead }
        let bits = visited.load(place.set)
        let unvisited = ~bits & Self.allWays
        if unvisited == 0 {
            visited.clearBits(place.set, bits)
            return home
        }
        // Turned so that home is bit 0.
        let turned = unvisited >> UInt64(home) | unvisited << UInt64(Self.wayCount &- home)
        let way = home &+ turned.trailingZeroBitCount
        return way < Self.wayCount ? way : way &- Self.wayCount
    }

    private static let allWays: UInt64 = (1 << UInt64(wayCount)) - 1

    /// A way whose copy is below the floor: it is worth nothing and goes first.
    @inline(never)
    private func deadWay(in set: Int, floor: UInt64, from home: Int) -> Int? {
        for step in 0..<Self.wayCount {
            let way = (home &+ step) % Self.wayCount
            if words.load(set &* Self.setWords &+ Self.slot(way) &+ SlotLayout.stamp) < floor { return way }
        }
        return nil
    }
}

/// Where an id's record is looked for: its set, and by what it goes there.
public struct RecordPlace: Sendable {
    let set: Int
    /// Out of the id and the cache's secret; two ids hardly ever have the same.
    let key: UInt64

    /// A place for a variable to begin with.
    public static let nowhere = RecordPlace(set: 0, key: 1)
}
