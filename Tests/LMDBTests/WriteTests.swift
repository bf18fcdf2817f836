import CLMDB
import Foundation
import LMDB
import Testing

@Suite struct WriteTests {
    @Test func `committed values are read back, by integer and by byte keys`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { transaction in
            try transaction.put(store.numbers, .max, [9])
            try transaction.put(store.numbers, 0, [])
            try transaction.put(store.names, [0x61], [1, 2, 3])
        }
        try store.environment.read { (transaction) throws in
            #expect(try transaction.value(store.numbers, .max) == [9])
            #expect(try transaction.value(store.numbers, 0) == [])
            #expect(try transaction.value(store.numbers, 1) == nil)
            #expect(try transaction.value(store.names, [0x61]) == [1, 2, 3])
            #expect(try transaction.contains(store.numbers, key: 0))
            #expect(try !transaction.contains(store.numbers, key: 5))
            #expect(try transaction.count(store.numbers) == 2)
            #expect(try transaction.firstKey(store.numbers) == 0)
            #expect(try transaction.lastKey(store.numbers) == .max)
        }
    }

    @Test func `an aborted transaction leaves nothing behind`() throws {
        struct Stop: Error {}
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        let before = try store.environment.lastTransactionID()
        #expect(throws: Stop.self) {
            try store.environment.write { transaction in
                try transaction.put(store.numbers, 1, [2])
                try transaction.put(store.numbers, 2, [2])
                throw Stop()
            }
        }
        #expect(try store.rows() == [1: [1]])
        #expect(try store.environment.lastTransactionID() == before)
    }

    @Test func `a full map has its own error and the aborted transaction leaves nothing behind`() throws {
        let store = try TemporaryStore(mapBytes: 1 << 20)
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        let value = [UInt8](repeating: 7, count: 3_000)
        #expect(throws: LMDBError.mapFull) {
            try store.environment.write { transaction in
                for key in 2..<1_000 as Range<UInt64> { try transaction.put(store.numbers, key, value) }
            }
        }
        #expect(try store.rows() == [1: [1]])
        _ = try store.environment.write { try $0.put(store.numbers, 2, [2]) }
        #expect(try store.rows() == [1: [1], 2: [2]])
    }

    @Test func `a failed change that the closure ignores still fails the transaction`() throws {
        let store = try TemporaryStore(mapBytes: 1 << 20)
        let value = [UInt8](repeating: 7, count: 3_000)
        #expect(throws: LMDBError.mapFull) {
            try store.environment.write { transaction in
                for key in 2..<1_000 as Range<UInt64> { _ = try? transaction.put(store.numbers, key, value) }
            }
        }
        #expect(try store.rows().isEmpty)
    }

    @Test func `deletes and small writes succeed while creates stop at 80 percent`() throws {
        let store = try TemporaryStore(mapBytes: 4 << 20)
        let row = [UInt8](repeating: 7, count: 200)
        var created: UInt64 = 0
        while true {
            let statistics = try store.environment.statistics()
            if statistics.occupiedBytes * 10 >= statistics.mapBytes * 8 { break }
            _ = try store.environment.write { transaction in
                for _ in 0..<50 {
                    // Scattered like random ids.
                    try transaction.put(store.numbers, created &* 0x9E37_79B9_7F4A_7C15, row)
                    created += 1
                }
            }
        }
        #expect(created > 5_000)
        // A revocation rewrites a row that exists; one commit each is the worst case for pages.
        for index in 0..<200 as Range<UInt64> {
            _ = try store.environment.write { transaction in
                try transaction.put(store.numbers, index &* 0x9E37_79B9_7F4A_7C15, [UInt8](repeating: 8, count: 200))
            }
        }
        for batch in 0..<(created / 50) {
            _ = try store.environment.write { transaction in
                for index in (batch * 50)..<(batch * 50 + 50) {
                    let deleted = try transaction.delete(store.numbers, key: index &* 0x9E37_79B9_7F4A_7C15)
                    #expect(deleted)
                }
            }
        }
        #expect(try store.rows().isEmpty)
    }

    @Test func `empty and overlong keys have their own errors and the rest of the transaction commits`() throws {
        let store = try TemporaryStore()
        let longest = [UInt8](repeating: 1, count: 511)
        _ = try store.environment.write { transaction in
            #expect(throws: LMDBError.emptyKey) { try transaction.put(store.names, [], [1]) }
            for bytes in [512, 513, 70_000] {
                let key = [UInt8](repeating: 1, count: bytes)
                #expect(throws: LMDBError.keyTooLong(bytes: bytes)) { try transaction.put(store.names, key, [1]) }
                #expect(throws: LMDBError.keyTooLong(bytes: bytes)) {
                    try transaction.delete(store.names, key: key.span.bytes)
                }
                #expect(throws: LMDBError.keyTooLong(bytes: bytes)) { try transaction.value(store.names, key) }
                #expect(throws: LMDBError.keyTooLong(bytes: bytes)) {
                    try transaction.scan(store.names, from: key.span.bytes) { _, _ in .next }
                }
            }
            #expect(throws: LMDBError.emptyKey) { try transaction.value(store.names, [UInt8]()) }
            try transaction.put(store.names, longest, [1])
            try transaction.put(store.names, [0], [2])
        }
        #expect(try store.environment.read { try $0.value(store.names, longest) } == [1])
        #expect(try store.environment.read { try $0.count(store.names) } == 2)
    }

    @Test func `a put without overwrite reports that the key exists and changes nothing`() throws {
        let store = try TemporaryStore()
        #expect(try store.environment.write { try $0.put(store.numbers, 1, [1], overwrite: false) }.value)
        let commit = try store.environment.write { try $0.put(store.numbers, 1, [2], overwrite: false) }
        #expect(!commit.value)
        #expect(!commit.changed)
        #expect(try store.rows() == [1: [1]])
    }

    @Test func `appending out of order is refused`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { transaction in
            try transaction.put(store.numbers, 5, [5], append: true)
            #expect(throws: LMDBError.keyExists) { try transaction.put(store.numbers, 5, [6], append: true) }
            #expect(throws: LMDBError.keyExists) { try transaction.put(store.numbers, 4, [4], append: true) }
            try transaction.put(store.numbers, 6, [6], append: true)
        }
        #expect(try store.rows() == [5: [5], 6: [6]])
    }

    @Test func `a commit without changes keeps the transaction id`() throws {
        let store = try TemporaryStore()
        let first = try store.environment.write { transaction in
            try transaction.put(store.numbers, 1, [1])
            return transaction.id
        }
        #expect(first.changed)
        #expect(first.transactionID == first.value)
        #expect(try store.environment.lastTransactionID() == first.transactionID)
        let idle: [@Sendable (borrowing WriteTransaction, TemporaryStore) throws -> Void] = [
            { _, _ in },
            { transaction, store in _ = try transaction.value(store.numbers, 1) },
            { (transaction, store) throws in #expect(try !transaction.delete(store.numbers, key: 2)) },
            { (transaction, store) throws in #expect(try !transaction.put(store.numbers, 1, [3], overwrite: false)) },
            { transaction, store in
                #expect(throws: LMDBError.keyExists) { try transaction.put(store.numbers, 1, [3], append: true) }
            },
            { transaction, store in try transaction.scanDeleting(store.numbers) { _, _ in .keep } },
            { transaction, store in
                _ = try store.environment.openDatabase("numbers", keys: .integer, in: transaction, create: true)
            },
        ]
        for body in idle {
            let commit = try store.environment.write { try body($0, store) }
            #expect(!commit.changed)
            #expect(commit.transactionID == first.transactionID)
            #expect(try store.environment.lastTransactionID() == first.transactionID)
            #expect(try store.environment.read { $0.id } == first.transactionID)
        }
        // A change is what makes LMDB write a new meta page.
        let changes: [@Sendable (borrowing WriteTransaction, TemporaryStore) throws -> Void] = [
            { transaction, store in try transaction.put(store.numbers, 1, [1]) },
            { transaction, store in try transaction.delete(store.numbers, key: 1) },
            { transaction, store in
                _ = try store.environment.openDatabase("new", keys: .bytes, in: transaction, create: true)
            },
        ]
        var expected = first.transactionID
        for body in changes {
            let commit = try store.environment.write { try body($0, store) }
            expected += 1
            #expect(commit.changed)
            #expect(commit.transactionID == expected)
            #expect(try store.environment.lastTransactionID() == expected)
        }
    }

    @Test func `a write inside a write on one thread is an error, not a deadlock`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { _ in
            #expect(throws: LMDBError.transactionNested) { try store.environment.write { $0.id } }
            #expect(throws: LMDBError.transactionNested) { try store.environment.openDatabase("names", keys: .bytes) }
        }
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
    }

    @Test func `changes are refused while bytes of the transaction are lent to a closure`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        _ = try store.environment.write { transaction in
            let seen = try transaction.get(store.numbers, key: 1) { value in
                #expect(throws: LMDBError.viewOpen) { try transaction.put(store.numbers, 1, [2]) }
                #expect(throws: LMDBError.viewOpen) { try transaction.delete(store.numbers, key: 1) }
                #expect(throws: LMDBError.viewOpen) {
                    try store.environment.openDatabase("x", keys: .bytes, in: transaction, create: true)
                }
                return value.copied()
            }
            #expect(seen == [1])
            try transaction.scan(store.numbers) { _, _ in
                #expect(throws: LMDBError.viewOpen) { try transaction.put(store.numbers, 3, [3]) }
                #expect(throws: LMDBError.viewOpen) {
                    try transaction.scanDeleting(store.numbers) { _, _ in .delete }
                }
                return .next
            }
            struct Stop: Error {}
            #expect(throws: Stop.self) { try transaction.get(store.numbers, key: 1) { _ in throw Stop() } }
            // The view ends with the closure, however that ends.
            try transaction.put(store.numbers, 2, [2])
        }
        #expect(try store.rows() == [1: [1], 2: [2]])
    }

    @Test func `a database of another key shape or another environment is refused`() throws {
        let store = try TemporaryStore()
        let other = try TemporaryStore()
        _ = try store.environment.write { transaction in
            #expect(throws: LMDBError.incompatible) {
                try store.environment.openDatabase("numbers", keys: .bytes, in: transaction, create: true)
            }
            #expect(throws: LMDBError.incompatible) { try transaction.put(store.names, 1, [1]) }
            #expect(throws: LMDBError.incompatible) { try transaction.put(store.numbers, [1], [1]) }
            #expect(throws: LMDBError.badDatabase) { try transaction.put(other.numbers, 1, [1]) }
            #expect(throws: LMDBError.badDatabase) { try transaction.value(other.numbers, 1) }
            #expect(throws: LMDBError.badDatabase) { try transaction.count(other.numbers) }
            #expect(throws: LMDBError.badTransaction) {
                try other.environment.openDatabase("numbers", keys: .integer, in: transaction, create: false)
            }
            #expect(throws: LMDBError.notFound) {
                try store.environment.openDatabase("none", keys: .bytes, in: transaction, create: false)
            }
            #expect(throws: LMDBError.badValueSize) {
                try store.environment.openDatabase("", keys: .bytes, in: transaction, create: true)
            }
            #expect(throws: LMDBError.badValueSize) {
                try store.environment.openDatabase("a\0b", keys: .bytes, in: transaction, create: true)
            }
        }
    }

    @Test func `large values are read back whole`() throws {
        let store = try TemporaryStore()
        let value = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        _ = try store.environment.write { try $0.put(store.numbers, 1, value) }
        #expect(try store.rows()[1] == value)
    }

    @Test func `a writer that died with the lock blocks nobody, and its changes are gone`() throws {
        let store = try TemporaryStore()
        let probe = try Probe("hold-write", store.path)
        probe.kill()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        #expect(try store.rows() == [1: [1]])
        #expect(throws: LMDBError.notFound) { try store.environment.openDatabase("probe", keys: .integer) }
    }

    @Test func `a commit that fails before its meta page changes nothing, and the environment stays usable`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        // It reports that it is ready once it has caught exactly that failure and committed another row.
        let probe = try Probe("fail-commit", store.path)
        probe.kill()
        let rows = try store.rows()
        #expect(rows[1] == [1] && rows[2] == nil && rows[3]?.count == 1 << 20)
    }
}
