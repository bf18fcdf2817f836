import CredentialModel
import Testing

@testable import RecordCache

@Suite struct `A set's floor` {
    private func floors(_ cache: RecordCache, of set: Int) -> [UInt64] {
        (0..<RecordSets.wayCount).map { cache.word(SlotLayout.floor, of: $0, in: set) }
    }

    @Test func `is raised in each of its slots, and in no other set`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(8)
        for id in ids { cache.fill(record(id, id), stamp: 10) }
        #expect(ids.allSatisfy { cache.found($0) != nil })
        let set = cache.set(of: ids[0])
        cache.raiseFloor(of: CredentialID(rawValue: ids[3]), to: 11)
        #expect(floors(cache, of: set) == [UInt64](repeating: 11, count: 8))
        #expect(cache.floor(of: CredentialID(rawValue: ids[0])).floor == 11)
        for id in ids { #expect(cache.lacks(record(id, id))) }
        for other in 0..<cache.capacity / RecordSets.wayCount where other != set {
            #expect(floors(cache, of: other) == [UInt64](repeating: 0, count: 8))
        }
    }

    @Test func `invalidates a copy in its home slot and one in another`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(2) { $0.home == 2 }
        for id in ids { cache.fill(record(id, id), stamp: 10) }
        #expect(cache.isAtHome(record(ids[0], ids[0])))
        #expect(!cache.isAtHome(record(ids[1], ids[1])))
        #expect(cache.holds(record(ids[1], ids[1])))
        cache.raiseFloor(of: CredentialID(rawValue: ids[0]), to: 11)
        for id in ids { #expect(cache.lacks(record(id, id))) }
        for id in ids { cache.fill(record(id, id), stamp: 11) }
        for id in ids { #expect(cache.holds(record(id, id))) }
    }

    @Test(arguments: 0..<8) func `invalidates a fill in flight, in whichever slot it ends`(_ home: Int) throws {
        let cache = try makeCache()
        let id = cache.rivals(1) { $0.home == home }[0]
        var filled = record(id, 1)
        let packed = try #require(PackedRecord(&filled, stamp: 10, checksum: 0))
        let place = cache.place(of: filled.id)
        cache.sets.put(id, at: place, stamp: 10, traits: packed.traits) { slot in
            // The fill has checked the floor and holds the slot. Now a revocation commits 11 and is acknowledged.
            cache.raiseFloor(of: CredentialID(rawValue: id), to: 11)
            slot.write(packed, &filled)
        }
        #expect(cache.word(SlotLayout.id, of: home, in: place.set) == id)
        #expect(cache.lacks(filled))
        #expect(floors(cache, of: place.set) == [UInt64](repeating: 11, count: 8))
        let newer = record(id, 2)
        cache.fill(newer, stamp: 11)
        #expect(cache.holds(newer))
    }

    @Test func `is not changed by fills, of records or of the rest of an owner`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(16)
        cache.raiseFloor(of: CredentialID(rawValue: ids[0]), to: 5)
        for id in ids { cache.fill(record(id, id, owner: id % 2 == 0 ? 64 : 10), stamp: 7) }
        #expect(floors(cache, of: cache.set(of: ids[0])) == [UInt64](repeating: 5, count: 8))
        #expect(floors(cache, of: (cache.set(of: ids[0]) + 1) % 64) == [UInt64](repeating: 0, count: 8))
    }

    @Test func `of a closed cache invalidates everything for good`() throws {
        let cache = try makeCache()
        cache.fill(record(1, 1), stamp: 10)
        let seen = cache.floor(of: CredentialID(rawValue: 1))
        cache.close()
        #expect(!cache.isUnchanged(seen))
        #expect(cache.lacks(record(1, 1)))
        cache.raiseFloor(of: CredentialID(rawValue: 1), to: 11)
        cache.fill(record(1, 2), stamp: SlotRange.stamp)
        #expect(cache.lacks(record(1, 2)))
    }
}
