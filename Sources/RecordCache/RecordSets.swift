import CredentialModel
import Synchronization

#if COUNTERSIGN_PROOF
    import CMachine
#endif

/// The sets of ``RecordCache`` in memory, and what readers and fillers do there. The rules are in RecordCache.swift.
struct RecordSets: ~Copyable, Sendable {
    static let wayCount = Directory.wayCount
    static let setWords = wayCount * SlotLayout.wordCount

    private let slots: AtomicWords
    private let directory: Directory
    private let setCount: Int
    private let levels: CacheLevels
    /// Differ in each process, so that nobody can choose ids that share a set.
    private let firstSecret: UInt64
    private let lastSecret: UInt64

    private let evictionCount = EvictionCount()

    /// A separate object: fills write it, and every look-up reads what is next to it here.
    private final class EvictionCount: Sendable {
        let value = Atomic<UInt64>(0)
    }

    /// Nil when the system does not give the memory.
    /// - Parameters:
    ///   - count: the number of all sets; those of the first level are in use.
    ///   - levels: see `CacheLevels`.
    init?(count: Int, levels: Int) {
        guard let slots = AtomicWords(count: count * Self.setWords), let directory = Directory(setCount: count) else {
            return nil
        }
        self.slots = slots
        self.directory = directory
        setCount = count
        self.levels = CacheLevels(setCount: count, levels: levels)
        var generator = SystemRandomNumberGenerator()
        firstSecret = generator.next()
        lastSecret = generator.next()
    }

    /// Number of slots in use.
    var capacity: Int { levels.extent.count * Self.wayCount }

    var evictions: UInt64 { evictionCount.value.load(ordering: .relaxed) }

    /// Makes the system commit one piece of the memory that so many records use. False when there is none, or no
    /// memory.
    func populate(piece number: Int, for records: Int) -> Bool {
        let sets = levels.extent(for: records).sets
        let first = number.multipliedReportingOverflow(by: Self.pieceSets)
        guard !first.overflow, first.partialValue >= 0, first.partialValue < sets.count else { return false }
        let start = sets.lowerBound + first.partialValue
        let end = min(start + Self.pieceSets, sets.upperBound)
        return slots.populate(start * Self.setWords..<end * Self.setWords)
    }

    func level(for records: Int) -> Int { levels.level(for: records) }
    func grow(for records: Int) { levels.grow(for: records) }

    /// 32 MiB: some milliseconds of kernel time.
    private static let pieceSets = (32 << 20) / (setWords * 8)

    // MARK: Places

    /// Where to look for an id's record.
    @inline(__always)
    func place(of id: WrittenID) -> RecordPlace {
        let product = (id.first ^ firstSecret).multipliedFullWidth(by: id.last ^ lastSecret)
        let key = product.high ^ product.low
        return RecordPlace(set: levels.extent.set(of: key), key: key)
    }

    /// Where to look for the rest of a long owner whose record is in `set`: in the next set, so that the two do not
    /// evict each other. The id in the slot says whose rest it is.
    private func place(ofRestOf id: CredentialID, in set: Int) -> RecordPlace {
        let product = (id.rawValue ^ firstSecret).multipliedFullWidth(by: lastSecret | 1)
        return RecordPlace(set: set &+ 1 < setCount ? set &+ 1 : 0, key: product.high ^ product.low)
    }

    @inline(__always) @_lifetime(borrow self)
    func slot(_ way: Int, of set: Int) -> AtomicBlock { slots.block(set &<< 3 | way, of: SlotLayout.wordCount) }

    // MARK: Reading

    /// The place of an id. Starts to load the slot that probably holds the record, and the directory word.
    @inline(__always)
    func prefetch(_ id: WrittenID) -> RecordPlace {
        let place = place(of: id)
        let home = slot(place.home, of: place.set)
        home.prefetch(0)
        home.prefetch(8)
        directory.prefetch(place.set)
        return place
    }

    @inline(__always)
    func lookUpAtHome(
        _ place: RecordPlace, _ tag: Tag, _ pepper: UInt16, _ checksum: UInt64, into record: inout CredentialRecord
    ) -> Bool {
        guard let owner = slot(place.home, of: place.set).read(tag, pepper, checksum, into: &record) else {
            return false
        }
        return owner <= SlotLayout.ownerBytes || completeOwner(owner, of: &record, in: place.set)
    }

    @inline(__always)
    func noteHitAtHome(_ place: RecordPlace) { directory.noteHit(of: place.home, in: place.set) }

    func lookUpElsewhere(
        _ place: RecordPlace, _ tag: Tag, _ pepper: UInt16, _ checksum: UInt64, into record: inout CredentialRecord,
        touch: Bool
    ) -> RecordSlot? {
        var ways = directory.ways(of: place, marked: place.mark)
        while let way = ways.next() {
            guard way != place.home,
                let owner = slot(way, of: place.set).read(tag, pepper, checksum, into: &record)
            else { continue }
            if touch { directory.noteHit(of: way, in: place.set) }
            guard owner <= SlotLayout.ownerBytes || completeOwner(owner, of: &record, in: place.set) else { return nil }
            return RecordSlot(way, of: place.set)
        }
        return nil
    }

    func lookUp(_ id: CredentialID, at place: RecordPlace, into record: inout CredentialRecord, touch: Bool)
        -> RecordSlot?
    {
        var ways = directory.ways(of: place, marked: place.mark)
        while let way = ways.next() {
            guard let owner = slot(way, of: place.set).read(id, into: &record) else { continue }
            if touch { directory.noteHit(of: way, in: place.set) }
            guard owner <= SlotLayout.ownerBytes || completeOwner(owner, of: &record, in: place.set) else { return nil }
            return RecordSlot(way, of: place.set)
        }
        return nil
    }

    /// Completes an owner that does not fit into the record's slot. False when the rest is not cached.
    @inline(never)
    private func completeOwner(_ owner: UInt64, of record: inout CredentialRecord, in set: Int) -> Bool {
        if owner == SlotLock.uuid {
            CompactUUID(word0: record.words[13], word1: record.words[14], word2: record.words[15]).expand(into: &record)
            return true
        }
        let place = place(ofRestOf: record.id, in: set)
        var ways = directory.ways(of: place, marked: place.mark)
        while let way = ways.next() {
            guard slot(way, of: place.set).readRest(into: &record) else { continue }
            directory.noteHit(of: way, in: place.set)
            return true
        }
        return false
    }

    // MARK: Filling

    func fill(_ record: inout CredentialRecord, at place: RecordPlace, stamp: UInt64, checksum: UInt64) {
        guard let packed = PackedRecord(&record, stamp: stamp, checksum: checksum) else { return }
        if packed.hasRest { fillRest(of: &record, at: place, stamp: stamp) }
        put(record.words[0], at: place, stamp: stamp, traits: packed.traits) { $0.write(packed, &record) }
    }

    @inline(never)
    private func fillRest(of record: inout CredentialRecord, at place: RecordPlace, stamp: UInt64) {
        put(record.words[0], at: self.place(ofRestOf: record.id, in: place.set), stamp: stamp, traits: 0) {
            $0.writeRest(of: &record, stamp: stamp)
        }
    }

    /// Takes a slot for an id, lets `write` write its words, and publishes them.
    ///
    /// Gives up when the copy is already stale, when the slot is busy, or when the slot has a newer copy of the id.
    @inline(__always)
    func put(
        _ id: UInt64, at place: RecordPlace, stamp: UInt64, traits: UInt64, _ write: (borrowing AtomicBlock) -> Void
    ) {
        let way = chooseWay(for: id, at: place)
        let slot = slot(way, of: place.set)
        // The slot's floor only saves work here; it is checked again on each hit. The level's floor is checked only
        // here.
        guard stamp >= slot.load(SlotLayout.floor), stamp >= levels.floor else { return }
        let before = slot.load(SlotLayout.lock)
        // The exchange acquires the slot; it fails if another filler has taken it.
        guard before & SlotLock.isHeld == 0,
            slot.exchange(SlotLayout.lock, expected: before, desired: before | SlotLock.isHeld)
        else { return }
        // Release fence: readers that see any word below also see that the slot is held.
        atomicMemoryFence(ordering: .releasing)
        let previous = slot.load(SlotLayout.id)
        if previous == id, slot.stamp > stamp {
            slot.release(SlotLayout.lock, before)
            return
        }
        if previous != 0, previous != id { evictionCount.value.add(1, ordering: .relaxed) }
        write(slot)
        directory.enter(place.mark, of: way, in: place.set)
        // Release: publishes the words above with the next even version.
        slot.release(SlotLayout.lock, traits | (before &+ 2 &* SlotLock.nextVersion) & SlotLock.version)
    }

    /// The way that holds the id, else a free one, else one that was not hit since the last round (CLOCK). Starts at
    /// home.
    @inline(__always)
    private func chooseWay(for id: UInt64, at place: RecordPlace) -> Int {
        var holding = directory.ways(of: place, marked: place.mark)
        while let way = holding.next() {
            if slot(way, of: place.set).load(SlotLayout.id) == id { return way }
        }
        var free = directory.ways(of: place, marked: 0)
        // The clock hand starts at the new record's home, which is random: no state is shared and no way is favoured.
        return free.next() ?? chooseVictim(at: place)
    }

    @inline(never)
    private func chooseVictim(at place: RecordPlace) -> Int {
        // Most sets have no floor, so the slots need not be read. A copy below the floor is invalid and is evicted
        // first.
        let home = place.home
        let floor = slot(home, of: place.set).load(SlotLayout.floor)
        if floor > 0 {
            for step in 0..<Self.wayCount {
                let way = (home &+ step) & 7
                if slot(way, of: place.set).stamp < floor { return way }
            }
        }
        return directory.chooseVictim(at: place)
    }

    // MARK: Uses

    @inline(__always)
    func hasReportedUse(_ slot: RecordSlot) -> Bool { directory.hasReportedUse(slot) }
    func noteReportedUse(_ slot: RecordSlot) { directory.noteReportedUse(slot) }
    func beginUseInterval() { directory.clearReportedUses(in: 0..<levels.extent.sets.upperBound) }

    // MARK: Floors

    /// The floor of the set's last slot, which is raised after all others.
    func floor(of set: Int) -> UInt64 {
        slot(Self.wayCount &- 1, of: set).acquire(SlotLayout.floor)
    }

    func isUnchanged(_ seen: SeenFloor) -> Bool {
        levels.extent.sets.contains(seen.set) && seen.floor < .max && floor(of: seen.set) == seen.floor
    }

    /// Raises the floors of an id's set in each level that is or was in use.
    func raiseFloor(of place: RecordPlace, to transaction: UInt64) {
        levels.raise(place.key, to: transaction) { raiseFloor(of: $0, to: transaction) }
    }

    /// Raises the floors of a set's slots in order. Prefetches them all first, to wait for memory only once.
    func raiseFloor(of set: Int, to transaction: UInt64) {
        for way in 0..<Self.wayCount { slot(way, of: set).prefetch(SlotLayout.floor) }
        for way in 0..<Self.wayCount {
            #if COUNTERSIGN_PROOF
                // Broken on purpose: deploy/proofs/races must notice. The scheduler may pause this thread after any
                // slot.
                let isBroken = cs_is_broken(cs_remembered_floor_last) != 0
                let way = isBroken ? Self.wayCount &- 1 &- way : way
                defer { if isBroken { cs_pause_milliseconds(0) } }
            #endif
            slot(way, of: set).raise(SlotLayout.floor, to: transaction)
        }
    }

    /// Raises the floors of all sets that are or were in use.
    func raiseAllFloors(to transaction: UInt64) {
        levels.raiseAll(to: transaction) { raiseFloor(of: $0, to: transaction) }
    }
}

/// Where to look for an id's record: its set, and the key that it has there.
public struct RecordPlace: Sendable {
    let set: Int
    /// Derived from the id and the cache's secret; two ids hardly ever have the same key.
    let key: UInt64

    @inline(__always)
    init(set: Int, key: UInt64) {
        self.set = set
        self.key = key
    }

    /// The record's preferred way, which a look-up tries first.
    @inline(__always)
    var home: Int { Int(truncatingIfNeeded: key & 7) }

    /// The slot of that way.
    @inline(__always)
    public var homeSlot: RecordSlot { RecordSlot(home, of: set) }

    /// The record's fingerprint in the directory: 1 to 127, since 0 stands for an empty slot.
    @inline(__always)
    var mark: UInt64 {
        let bits = key >> 3 & 0x7F
        return bits == 0 ? 1 : bits
    }

    /// An initial value for variables.
    public static let nowhere = RecordPlace(set: 0, key: 0)
}
