import Dispatch
import Foundation
import LMDB
import Synchronization
import Testing

@Suite struct ReaderTests {
    @Test func `each read has a fresh snapshot with every finished commit`() throws {
        let store = try TemporaryStore()
        let reader = try store.environment.makeReader()
        for round in 0..<50 as Range<UInt8> {
            let commit = try store.environment.write { try $0.put(store.numbers, 1, [round]) }
            let (id, value) = try reader.read { ($0.id, try $0.value(store.numbers, 1)) }
            #expect(id == commit.transactionID)
            #expect(value == [round])
        }
    }

    @Test func `a snapshot does not change while it is read`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        let reader = try store.environment.makeReader()
        try reader.read { transaction in
            let before = transaction.id
            _ = try store.environment.write { try $0.put(store.numbers, 1, [2]) }
            #expect(try transaction.value(store.numbers, 1) == [1])
            #expect(transaction.id == before)
        }
        #expect(try reader.read { try $0.value(store.numbers, 1) } == [2])
    }

    @Test func `an idle reader pins nothing and a reading one shows its lag`() throws {
        let store = try TemporaryStore()
        let reader = try store.environment.makeReader()
        _ = try reader.read { $0.id }
        for round in 0..<5 as Range<UInt8> { _ = try store.environment.write { try $0.put(store.numbers, 1, [round]) } }
        let idle = try store.environment.statistics()
        #expect(idle.readersInUse == 1)
        #expect(idle.readersMax == 32)
        #expect(idle.oldestReaderLagTransactions == 0)
        try reader.read { _ in
            for round in 0..<5 as Range<UInt8> {
                _ = try store.environment.write { try $0.put(store.numbers, 1, [round]) }
            }
            #expect(try store.environment.statistics().oldestReaderLagTransactions == 5)
        }
    }

    @Test func `a snapshot that an idle reader keeps does not stop writers from reusing pages`() throws {
        let store = try TemporaryStore()
        let reader = try store.environment.makeReader()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [0]) }
        #expect(try reader.read { try $0.value(store.numbers, 1) } == [0])
        let before = try store.environment.statistics().usedBytes
        for round in 0..<200 as Range<UInt8> {
            _ = try store.environment.write { try $0.put(store.numbers, 1, [round]) }
            if round == 100 { #expect(try reader.read { try $0.value(store.numbers, 1) } == [100]) }
        }
        // Each commit copies a few pages; without reuse, 200 commits would need hundreds.
        #expect(try store.environment.statistics().usedBytes - before < 40 * 4_096)
    }

    @Test func `reads without a commit between them share one snapshot, also alternating on two threads`() throws {
        let store = try TemporaryStore()
        let reader = try store.environment.makeReader()
        let first = try reader.read { $0.id }
        let other = Atomic<UInt64>(0)
        let thread = Thread { other.store((try? reader.read { $0.id }) ?? 0, ordering: .relaxed) }
        thread.start()
        while !thread.isFinished { usleep(1_000) }
        #expect(other.load(ordering: .relaxed) == first)
        #expect(try reader.read { $0.id } == first)
        let commit = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        #expect(try reader.read { $0.id } == commit.transactionID)
        try store.environment.resize(mapBytes: 8 << 20)
        #expect(try reader.read { try $0.value(store.numbers, 1) } == [1])
        _ = try reader.read { $0.id }
        try store.environment.close()
        #expect(throws: LMDBError.closed) { try reader.read { $0.id } }
    }

    @Test func `a reader gives its slot back`() throws {
        let store = try TemporaryStore()
        for _ in 0..<100 { _ = try store.environment.makeReader().read { $0.id } }
        #expect(try store.environment.statistics().readersInUse == 0)
        var readers: [Reader] = []
        for _ in 0..<32 { readers.append(try store.environment.makeReader()) }
        #expect(throws: LMDBError.readersFull) { try store.environment.makeReader() }
        readers.removeLast()
        readers.append(try store.environment.makeReader())
    }

    @Test func `nested reads of one reader are an error and harm nothing`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        let reader = try store.environment.makeReader()
        try reader.read { transaction in
            #expect(throws: LMDBError.readerInUse) { try reader.read { $0.id } }
            let value = try transaction.value(store.numbers, 1)
            #expect(value == [1])
        }
        #expect(try reader.read { try $0.value(store.numbers, 1) } == [1])
    }

    @Test func `a read that throws leaves the reader usable`() throws {
        struct Stop: Error {}
        let store = try TemporaryStore()
        let reader = try store.environment.makeReader()
        for _ in 0..<3 { #expect(throws: Stop.self) { try reader.read { _ in throw Stop() } } }
        let typed: () throws(LMDBError) -> Int? = {
            try reader.read { (transaction) throws(LMDBError) in
                try transaction.get(store.numbers, key: 1) { $0.byteCount }
            }
        }
        #expect(try typed() == nil)
    }

    @Test func `readers on several threads see whole commits only, while one writes, another resizes`() throws {
        let store = try TemporaryStore()
        func write(_ round: UInt64) throws {
            let value = withUnsafeBytes(of: round) { Array($0) }
            _ = try store.environment.write { transaction in
                for key in 0..<20 as Range<UInt64> { try transaction.put(store.numbers, key, value) }
            }
        }
        try write(0)
        let (environment, numbers) = (store.environment, store.numbers)
        let done = Atomic<Bool>(false)
        let acknowledged = Atomic<UInt64>(0)
        let torn = Atomic<Int>(0)
        let stale = Atomic<Int>(0)
        let failures = Atomic<Int>(0)
        let began = DispatchSemaphore(value: 0)
        let threads = (0..<4).map { _ in
            Thread {
                let reader = try? environment.makeReader()
                began.signal()
                guard let reader else {
                    failures.add(1, ordering: .relaxed)
                    return
                }
                while !done.load(ordering: .acquiring) {
                    let floor = acknowledged.load(ordering: .acquiring)
                    do {
                        let rounds = try reader.read { transaction in
                            var rounds: Set<UInt64> = []
                            for key in 0..<20 as Range<UInt64> {
                                let round = try transaction.get(numbers, key: key) {
                                    $0.unsafeLoadUnaligned(as: UInt64.self)
                                }
                                if let round { rounds.insert(round) }
                            }
                            return rounds
                        }
                        if rounds.count != 1 { torn.add(1, ordering: .relaxed) }
                        if let round = rounds.first, round < floor { stale.add(1, ordering: .relaxed) }
                    } catch {
                        failures.add(1, ordering: .relaxed)
                    }
                }
            }
        }
        threads.forEach { $0.start() }
        for _ in threads { began.wait() }
        for round in 1...150 as ClosedRange<UInt64> {
            try write(round)
            acknowledged.store(round, ordering: .releasing)
            // Succeeds only in a gap between reads; what matters is that no read fails.
            _ = try? environment.resize(mapBytes: (64 + Int(round)) << 20)
        }
        done.store(true, ordering: .releasing)
        while threads.contains(where: { !$0.isFinished }) { usleep(1_000) }
        #expect(torn.load(ordering: .relaxed) == 0)
        #expect(stale.load(ordering: .relaxed) == 0)
        #expect(failures.load(ordering: .relaxed) == 0)
        #expect(try environment.read { try $0.count(numbers) } == 20)
    }
}
