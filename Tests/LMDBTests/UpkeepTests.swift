import Foundation
@testable import LMDB
import Testing

@Suite struct UpkeepTests {
    /// Rewrites 200 rows of 1,000 bytes, a commit each time.
    private func churn(_ store: TemporaryStore, rounds: Int) throws {
        for round in 0..<rounds {
            _ = try store.environment.write { transaction in
                for key in 0..<200 as Range<UInt64> {
                    try transaction.put(
                        store.numbers, key, [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: 1_000))
                }
            }
        }
    }

    @Test func `a dead reader lets the file grow until it is removed`() throws {
        let store = try TemporaryStore()
        try churn(store, rounds: 10)
        let settled = try store.environment.statistics()

        let probe = try Probe("hold-read", store.path)
        #expect(try store.environment.statistics().readersInUse == 1)
        #expect(try store.environment.removeDeadReaders() == 0)
        probe.kill()
        try churn(store, rounds: 30)
        let pinned = try store.environment.statistics()
        #expect(pinned.readersInUse == 1)
        #expect(pinned.oldestReaderLagTransactions == 30)
        #expect(pinned.usedBytes > settled.usedBytes * 4)
        #expect(pinned.freeBytes > settled.usedBytes * 3)

        #expect(try store.environment.removeDeadReaders() == 1)
        #expect(try store.environment.removeDeadReaders() == 0)
        try churn(store, rounds: 30)
        let freed = try store.environment.statistics()
        #expect(freed.readersInUse == 0)
        #expect(freed.oldestReaderLagTransactions == 0)
        #expect(freed.usedBytes == pinned.usedBytes)
        #expect(freed.fileBytes == pinned.fileBytes)
    }

    @Test func `opening a store removes the readers of dead processes`() throws {
        let store = try TemporaryStore()
        try store.environment.close()
        // Two, so that the lock file remains when the first one ends.
        let first = try Probe("hold-read", store.path)
        let second = try Probe("hold-read", store.path)
        first.kill()
        let environment = try Environment(directory: store.path, options: Environment.Options(mapBytes: 0))
        #expect(try environment.statistics().readersInUse == 1)
        second.kill()
        #expect(try environment.removeDeadReaders() == 1)
    }

    @Test func `statistics add up`() throws {
        let store = try TemporaryStore()
        try churn(store, rounds: 5)
        let full = try store.environment.statistics()
        #expect(full.mapBytes == 64 << 20)
        #expect(full.usedBytes >= 200 * 1_000)
        #expect(full.fileBytes >= full.usedBytes)
        #expect(full.lastTransactionID == (try store.environment.lastTransactionID()))
        #expect(try store.environment.usage() == Usage(full))
        let files = try FileManager.default.attributesOfItem(atPath: store.path + "/data.mdb")
        #expect(files[.size] as? Int == full.fileBytes)
        _ = try store.environment.write { try $0.scanDeleting(store.numbers) { _, _ in .delete } }
        let empty = try store.environment.statistics()
        #expect(empty.freeBytes > full.freeBytes + 200 * 1_000)
        #expect(empty.occupiedBytes < full.occupiedBytes / 4)
    }

    @Test func `a compacted copy opens, equals the source, and is smaller`() throws {
        let store = try TemporaryStore()
        try churn(store, rounds: 20)
        _ = try store.environment.write { transaction in
            for key in 0..<100 as Range<UInt64> { try transaction.delete(store.numbers, key: key) }
            try transaction.put(store.names, [1, 2], [3])
        }
        let target = store.path + "-copy"
        defer { try? FileManager.default.removeItem(atPath: target) }
        var reports: [UInt64] = []
        try store.environment.copyCompacted(toDirectory: target) { bytes in
            reports.append(bytes)
            return true
        }
        let copy = try Environment(directory: target, options: Environment.Options(mapBytes: 0))
        #expect(try contents(copy) == contents(store.environment))
        #expect(try copy.statistics().fileBytes < store.environment.statistics().fileBytes)
        #expect(try copy.statistics().freeBytes == 0)
        #expect(reports.last == UInt64(try copy.statistics().fileBytes))
        // It is a store like any other.
        let numbers = try copy.openDatabase("numbers", keys: .integer)
        _ = try copy.write { try $0.put(numbers, 5_000, [1]) }
        #expect(throws: LMDBError.system(EEXIST)) { try store.environment.copyCompacted(toDirectory: target) }
        #expect(try contents(copy).numbers.count == 101)
        try copy.close()
    }

    @Test func `a copy of an empty store opens`() throws {
        let folder = TemporaryFolder()
        let environment = try Environment(
            directory: folder.path + "/a", options: Environment.Options(mapBytes: 1 << 20, create: true))
        try environment.copyCompacted(toDirectory: folder.path + "/b")
        let copy = try Environment(directory: folder.path + "/b", options: Environment.Options(mapBytes: 0))
        #expect(throws: LMDBError.notFound) { try copy.openDatabase("numbers", keys: .integer) }
    }

    @Test func `a stopped copy ends at once, leaves no file and holds no snapshot`() throws {
        let store = try TemporaryStore()
        try churn(store, rounds: 3)
        _ = try store.environment.write { transaction in
            for key in 1_000..<4_000 as Range<UInt64> {
                try transaction.put(store.numbers, key, [UInt8](repeating: 1, count: 4_000))
            }
        }
        let target = store.path + "-copy"
        defer { try? FileManager.default.removeItem(atPath: target) }
        var calls = 0
        #expect(throws: LMDBError.copyCancelled) {
            try store.environment.copyCompacted(toDirectory: target) { _ in
                calls += 1
                return calls < 3
            }
        }
        #expect(calls == 3)
        #expect(!Environment.exists(in: target))
        #expect(try store.environment.statistics().readersInUse == 0)
        try store.environment.close()
    }

    @Test func `a copy to a pipe that nobody reads is an error and does not end the process`() throws {
        let store = try TemporaryStore()
        try churn(store, rounds: 3)
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        close(ends[0])
        #expect(throws: LMDBError.system(EPIPE)) {
            try store.environment.copyCompacted(toFileDescriptor: ends[1])
        }
        close(ends[1])
        try store.environment.close()
    }

    @Test func `writers continue during a copy, which is one snapshot`() throws {
        let store = try TemporaryStore()
        try churn(store, rounds: 3)
        let before = try contents(store.environment)
        let target = store.path + "-copy"
        defer { try? FileManager.default.removeItem(atPath: target) }
        var wrote = false
        try store.environment.copyCompacted(toDirectory: target) { _ in
            if !wrote {
                wrote = true
                #expect(throws: LMDBError.transactionsActive) { try store.environment.close() }
                #expect(throws: Never.self) {
                    try store.environment.write { try $0.put(store.numbers, 9_999, [1]) }
                }
            }
            return true
        }
        #expect(wrote)
        let copy = try Environment(directory: target, options: Environment.Options(mapBytes: 0, readOnly: true))
        #expect(try contents(copy) == before)
        #expect(try contents(store.environment).numbers.count == before.numbers.count + 1)
    }

    @Test func `an impossible count in the file is read as a large one, and nothing overflows`() throws {
        // A number of rows, and of pages whose bytes would overflow.
        for (field, count) in [(32, UInt64(1) << 62), (16, UInt64(1) << 51), (16, UInt64.max)] {
            let store = try TemporaryStore()
            try churn(store, rounds: 1)
            try store.environment.close()
            try overwrite(store) { file in
                // The row of the table of names: the name, then LMDB's `MDB_db`, the record of this database.
                var from = file.startIndex
                while let name = file.range(of: Data("numbers".utf8), in: from..<file.endIndex) {
                    file.put(count, at: name.upperBound + field)
                    from = name.upperBound
                }
            }
            let environment = try Environment(directory: store.path, options: Environment.Options(mapBytes: 0))
            let numbers = try environment.openDatabase("numbers", keys: .integer)
            let (rows, bytes) = try environment.read { transaction in
                (try transaction.count(numbers), try transaction.occupiedBytes([numbers]))
            }
            if field == 32 {
                #expect(rows == 1 << 45)
            } else {
                #expect(rows == 200 && bytes == 4_096 << 45)
            }
            try environment.close()
        }
    }

    @Test func `a free-list entry that claims more pages than it names is damage`() throws {
        let store = try TemporaryStore()
        try churn(store, rounds: 5)
        try store.environment.close()
        try overwrite(store) { file in
            // The newer of the two meta pages names the root of the free list, which is a leaf in a small store.
            let meta = file.number(at: 144) > file.number(at: 4_096 + 144) ? 0 : 4_096
            let root = Int(file.number(at: meta + 80)) * 4_096
            let node = root + Int(UInt16(truncatingIfNeeded: file.number(at: root + 16)))
            file.put(UInt64(1) << 51, at: node + 16)
        }
        let environment = try Environment(directory: store.path, options: Environment.Options(mapBytes: 0))
        #expect(throws: LMDBError.corrupted) { try environment.statistics() }
    }

    /// Changes the data file of a closed store.
    private func overwrite(_ store: TemporaryStore, _ change: (inout Data) -> Void) throws {
        let file = URL(fileURLWithPath: store.path + "/data.mdb")
        var content = try Data(contentsOf: file)
        change(&content)
        try content.write(to: file)
    }

    private struct Contents: Equatable {
        let numbers: [UInt64: [UInt8]]
        let names: [[UInt8]: [UInt8]]
    }

    private func contents(_ environment: Environment) throws -> Contents {
        let numbers = try environment.openDatabase("numbers", keys: .integer)
        let names = try environment.openDatabase("names", keys: .bytes)
        return try environment.read { transaction in
            var rows: [[UInt8]: [UInt8]] = [:]
            try transaction.scan(names, from: nil) { key, value in
                rows[key.copied()] = value.copied()
                return .next
            }
            return Contents(numbers: try transaction.rows(numbers), names: rows)
        }
    }
}

extension Data {
    fileprivate func number(at offset: Int) -> UInt64 {
        self[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    fileprivate mutating func put(_ number: UInt64, at offset: Int) {
        for index in 0..<8 { self[offset + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index)) }
    }
}

extension Usage {
    fileprivate init(_ statistics: Statistics) {
        self.init(mapBytes: statistics.mapBytes, highestBytes: statistics.usedBytes)
    }
}
