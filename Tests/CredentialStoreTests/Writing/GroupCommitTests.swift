import CredentialModel
import Foundation
import LMDB
import Synchronization
import TestSupport
import Testing

@testable import CredentialStore

/// The error with which a test's mutation fails.
struct Refusal: Error, Equatable {}

@Suite struct `The writer` {
    @Test func `numbers each mutation in the transaction of its data, without gaps`() async throws {
        let fixture = try Fixture()
        for _ in 0..<5 { try await fixture.plant() }
        let (id, _) = try await fixture.plant()
        try await fixture.store.write(creates: false) { writer, transaction in
            let old = try #require(try writer.credential(id, in: transaction))
            var new = old
            new.name = "new"
            try writer.replace(old, by: new, event: .edited, in: transaction)
            _ = try writer.raiseWatermark(of: .owner([0x61]), issuedBefore: nil, in: transaction)
        }
        let journal = try fixture.journal()
        #expect(journal.map(\.number) == Array(1...8))
        #expect(journal.map(\.event) == .init(repeating: .issued, count: 6) + [.edited, .ownerRevoked])
        #expect(try fixture.row(id)?.record.journalNumber == 6)
        #expect(journal[7].subject == [0x61])
        #expect(try fixture.check().isEmpty)
        let again = try fixture.reopened()
        try await again.plant()
        #expect(try again.journal(after: 7).map(\.number) == [8, 9])
        #expect(try again.journal(after: 2, limit: 3).map(\.number) == [3, 4, 5])
    }

    @Test func `commits a batch once and acknowledges all of it`() async throws {
        let fixture = try Fixture()
        let before = fixture.store.commits.commits
        let gate = WriterGate(fixture.store)
        let acknowledged = Atomic<Int>(0)
        let count = 500
        for number in 0..<count {
            fixture.store.submit(creates: false) { writer, transaction in
                try writer.raiseWatermark(of: .family(UInt64(number + 1)), issuedBefore: nil, in: transaction)
            } completion: { result in
                if case .success = result { acknowledged.add(1, ordering: .relaxed) }
            }
        }
        gate.open()
        #expect(try await eventually { acknowledged.load(ordering: .relaxed) == count })
        // The gate's own commit and one more.
        #expect(fixture.store.commits.commits == before + 2)
        #expect(try fixture.journal().count == count)
    }

    @Test func `a mutation that fails before its first write fails alone`() async throws {
        let fixture = try Fixture()
        let gate = WriterGate(fixture.store)
        async let first = fixture.plant()
        let refused = Mutex<(any Error)?>(nil)
        fixture.store.submit(creates: true) { _, _ in
            throw Refusal()
        } completion: { (result: Result<Void, any Error>) in
            if case .failure(let error) = result { refused.withLock { $0 = error } }
        }
        async let second = fixture.plant()
        try await gate.waitUntilQueued(3)
        gate.open()
        let ids = try await [first.id, second.id]
        #expect(refused.withLock { $0 } is Refusal)
        for id in ids { #expect(try fixture.row(id) != nil) }
        #expect(try fixture.journal().map(\.number) == [1, 2])
    }

    @Test func `a mutation that fails after a write leaves nothing, and the rest of its batch is committed once`()
        async throws
    {
        let fixture = try Fixture()
        let runs = Atomic<Int>(0)
        let gate = WriterGate(fixture.store)
        let results = Mutex<[Int: Bool]>([:])
        for number in 0..<10 {
            fixture.store.submit(creates: false) { writer, transaction in
                runs.add(1, ordering: .relaxed)
                _ = try writer.raiseWatermark(of: .family(UInt64(number + 1)), issuedBefore: nil, in: transaction)
                if number == 3 || number == 7 { throw Refusal() }
            } completion: { result in
                results.withLock { results in
                    if case .success = result { results[number] = true } else { results[number] = false }
                }
            }
        }
        gate.open()
        #expect(try await eventually { results.withLock { $0.count } == 10 })
        for number in 0..<10 {
            #expect(results.withLock { $0[number] } == (number != 3 && number != 7))
        }
        let journal = try fixture.journal()
        #expect(journal.map(\.number) == Array(1...8))
        #expect(!journal.contains { $0.subject == Array("4".utf8) || $0.subject == Array("8".utf8) })
        // 4 up to the first failure, 7 up to the second, and 8 that remain.
        #expect(runs.load(ordering: .relaxed) == 4 + 7 + 8)
        let record = try await fixture.plant { $0.record.family = 4 }
        #expect(try fixture.verdict(record.secret).isActive)
    }

    @Test func `a mutation that only reads does not change the transaction id`() async throws {
        let fixture = try Fixture()
        try await fixture.plant()
        let before = try fixture.statistic("last_transaction")
        try await fixture.store.write(creates: false) { writer, transaction in
            _ = try writer.credential(.random(), in: transaction)
        }
        #expect(try fixture.statistic("last_transaction") == before)
    }

    @Test func `everything acknowledged is there after a restart`() async throws {
        let fixture = try Fixture()
        var ids: [CredentialID] = []
        for _ in 0..<20 { ids.append(try await fixture.plant().id) }
        let again = try fixture.reopened()
        for id in ids { #expect(try again.row(id) != nil) }
        #expect(again.store.incarnation == fixture.store.incarnation)
        #expect(try again.check().isEmpty)
    }

    @Test func `a full queue reports busy, and droppable work is dropped earlier`() async throws {
        let fixture = try Fixture()
        let gate = WriterGate(fixture.store)
        let done = Atomic<Int>(0)
        let busy = Atomic<Int>(0)
        let offered = Atomic<Int>(0)
        let capacity = 65_536
        for number in 0..<capacity + 3 {
            if number == capacity / 4 - 1 || number == capacity / 4 + 1 {
                fixture.store.offer { _, _ in _ = offered.add(1, ordering: .relaxed) }
            }
            fixture.store.submit(creates: false) { _, _ in
            } completion: { result in
                switch result {
                case .success: done.add(1, ordering: .relaxed)
                case .failure(let error):
                    if error as? StoreFailure == .busy { busy.add(1, ordering: .relaxed) }
                }
            }
        }
        gate.open()
        #expect(try await eventually { done.load(ordering: .relaxed) + busy.load(ordering: .relaxed) == capacity + 3 })
        // The accepted offer occupies one place.
        #expect(busy.load(ordering: .relaxed) == 4)
        #expect(offered.load(ordering: .relaxed) == 1)
    }

    @Test func `a revocation overtakes background writes`() async throws {
        let fixture = try Fixture()
        let (id, _) = try await fixture.plant()
        let gate = WriterGate(fixture.store)
        let order = Mutex<[Int]>([])
        for number in 0..<3 {
            fixture.store.submit(creates: true, inBackground: true) { writer, transaction in
                try writer.noteUse(of: id, at: UnixSeconds(Int64(number)), in: transaction)
            } completion: { _ in
                order.withLock { $0.append(number) }
            }
        }
        fixture.store.submit(creates: false) { writer, transaction in
            _ = try writer.raiseWatermark(of: .family(1), issuedBefore: nil, in: transaction)
        } completion: { _ in
            order.withLock { $0.append(99) }
        }
        gate.open()
        #expect(try await eventually { order.withLock { $0.count } == 4 })
        #expect(order.withLock { $0 } == [99, 0, 1, 2])
    }

    @Test func `a piece of long work ends, later on a slow disk`() {
        func rows(_ commit: Duration) -> Int {
            var piece = Piece(after: commit)
            var rows = 1
            while !piece.isOver() { rows += 1 }
            return rows
        }
        #expect(rows(.seconds(3_600)) == 1_000)
        #expect(rows(.zero) <= 1_000)
    }

    @Test func `last uses of more credentials than fit into one piece are all written`() async throws {
        let fixture = try Fixture()
        let planted = try await fixture.plant(count: 2_500) { _ in "o" }
        let verifier = try fixture.verifier()
        let now = fixture.store.clock.now()
        for (_, secret) in planted { #expect(try verifier.verdict(secret.revealBytes(), at: now).isActive) }
        let before = fixture.store.commits.commits
        try await fixture.store.writeUses()
        #expect(try fixture.statistic("uses") == 2_500)
        #expect(fixture.store.commits.commits - before >= 3)
    }

    @Test func `a write after the close fails with "closed"`() async throws {
        let fixture = try Fixture()
        fixture.close()
        await #expect(throws: StoreFailure.closed) { try await fixture.store.write(creates: false) { _, _ in } }
    }

    @Test func `a close waits for everything accepted`() async throws {
        let fixture = try Fixture()
        let acknowledged = Atomic<Int>(0)
        for number in UInt64(1)...200 {
            fixture.store.submit(creates: false) { writer, transaction in
                try writer.raiseWatermark(of: .family(number), issuedBefore: nil, in: transaction)
            } completion: { result in
                if case .success = result { acknowledged.add(1, ordering: .relaxed) }
            }
        }
        let again = try fixture.reopened()
        #expect(acknowledged.load(ordering: .relaxed) == 200)
        #expect(try again.journal().count == 200)
    }

    @Test func `owner, client, id and journal number survive every replacement`() async throws {
        let fixture = try Fixture()
        let (id, _) = try await fixture.plant { $0.record.client = 0 }
        try await fixture.store.write(creates: false) { writer, transaction in
            let old = try #require(try writer.credential(id, in: transaction))
            var new = old
            new.record.id = .random()
            new.record.client = 9
            new.record.journalNumber = 99
            new.owner = [0x62]
            new.record.owner = OwnerText()
            try writer.replace(old, by: new, event: .edited, in: transaction)
        }
        let row = try #require(try fixture.row(id))
        #expect(row.record.client == 0 && row.record.journalNumber == 1 && row.owner == Array("alice".utf8))
        #expect(row.record.owner.bytes == row.owner)
        #expect(try fixture.check().isEmpty)
    }

    @Test func `an existing id is not overwritten`() async throws {
        let fixture = try Fixture()
        let (id, secret) = try await fixture.plant()
        let inserted = try await fixture.store.write(creates: true) { writer, transaction in
            let pepper = fixture.store.peppers.newest.number
            let record = CredentialRecord(id: id, kind: .apiKey, tag: Tag(0, 0, 0, 0), pepper: pepper)
            return try writer.insert(StoredCredential(record: record, owner: [], name: nil), in: transaction)
        }
        #expect(!inserted)
        #expect(try fixture.verdict(secret).isActive)
        #expect(try fixture.journal().count == 1)
    }
}
