import CredentialModel
import ProofSupport
import Synchronization
import Testing

@testable import RecordCache

@Suite struct `The table of watermarks` {
    private func member(
        owner: String = "", client: UInt32 = 0, family: UInt64 = 0, number: UInt64 = 10, issuedAt: Int64 = 100
    ) -> CredentialRecord {
        var record = record(1, 1)
        record.owner = OwnerText(Array(owner.utf8).octets)
        record.client = client
        record.family = family
        record.journalNumber = number
        record.issuedAt = UnixSeconds(issuedAt)
        return record
    }

    private func mark(_ number: UInt64, before: Int64 = 0) -> Watermark {
        Watermark(journalNumber: number, issuedBefore: UnixSeconds(before))
    }

    @Test func `revokes exactly what was issued under a lower number`() throws {
        let table = try #require(WatermarkTable())
        table.raise(.client(7), to: mark(10))
        #expect(table.revokes(member(client: 7, number: 9)))
        #expect(!table.revokes(member(client: 7, number: 10)))
        #expect(!table.revokes(member(client: 8, number: 9)))
        #expect(!table.revokes(member(client: 0, number: 9)))
    }

    @Test func `revokes exactly what was issued before the given second`() throws {
        let table = try #require(WatermarkTable())
        table.raise(.family(7), to: mark(0, before: 100))
        #expect(table.revokes(member(family: 7, issuedAt: 99)))
        #expect(!table.revokes(member(family: 7, issuedAt: 100)))
        #expect(!table.revokes(member(family: 0, issuedAt: 99)))
    }

    @Test func `matches owners by their exact bytes`() throws {
        let table = try #require(WatermarkTable())
        let owners = ["a", "a ", "A", "aa", String(repeating: "x", count: 8), String(repeating: "x", count: 64)]
        for owner in owners {
            #expect(!table.revokes(member(owner: owner)))
            table.raise(.owner(Array(owner.utf8)), to: mark(11))
            #expect(table.revokes(member(owner: owner)))
        }
        for other in ["b", "", "a  ", "\u{0}", String(repeating: "x", count: 7), String(repeating: "x", count: 63)] {
            #expect(!table.revokes(member(owner: other)))
        }
    }

    @Test func `matches owners of more than 64 bytes by all of their bytes`() throws {
        let table = try #require(WatermarkTable())
        let start = String(repeating: "x", count: 64)
        let revoked = Array((start + "left").utf8)
        let other = Array((start + "rite").utf8)
        table.raise(.owner(revoked), to: mark(11))
        let record = member(owner: start + "left")
        #expect(!table.revokes(record))
        let killed = table.revokes(record, longOwner: revoked.octets)
        let spared = !table.revokes(record, longOwner: other.octets)
        #expect(killed && spared)
        #expect(!table.revokes(member(owner: start)))
    }

    @Test func `subjects of different kinds with one number are different`() throws {
        let table = try #require(WatermarkTable())
        table.raise(.client(5), to: mark(11))
        #expect(!table.revokes(member(family: 5)))
        table.raise(.family(6), to: mark(11))
        #expect(!table.revokes(member(client: 6)))
    }

    @Test func `only ever rises`() throws {
        let table = try #require(WatermarkTable())
        table.raise(.client(1), to: mark(50, before: 500))
        table.raise(.client(1), to: mark(20, before: 100))
        #expect(table.revokes(member(client: 1, number: 49, issuedAt: 600)))
        #expect(table.revokes(member(client: 1, number: 60, issuedAt: 499)))
        #expect(!table.revokes(member(client: 1, number: 50, issuedAt: 500)))
    }

    @Test func `has room for many subjects`() throws {
        let table = try #require(WatermarkTable())
        for number in UInt64(1)...20_000 { table.raise(.family(number), to: mark(number)) }
        for number in UInt64(1)...20_000 {
            #expect(table.revokes(member(family: number, number: number - 1)))
            #expect(!table.revokes(member(family: number, number: number)))
        }
    }

    @Test func `a raise is visible to whoever learns of it, while others are added`() throws {
        let table = try #require(WatermarkTable())
        let raised = Atomic<UInt64>(0)
        let missed = Atomic<Int>(0)
        Threads(3) { thread in
            guard thread > 0 else {
                for round in UInt64(1)...5_000 {
                    table.raise(.owner(Array("owner \(round)".utf8)), to: mark(20))
                    raised.store(round, ordering: .releasing)
                }
                return
            }
            var known: UInt64 = 0
            while known < 5_000 {
                known = raised.load(ordering: .acquiring)
                guard known > 0, !table.revokes(member(owner: "owner \(UInt64.random(in: 1...known))")) else {
                    continue
                }
                missed.add(1, ordering: .relaxed)
            }
        }.wait()
        #expect(missed.load(ordering: .relaxed) == 0)
    }
}

@Suite struct `The table of interned texts` {
    private func text(_ table: InternedTable, _ kind: InternedTable.Kind, _ number: UInt32) -> [UInt8] {
        table.withText(kind, number) { $0.copied() }
    }

    @Test func `returns each text by its kind and number`() {
        let table = InternedTable()
        for kind in InternedTable.Kind.allCases {
            for number in [1, 2, 1_023, 1_024, 1_025, 4_000_000] as [UInt32] {
                table.publish(kind, number, Array("\(kind) \(number)".utf8))
            }
        }
        for kind in InternedTable.Kind.allCases {
            for number in [1, 2, 1_023, 1_024, 1_025, 4_000_000] as [UInt32] {
                #expect(text(table, kind, number) == Array("\(kind) \(number)".utf8))
            }
        }
    }

    @Test func `returns an empty text for 0, unknown and impossible numbers`() {
        let table = InternedTable()
        table.publish(.scopes, 0, [1])
        table.publish(.scopes, .max, [1])
        for number in [0, 1, 5_000, 4_194_303, 4_194_304, .max] as [UInt32] {
            #expect(text(table, .scopes, number).isEmpty)
        }
    }

    @Test func `a text never changes`() {
        let table = InternedTable()
        table.publish(.scopes, 1, [1])
        table.publish(.scopes, 1, [2])
        #expect(text(table, .scopes, 1) == [1])
    }

    @Test func `a reader that knows a number sees its text`() {
        let table = InternedTable()
        let highest = Atomic<UInt32>(0)
        let wrong = Atomic<Int>(0)
        Threads(3) { thread in
            guard thread > 0 else {
                for round in UInt32(1)...8_000 {
                    table.publish(.audiences, round, Array("text \(round)".utf8))
                    highest.store(round, ordering: .releasing)
                }
                return
            }
            var known: UInt32 = 0
            while known < 8_000 {
                known = highest.load(ordering: .acquiring)
                guard known > 0 else { continue }
                let number = UInt32.random(in: 1...known)
                let seen = table.withText(.audiences, number) { $0.copied() }
                if seen != Array("text \(number)".utf8) { wrong.add(1, ordering: .relaxed) }
            }
        }.wait()
        #expect(wrong.load(ordering: .relaxed) == 0)
    }
}
