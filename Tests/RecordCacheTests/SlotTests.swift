import CredentialModel
import Testing

@testable import RecordCache

@Suite struct `A slot` {
    /// Whether a cache returns a record unchanged after a fill; false if it does not have it.
    private func isKept(_ record: CredentialRecord, stamp: UInt64 = 1, checksum: UInt64 = 0) throws -> Bool {
        let cache = try makeCache()
        var filled = record
        cache.fill(&filled, at: cache.place(of: record.id), stamp: stamp, checksum: checksum)
        let isKept = cache.holds(record, checksum: checksum)
        #expect(isKept != cache.lacks(record, checksum: checksum))
        return isKept
    }

    /// Values of a field that are cached, and some that are not.
    private func expect<Value>(
        _ field: WritableKeyPath<CredentialRecord, Value>, keeps: [Value], leavesOut: [Value]
    ) throws {
        for value in keeps {
            for seed in UInt64(1)...4 {
                var record = record(7, seed)
                record[keyPath: field] = value
                #expect(try isKept(record))
            }
        }
        for value in leavesOut {
            var record = record(7, 1)
            record[keyPath: field] = value
            #expect(try !isKept(record))
        }
    }

    @Test func `returns what was written, for random values with any number of bits`() throws {
        let cache = try makeCache()
        var generator = SystemRandomNumberGenerator()
        func random(_ bits: UInt64) -> UInt64 {
            // As many short values as long ones, and the maximum often.
            let count = UInt64.random(in: 0...bits + 4, using: &generator)
            return count > bits ? (1 << bits) - 1 : generator.next() & ((1 << count) - 1)
        }
        for _ in 0..<5_000 {
            var record = record(.random(in: 1...UInt64.max), 1, owner: Int.random(in: 0...64))
            record.kind = CredentialKind.allCases.randomElement() ?? .apiKey
            record.tag = Tag(.random(in: 0...UInt64.max), random(63), random(63), random(63))
            record.pepper = UInt16(random(16))
            record.flags = CredentialFlags(rawValue: UInt16(random(5)))
            record.issuedAt = UnixSeconds(Int64(random(32)))
            record.expiresAt = Bool.random() ? .never : UnixSeconds(Int64(random(39)))
            record.notBefore = UnixSeconds(Int64(random(32)))
            record.journalNumber = random(50)
            record.family = random(40)
            record.setGrants(
                client: UInt32(random(22)), scopes: UInt32(random(22)), audiences: UInt32(random(22)),
                networks: UInt32(random(22)))
            let stamp = random(48)
            let checksum = random(48)
            cache.fill(&record, at: cache.place(of: record.id), stamp: stamp, checksum: checksum)
            #expect(cache.holds(record, checksum: checksum))
        }
    }

    @Test func `keeps every id and every kind`() throws {
        for id in [1, 1 << 63, UInt64.max] as [UInt64] {
            #expect(try isKept(record(id, 1)))
        }
        try expect(\.kind, keeps: CredentialKind.allCases, leavesOut: [])
        try expect(\.pepper, keeps: [0, 1, .max], leavesOut: [])
    }

    @Test func `keeps every expiry that can be set, and 'never'`() throws {
        try expect(
            \.expiresAt,
            keeps: [.always, UnixSeconds(1), UnixSeconds(1 << 32), .latest, UnixSeconds((1 << 39) - 1), .never],
            leavesOut: [UnixSeconds(1 << 39), UnixSeconds((1 << 40) - 1), UnixSeconds(.max - 1), UnixSeconds(-1)])
    }

    @Test(arguments: [\CredentialRecord.issuedAt, \CredentialRecord.notBefore])
    func `keeps start times until 2106, and rejects later ones`(
        _ field: WritableKeyPath<CredentialRecord, UnixSeconds> & Sendable
    ) throws {
        try expect(
            field, keeps: [.always, UnixSeconds(1), UnixSeconds((1 << 32) - 1)],
            leavesOut: [UnixSeconds(1 << 32), .latest, .never, UnixSeconds(-1)])
    }

    @Test func `rejects numbers that are too large, each by its own limit`() throws {
        try expect(\.journalNumber, keeps: [0, 1 << 24, 1 << 40, (1 << 50) - 1], leavesOut: [1 << 50, .max])
        try expect(\.family, keeps: [0, 1, 1 << 10, 1 << 20, 1 << 30, (1 << 40) - 1], leavesOut: [1 << 40, .max])
        let flags = (0..<32).map { CredentialFlags(rawValue: $0) }
        try expect(\.flags, keeps: flags, leavesOut: [CredentialFlags(rawValue: 32), CredentialFlags(rawValue: .max)])
        for field in [\CredentialRecord.client, \.scopes, \.audiences, \.networks] {
            try expect(field, keeps: [0, 1, (1 << 22) - 1], leavesOut: [1 << 22, 1 << 24, .max])
        }
    }

    @Test func `rejects stamps and checksums that are too large`() throws {
        #expect(try isKept(record(7, 1), stamp: (1 << 48) - 1, checksum: (1 << 48) - 1))
        #expect(try !isKept(record(7, 1), stamp: 1 << 48))
        #expect(try !isKept(record(7, 1), checksum: 1 << 48))
    }

    @Test func `keeps owners of every length up to 64 bytes`() throws {
        for count in 0...64 {
            #expect(try isKept(record(7, 1, owner: count)))
        }
        #expect(try !isKept(record(7, 1, owner: 65)))
        #expect(try !isKept(record(7, 1, owner: 254)))
    }
}

@Suite struct `An owner that is not in its record's slot` {
    /// A record with this text as its owner.
    private func owned(_ id: UInt64, by text: String) -> CredentialRecord {
        var record = record(id, 1)
        record.owner = OwnerText(Array(text.utf8).octets)
        return record
    }

    /// Whether a text is stored as a UUID.
    private func isCompact(_ text: String) -> Bool {
        var record = owned(1, by: text)
        return CompactUUID(&record) != nil
    }

    @Test func `is stored in 24 bytes if it is a UUID, and returned as the same text`() throws {
        let cache = try makeCache()
        for id in 1...UInt64(300) {
            var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
            if id == 1 { bytes = [UInt8](repeating: 0, count: 16) }
            if id == 2 { bytes = [UInt8](repeating: 0xFF, count: 16) }
            let text = Self.text(bytes)
            #expect(text.utf8.count == 36 && isCompact(text))
            let filled = owned(id, by: text)
            cache.fill(filled, stamp: 1)
            let found = try #require(cache.found(by: filled))
            #expect(same(found, filled) && String(decoding: found.owner.bytes, as: UTF8.self) == text)
            #expect(cache.holds(filled))
            // In the record's own slot.
            #expect(cache.rests == 0)
        }
    }

    @Test func `counts as a UUID only if each character is restored`() throws {
        let text = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
        #expect(isCompact(text))
        let cache = try makeCache()
        for place in 0..<32 {
            for byte in UInt8.min...UInt8.max {
                var changed = Array(text.utf8)
                changed[place] = byte
                let isHyphen = [8, 13, 18, 23].contains(place)
                let isDigit = (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
                let expected = isHyphen ? byte == 0x2D : isDigit
                var record = owned(1, by: text)
                record.owner = OwnerText(changed.octets)
                #expect((CompactUUID(&record) != nil) == expected)
            }
        }
        let near = [
            text.uppercased(), text.replacing("-", with: "0"), "{" + text.dropLast(), "-" + text.dropLast(),
            "f81d4fae7dec-11d0-a765-00a0c91e6bf6-", "F" + text.dropFirst(), String(repeating: "a", count: 36),
        ]
        for (index, other) in near.enumerated() {
            #expect(other.utf8.count == 36 && !isCompact(other))
            let filled = owned(UInt64(index) + 1, by: other)
            cache.fill(filled, stamp: 1)
            #expect(cache.holds(filled))
        }
        // Texts of other lengths are not examined.
        for other in [String(text.dropLast()), text + "0", text.replacing("-", with: "")] {
            let filled = owned(100, by: other)
            cache.fill(filled, stamp: 2)
            #expect(cache.holds(filled))
        }
    }

    @Test func `that looks like a UUID keeps its last characters, whatever they are`() throws {
        let cache = try makeCache()
        for (index, end) in ["0000", "ABCD", "----", "zzzz", "\u{1}\u{7F}+/"].enumerated() {
            let filled = owned(UInt64(index) + 1, by: "f81d4fae-7dec-11d0-a765-00a0c91e" + end)
            cache.fill(filled, stamp: 1)
            #expect(cache.holds(filled))
        }
    }

    @Test func `has another slot for its rest, without which the record is not cached`() throws {
        let cache = try makeCache()
        let filled = owned(1, by: "service-account@project.iam.example")
        cache.fill(filled, stamp: 1)
        #expect(cache.rests == 1)
        #expect(cache.holds(filled))
        // The rest is in the next set: a revocation there invalidates the rest and nothing else.
        let next = (cache.set(of: 1) + 1) % (cache.capacity / RecordSets.wayCount)
        cache.sets.raiseFloor(of: next, to: 2)
        #expect(cache.lacks(filled))
        cache.fill(filled, stamp: 2)
        #expect(cache.holds(filled))
        #expect(cache.rests == 1)
        // A record below the floor of its own set is invalid, even if its rest is valid.
        cache.raiseFloor(of: filled.id, to: 3)
        #expect(cache.lacks(filled))
    }

    @Test func `has a rest that is never taken for a record`() throws {
        let cache = try makeCache()
        let count = cache.capacity / RecordSets.wayCount
        // The rest of an owner may be in a set with other records, under any mark.
        for id in 1...UInt64(200) { cache.fill(record(id, 1, owner: 64), stamp: 1) }
        #expect(cache.rests > 100)
        for set in 0..<count {
            for way in 0..<RecordSets.wayCount {
                guard cache.word(SlotLayout.lock, of: way, in: set) & SlotLock.isRecord == 0 else { continue }
                #expect(!cache.gives(way, in: set))
            }
        }
    }

    private static func text(_ bytes: [UInt8]) -> String {
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            let digits = String(byte, radix: 16)
            text += digits.count == 1 ? "0" + digits : digits
        }
        return text
    }
}

extension RecordCache {
    /// Slots with the rest of an owner.
    fileprivate var rests: Int {
        (0..<capacity).count { number in
            let (set, way) = number.quotientAndRemainder(dividingBy: RecordSets.wayCount)
            return word(SlotLayout.lock, of: way, in: set) & SlotLock.isRecord == 0
                && word(SlotLayout.id, of: way, in: set) != 0
        }
    }

    /// Whether a slot is accepted as a record, by the id in it or by a tag of zeros.
    fileprivate func gives(_ way: Int, in set: Int) -> Bool { sets.gives(way, in: set) }

    /// A word of a slot.
    func word(_ index: Int, of way: Int, in set: Int) -> UInt64 { sets.word(index, of: way, in: set) }
}

extension RecordSets {
    fileprivate func word(_ index: Int, of way: Int, in set: Int) -> UInt64 { slot(way, of: set).load(index) }

    fileprivate func gives(_ way: Int, in set: Int) -> Bool {
        let slot = slot(way, of: set)
        var found = CredentialRecord.blank
        return slot.read(CredentialID(rawValue: slot.load(SlotLayout.id)), into: &found) != nil
            || slot.read(Tag(0, 0, 0, 0), 0, 0, into: &found) != nil
    }
}
