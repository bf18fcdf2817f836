import CredentialModel
import ProofSupport
import Testing

@testable import RecordCache

@Suite struct `A cache that grows` {
    private let id: UInt64 = 7

    private func cache(levels: Int = 2) throws -> RecordCache {
        try #require(RecordCache(bytes: RecordCache.bytesPerSet * 4_096, levels: levels))
    }

    private func floors(_ cache: RecordCache, of place: RecordPlace) -> [UInt64] {
        (0..<RecordSets.wayCount).map { cache.word(SlotLayout.floor, of: $0, in: place.set) }
    }

    @Test func `begins with a sixteenth for each further level, and later uses the rest`() throws {
        let levels = CacheLevels(setCount: 65_536, levels: 3)
        #expect(levels.extent.sets == 0..<256)
        #expect(levels.extent(for: 1_024).sets == 0..<256)
        #expect(levels.extent(for: 1_028).sets == 256..<4_352)
        #expect(levels.extent(for: .max).sets == 4_352..<65_536)
        levels.grow(for: 1_028)
        #expect(levels.extent.sets == 256..<4_352)
        levels.grow(for: 0)
        #expect(levels.extent.sets == 256..<4_352)
        levels.grow(for: .max)
        #expect(levels.extent.sets == 4_352..<65_536)
        for key in [0, 1, UInt64.max / 2, .max] { #expect(levels.extent.sets.contains(levels.extent.set(of: key))) }
    }

    @Test func `grows in steps with the number of records in the store`() throws {
        let cache = try #require(RecordCache(bytes: 1 << 30))
        #expect(cache.capacity < 40_000)
        #expect([10_000, 100_000, 1_000_000].map(cache.level(for:)) == [0, 1, 2])
        cache.grow(for: 100_000)
        #expect(cache.capacity > 200_000 && cache.capacity < 600_000)
        cache.grow(for: .max)
        #expect(cache.capacity > 7_500_000)
    }

    @Test func `loses its records, and accepts them again`() throws {
        let cache = try cache()
        cache.fill(record(id, 1), stamp: 1)
        cache.grow(for: .max)
        #expect(cache.lacks(record(id, 1)))
        cache.fill(record(id, 1), stamp: 1)
        #expect(cache.holds(record(id, 1)))
    }

    @Test func `rejects a copy older than a revocation that was acknowledged before the growth`() throws {
        let cache = try cache()
        cache.raiseFloor(of: CredentialID(rawValue: id), to: 11)
        cache.grow(for: .max)
        // Read in snapshot 10, and offered only now.
        cache.fill(record(id, 1), stamp: 10)
        #expect(cache.lacks(record(id, 1)))
        cache.fill(record(id, 2), stamp: 11)
        #expect(cache.holds(record(id, 2)))
    }

    @Test func `rejects a copy older than a raise of all floors`() throws {
        let cache = try cache()
        cache.raiseFloors(to: 11)
        cache.grow(for: .max)
        cache.fill(record(id, 1), stamp: 10)
        #expect(cache.lacks(record(id, 1)))
    }

    @Test func `that was closed before it grew accepts nothing`() throws {
        let cache = try cache()
        cache.close()
        cache.grow(for: .max)
        cache.fill(record(id, 1), stamp: 1 << 40)
        #expect(cache.lacks(record(id, 1)))
    }

    @Test func `raises floors in the record's old and new set, and in no other`() throws {
        let cache = try cache(levels: 3)
        let before = cache.place(of: CredentialID(rawValue: id))
        cache.grow(for: 1_000)
        let now = cache.place(of: CredentialID(rawValue: id))
        cache.raiseFloor(of: CredentialID(rawValue: id), to: 11)
        #expect(floors(cache, of: before) == [UInt64](repeating: 11, count: 8))
        #expect(floors(cache, of: now) == [UInt64](repeating: 11, count: 8))
        let raised = (0..<4_096).filter { cache.word(SlotLayout.floor, of: 0, in: $0) != 0 }
        #expect(raised == [before.set, now.set])
        // The memory of a level that is not in use yet is not touched.
        cache.grow(for: .max)
        #expect(floors(cache, of: cache.place(of: CredentialID(rawValue: id))) == [UInt64](repeating: 0, count: 8))
    }

    @Test func `a revocation after the growth reaches readers with a place from before`() throws {
        let cache = try cache()
        let copy = record(id, 1)
        cache.fill(copy, stamp: 10)
        let place = cache.place(of: copy.id)
        cache.grow(for: .max)
        cache.raiseFloor(of: copy.id, to: 11)
        var found = CredentialRecord.blank
        #expect(cache.lookUp(copy.id, at: place, into: &found, touch: false) == nil)
    }

    @Test func `invalidates remembered records from before the growth`() throws {
        let cache = try cache()
        let seen = cache.floor(of: CredentialID(rawValue: id))
        #expect(cache.isUnchanged(seen))
        cache.grow(for: .max)
        #expect(!cache.isUnchanged(seen))
    }

    @Test func `two ids of one commit that shared a set before the growth do not shadow each other`() throws {
        let cache = try cache()
        let first = cache.place(of: CredentialID(rawValue: id))
        let others = ((id + 1)...).lazy.filter { cache.place(of: CredentialID(rawValue: $0)).set == first.set }.prefix(
            64)
        let candidates = Array(others)
        cache.grow(for: .max)
        let now = cache.place(of: CredentialID(rawValue: id)).set
        let other = try #require(candidates.first { cache.place(of: CredentialID(rawValue: $0)).set != now })
        // A place from before the growth, as if the thread had been interrupted before it reads the floor.
        let copy = record(id, 1)
        cache.fill(copy, stamp: 10)
        cache.raiseFloor(of: CredentialID(rawValue: other), to: 11)
        let seen = SeenFloor(set: first.set, floor: cache.sets.floor(of: first.set))
        #expect(seen.floor == 11 && cache.holds(copy))
        cache.raiseFloor(of: copy.id, to: 11)
        #expect(!cache.isUnchanged(seen) && cache.lacks(copy))
    }

    @Test func `lets one thread at a time raise floors`() {
        final class Shared: Sendable {
            let levels = CacheLevels(setCount: 64, levels: 2)
            // Without a lock of its own: only the cache's lock can protect it.
            nonisolated(unsafe) var raised = 0
        }
        let shared = Shared()
        Threads(4) { _ in
            for _ in 0..<20_000 { shared.levels.raise(7, to: 1) { _ in shared.raised += 1 } }
        }.wait()
        #expect(shared.raised == 80_000)
    }

    @Test func `invalidates remembered records once it is closed`() throws {
        let cache = try cache()
        cache.close()
        #expect(!cache.isUnchanged(cache.floor(of: CredentialID(rawValue: id))))
    }
}
