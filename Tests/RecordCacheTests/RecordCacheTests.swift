import CredentialModel
import Foundation
import Testing

@testable import RecordCache

/// A record in which each field depends on two numbers, so that a mix of two records is detected. All fields fit.
///
/// - Parameter owner: bytes of the owner. If there are more than 24, they depend on the id alone, since owners never
///   change.
func record(_ id: UInt64, _ seed: UInt64, owner: Int = 20) -> CredentialRecord {
    let mixed = (seed &+ id) &* 0x9E37_79B9_7F4A_7C15
    func part(_ number: UInt64, bits: UInt64 = 64) -> UInt64 {
        ((mixed ^ number) &* 0xD6E8_FEB8_6659_FD93) >> (64 - bits)
    }
    let kind = CredentialKind.allCases[Int(mixed % 5)]
    var record = CredentialRecord(
        id: CredentialID(rawValue: id), kind: kind, tag: Tag(part(1), part(2), part(3), part(4)),
        pepper: UInt16(part(5, bits: 16)))
    record.flags = CredentialFlags(rawValue: UInt16(part(6, bits: 5)))
    record.issuedAt = UnixSeconds(Int64(part(7, bits: 32)))
    record.expiresAt = seed % 3 == 0 ? .never : UnixSeconds(Int64(part(8, bits: 39)))
    record.notBefore = UnixSeconds(Int64(part(9, bits: 32)))
    record.journalNumber = seed & SlotRange.journalNumber
    record.family = seed % 2 == 0 ? 0 : part(10, bits: 40)
    record.client = UInt32(part(11, bits: 22))
    record.scopes = UInt32(part(12, bits: 22))
    record.audiences = UInt32(part(13, bits: 22))
    record.networks = UInt32(part(14, bits: 22))
    let start = owner > 24 ? id &* 0xD6E8_FEB8_6659_FD93 : part(15)
    let text = (0..<owner).map { UInt8(truncatingIfNeeded: start >> UInt64($0 % 50)) }
    record.owner = OwnerText(text.octets)
    return record
}

/// Whether two records agree in every field.
func same(_ left: CredentialRecord, _ right: CredentialRecord) -> Bool {
    left.id == right.id && left.kind == right.kind && left.flags == right.flags && left.pepper == right.pepper
        && left.tag.bytes == right.tag.bytes && left.issuedAt == right.issuedAt && left.expiresAt == right.expiresAt
        && left.notBefore == right.notBefore && left.journalNumber == right.journalNumber
        && left.family == right.family && left.client == right.client && left.scopes == right.scopes
        && left.audiences == right.audiences && left.networks == right.networks && left.owner == right.owner
}

extension RecordCache {
    func found(_ id: UInt64, touch: Bool = false) -> CredentialRecord? {
        var found = CredentialRecord.blank
        return lookUp(CredentialID(rawValue: id), into: &found, touch: touch) != nil ? found : nil
    }

    /// The same by the record's tag, as in a verification: in the home slot, else in the rest of the set.
    func found(by record: CredentialRecord, checksum: UInt64 = 0) -> CredentialRecord? {
        let place = prefetch(WrittenID(record.id))
        var found = CredentialRecord.blank
        var isFound = lookUpAtHome(place, tag: record.tag, pepper: record.pepper, checksum: checksum, into: &found)
        if !isFound {
            isFound =
                lookUpElsewhere(
                    place, tag: record.tag, pepper: record.pepper, checksum: checksum, into: &found, touch: false)
                != nil
        }
        return isFound ? found : nil
    }

    /// Whether a record is found by its id and by its tag, with every field unchanged.
    func holds(_ record: CredentialRecord, checksum: UInt64 = 0) -> Bool {
        guard let byID = found(record.id.rawValue), let byTag = found(by: record, checksum: checksum) else {
            return false
        }
        return same(byID, record) && same(byTag, record)
    }

    /// Whether neither a record's id nor its tag is found.
    func lacks(_ record: CredentialRecord, checksum: UInt64 = 0) -> Bool {
        found(record.id.rawValue) == nil && found(by: record, checksum: checksum) == nil
    }

    /// Whether a record is in its home slot.
    func isAtHome(_ record: CredentialRecord) -> Bool {
        var found = CredentialRecord.blank
        return lookUpAtHome(
            place(of: record.id), tag: record.tag, pepper: record.pepper, checksum: 0, into: &found)
    }

    func set(of id: UInt64) -> Int { place(of: CredentialID(rawValue: id)).set }

    /// Ids that share a set and meet a condition on their places.
    func rivals(_ count: Int, where isWanted: (RecordPlace) -> Bool = { _ in true }) -> [UInt64] {
        let set = self.set(of: 1)
        var ids: [UInt64] = []
        while ids.count < count {
            let id = UInt64.random(in: 1...UInt64.max)
            let place = place(of: CredentialID(rawValue: id))
            if place.set == set, isWanted(place) { ids.append(id) }
        }
        return ids
    }
}

func makeCache() throws -> RecordCache { try #require(RecordCache(bytes: RecordCache.bytesMin)) }

@Suite struct `The cache's layout` {
    @Test func `can have its memory committed in advance`() throws {
        let mebibytes = 256
        let cache = try #require(RecordCache(bytes: mebibytes << 20))
        cache.fill(record(1, 1), stamp: 1)
        let before = try residentMebibytes()
        var pieces = 0
        while cache.populate(piece: pieces, for: .max) { pieces += 1 }
        #expect(pieces == 8)
        #expect(!cache.populate(piece: -1, for: .max) && !cache.populate(piece: .max, for: .max))
        // Concurrent tests use and free memory, too.
        #expect(try residentMebibytes() - before > mebibytes / 2)
        #expect(cache.holds(record(1, 1)))
    }

    private func residentMebibytes() throws -> Int {
        let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return (Int(pages[1]) ?? 0) >> 8
    }

    @Test func `a set is eight slots of two cache lines each, and two directory words`() {
        #expect(SlotLayout.wordCount * 8 == 2 * 64)
        #expect(RecordSets.wayCount == 8 && RecordSets.setWords * 8 == 1_024)
        #expect(RecordCache.bytesPerSet == 1_024 + 16)
        #expect(RecordCache.bytesPerSet / RecordSets.wayCount == 130)
    }

    @Test func `what is needed to reject a record is in its slot's first cache line, the rest in the second`() {
        let first = [
            SlotLayout.lock, SlotLayout.floor, SlotLayout.stamp, SlotLayout.checksum, SlotLayout.tag,
            SlotLayout.tag + 3,
        ]
        #expect(first == [0, 1, 2, 3, 4, 7])
        let second = [
            SlotLayout.id, SlotLayout.startTimes, SlotLayout.clientAndScopes, SlotLayout.audiencesAndNetworks,
            SlotLayout.expiry, SlotLayout.owner,
        ]
        #expect(second == [8, 9, 10, 11, 12, 13])
        #expect(SlotLayout.owner + SlotLayout.ownerWords == SlotLayout.wordCount)
        #expect(SlotLayout.ownerWords + SlotLayout.restWords == 64 / 8)
        #expect(SlotLayout.rest > SlotLayout.id && SlotLayout.rest + SlotLayout.restWords <= SlotLayout.wordCount)
    }

    @Test func `a slot holds every number that the tables of texts can assign`() {
        #expect(SlotRange.number == UInt64(NumberedTexts.numbersMax) - 1)
    }

    @Test func `uses no more memory than it was given, and at least the minimum`() throws {
        let cache = try #require(RecordCache(bytes: 10 << 20))
        #expect(cache.capacity / RecordSets.wayCount * RecordCache.bytesPerSet <= 10 << 20)
        #expect(try #require(RecordCache(bytes: 0)).capacity == 64 * 8)
        #expect(try #require(RecordCache(bytes: -5)).capacity == 64 * 8)
    }
}

@Suite struct `The cache` {
    @Test func `returns every field of a record as filled`() throws {
        let cache = try makeCache()
        for seed in UInt64(1)...200 {
            let filled = record(seed, seed, owner: Int(seed % 65))
            cache.fill(filled, stamp: seed)
            #expect(cache.holds(filled))
        }
    }

    @Test func `misses what was never filled`() throws {
        let cache = try makeCache()
        #expect(cache.found(1) == nil)
        #expect(cache.found(0) == nil)
        cache.fill(record(1, 1), stamp: 5)
        #expect(cache.found(2) == nil)
    }

    @Test func `admits owners of 64 bytes, not of 65`() throws {
        let cache = try makeCache()
        cache.fill(record(1, 1, owner: 64), stamp: 1)
        cache.fill(record(2, 1, owner: 65), stamp: 1)
        #expect(cache.found(1)?.owner.bytes.count == 64)
        #expect(cache.found(2) == nil)
    }

    @Test func `does not admit the id that marks an empty slot`() throws {
        let cache = try makeCache()
        cache.fill(record(0, 1), stamp: 1)
        #expect(cache.found(0) == nil)
    }

    @Test func `a shorter owner replaces a longer one completely`() throws {
        let cache = try makeCache()
        cache.fill(record(1, 1, owner: 64), stamp: 1)
        let short = record(1, 2, owner: 3)
        cache.fill(short, stamp: 2)
        let found = try #require(cache.found(1))
        #expect(same(found, short))
    }

    @Test func `a raised floor invalidates older copies, and newer ones are valid`() throws {
        let cache = try makeCache()
        cache.fill(record(1, 1), stamp: 10)
        cache.raiseFloor(of: CredentialID(rawValue: 1), to: 10)
        #expect(cache.found(1) != nil)
        cache.raiseFloor(of: CredentialID(rawValue: 1), to: 11)
        #expect(cache.found(1) == nil)
        // A fill that was in progress when the floor was raised is too old.
        cache.fill(record(1, 1), stamp: 10)
        #expect(cache.found(1) == nil)
        cache.fill(record(1, 2), stamp: 11)
        #expect(cache.found(1)?.journalNumber == 2)
    }

    @Test func `a copy below the floor is invalid, whatever the fill checked`() throws {
        // The fill checks the floor, then the floor is raised, then the copy is published: it is checked again on the
        // hit.
        let cache = try makeCache()
        cache.fill(record(1, 1), stamp: 10)
        #expect(cache.found(1) != nil)
        cache.raiseFloor(of: CredentialID(rawValue: 1), to: 12)
        #expect(cache.found(1) == nil)
        #expect(cache.found(1) == nil)
    }

    @Test func `a floor never falls`() throws {
        let cache = try makeCache()
        let id = CredentialID(rawValue: 1)
        cache.raiseFloor(of: id, to: 20)
        cache.raiseFloor(of: id, to: 10)
        cache.fill(record(1, 1), stamp: 15)
        #expect(cache.found(1) == nil)
        cache.fill(record(1, 1), stamp: 20)
        #expect(cache.found(1) != nil)
    }

    @Test func `a fill never replaces a copy with a higher stamp`() throws {
        let cache = try makeCache()
        cache.fill(record(1, 2), stamp: 20)
        cache.fill(record(1, 1), stamp: 19)
        #expect(cache.found(1)?.journalNumber == 2)
        cache.fill(record(1, 3), stamp: 21)
        #expect(cache.found(1)?.journalNumber == 3)
    }

    @Test func `a full set keeps what was hit lately`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(30)
        for id in ids.prefix(8) { cache.fill(record(id, id), stamp: 1) }
        let kept = ids[3]
        for id in ids.dropFirst(8) {
            #expect(cache.found(kept, touch: true) != nil)
            cache.fill(record(id, id), stamp: 1)
        }
        #expect(cache.found(kept) != nil)
        #expect(ids.filter { cache.found($0) != nil }.count == 8)
        #expect(cache.evictions == 22)
    }

    @Test func `a set whose copies were all hit still admits a new record`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(9)
        for id in ids.prefix(8) {
            cache.fill(record(id, id), stamp: 1)
            #expect(cache.found(id, touch: true) != nil)
        }
        cache.fill(record(ids[8], 1), stamp: 1)
        #expect(cache.found(ids[8]) != nil)
        #expect(ids.filter { cache.found($0) != nil }.count == 8)
    }

    @Test func `copies below the floor are evicted first`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(9)
        for id in ids.prefix(7) { cache.fill(record(id, id), stamp: 10) }
        cache.raiseFloor(of: CredentialID(rawValue: ids[0]), to: 20)
        for id in ids.prefix(7) { cache.fill(record(id, id), stamp: 20) }
        #expect(cache.evictions == 0)
        cache.raiseFloor(of: CredentialID(rawValue: ids[0]), to: 30)
        for id in ids.prefix(6) { cache.fill(record(id, id), stamp: 30) }
        cache.fill(record(ids[7], 1), stamp: 30)
        cache.fill(record(ids[8], 1), stamp: 30)
        // ids[6] was invalid, so the ninth record has replaced it and no other.
        #expect(cache.found(ids[6]) == nil)
        for id in ids.prefix(6) + ids.suffix(2) { #expect(cache.found(id) != nil) }
    }

    @Test func `a flood of ids in other sets does not affect a set`() throws {
        let cache = try #require(RecordCache(bytes: 4 << 20))
        let kept = cache.rivals(8)
        for id in kept { cache.fill(record(id, id), stamp: 1) }
        let set = cache.set(of: 1)
        for id in UInt64(1_000_000)..<1_020_000 where cache.set(of: id) != set {
            cache.fill(record(id, id), stamp: 1)
        }
        for id in kept { #expect(cache.found(id) != nil) }
    }

    @Test func `two caches place ids differently, so nobody can choose ids that share a set`() throws {
        let left = try #require(RecordCache(bytes: 4 << 20))
        let right = try #require(RecordCache(bytes: 4 << 20))
        #expect((1...UInt64(1_000)).filter { left.set(of: $0) == right.set(of: $0) }.count < 100)
    }

    @Test(arguments: [true, false]) func `ids spread over the sets, random ones and consecutive ones`(
        _ isRandom: Bool
    ) throws {
        let cache = try #require(RecordCache(bytes: 4 << 20))
        let count = cache.capacity / RecordSets.wayCount
        var taken = [Int](repeating: 0, count: count)
        for id in 1...UInt64(count) { taken[cache.set(of: isRandom ? .random(in: 1...UInt64.max) : id)] += 1 }
        // As many balls as boxes: on average 37 % stay empty, and hardly any gets ten.
        #expect(taken.filter { $0 == 0 }.count < count * (isRandom ? 41 : 60) / 100)
        #expect(taken.max() ?? 0 < 14)
    }

    @Test func `is looked up by tag, pepper and checksum, and misses if one of them differs`() throws {
        let cache = try makeCache()
        var filled = record(9, 1)
        let checksum: UInt64 = 0x3A62_3A62_3A62
        cache.fill(&filled, at: cache.place(of: filled.id), stamp: 1, checksum: checksum)
        #expect(cache.holds(filled, checksum: checksum))
        #expect(cache.found(by: filled, checksum: checksum ^ 1) == nil)
        for word in 0..<4 {
            for bit in [0, 31, 63] as [UInt64] {
                var other = filled
                other.words[1 + word] ^= 1 << bit
                #expect(cache.found(by: other, checksum: checksum) == nil)
            }
        }
        var other = filled
        other.pepper ^= 1
        #expect(cache.found(by: other, checksum: checksum) == nil)
        // An imported credential has none.
        cache.fill(record(9, 2), stamp: 2)
        #expect(cache.found(by: record(9, 2)) != nil)
        #expect(cache.found(by: filled, checksum: checksum) == nil)
    }

    @Test func `records with the same home are each found, one of them there`() throws {
        let cache = try makeCache()
        let ids = cache.rivals(8) { $0.home == 5 }
        for id in ids { cache.fill(record(id, id), stamp: 1) }
        for (order, id) in ids.enumerated() {
            #expect(cache.holds(record(id, id)))
            #expect(cache.isAtHome(record(id, id)) == (order == 0))
        }
    }

    @Test func `records with the same home and mark are distinguished`() throws {
        let cache = try makeCache()
        let first = cache.rivals(1)[0]
        let place = cache.place(of: CredentialID(rawValue: first))
        let ids = [first] + cache.rivals(2) { $0.home == place.home && $0.mark == place.mark }
        for id in ids.prefix(2) { cache.fill(record(id, id), stamp: 1) }
        for id in ids.prefix(2) { #expect(cache.holds(record(id, id))) }
        #expect(cache.lacks(record(ids[2], ids[2])))
        // A fill uses the slot that has its id.
        for id in ids.prefix(2) { cache.fill(record(id, 7), stamp: 2) }
        #expect(cache.evictions == 0)
        for id in ids.prefix(2) { #expect(cache.holds(record(id, 7))) }
    }

    @Test func `a copy of another id in an id's slot is not returned for it`() throws {
        let cache = try makeCache()
        var other = record(2, 2)
        cache.fill(&other, at: cache.place(of: CredentialID(rawValue: 1)), stamp: 1, checksum: 1)
        #expect(cache.found(1) == nil)
    }

    @Test func `a floor that was read earlier tells whether something was revoked since`() throws {
        let cache = try makeCache()
        let id = CredentialID(rawValue: 4)
        let seen = cache.floor(of: id)
        #expect(cache.isUnchanged(seen))
        cache.fill(record(4, 1), stamp: 3)
        #expect(cache.isUnchanged(seen))
        cache.raiseFloor(of: id, to: 4)
        #expect(!cache.isUnchanged(seen))
        #expect(cache.isUnchanged(cache.floor(of: id)))
    }
}

@Suite struct `Ids that begin with the time` {
    @Test func `are spread over the sets as random ones are`() throws {
        let count = 4_096
        for _ in 0..<4 {
            let cache = try #require(RecordCache(bytes: RecordCache.bytesPerSet * count))
            var inSet = [Int](repeating: 0, count: count)
            var last: UInt64 = 0
            for index in 0..<count * 8 {
                let time: UInt64 = 1_795_478_762 << 32 + UInt64(index) << 32 / 5_000
                let id = CredentialID.ordered(at: time, after: last)
                last = id.rawValue
                inSet[cache.place(of: id).set] += 1
            }
            // For random ids the variance equals the mean, which is 8.
            let variance = inSet.reduce(0.0) { $0 + (Double($1) - 8) * (Double($1) - 8) } / Double(count)
            #expect(variance < 10)
        }
    }
}
