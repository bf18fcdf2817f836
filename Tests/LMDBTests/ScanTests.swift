import LMDB
import Testing

@Suite struct ScanTests {
    /// Numbers 10, 20 … 90, and names "b", "d", "f".
    private func filled() throws -> TemporaryStore {
        let store = try TemporaryStore()
        _ = try store.environment.write { transaction in
            for key in 1...9 as ClosedRange<UInt64> { try transaction.put(store.numbers, key * 10, [UInt8(key)]) }
            for name in ["b", "d", "f"] { try transaction.put(store.names, Array(name.utf8), Array(name.utf8)) }
        }
        return store
    }

    private func keys(
        _ store: TemporaryStore, from: UInt64?, _ direction: ScanDirection = .forward, limit: Int = .max
    ) throws -> [UInt64] {
        try store.environment.read { transaction in
            var keys: [UInt64] = []
            try transaction.scan(store.numbers, from: from, direction: direction) { key, value in
                #expect(value.copied() == [UInt8(key / 10)])
                keys.append(key)
                return keys.count < limit ? .next : .stop
            }
            return keys
        }
    }

    @Test func `a forward scan begins at the key or above it`() throws {
        let store = try filled()
        #expect(try keys(store, from: nil) == [10, 20, 30, 40, 50, 60, 70, 80, 90])
        #expect(try keys(store, from: 70) == [70, 80, 90])
        #expect(try keys(store, from: 71) == [80, 90])
        #expect(try keys(store, from: 91) == [])
        #expect(try keys(store, from: nil, limit: 2) == [10, 20])
    }

    @Test func `a backward scan begins at the key or below it`() throws {
        let store = try filled()
        #expect(try keys(store, from: nil, .backward, limit: 2) == [90, 80])
        #expect(try keys(store, from: 30, .backward) == [30, 20, 10])
        #expect(try keys(store, from: 29, .backward) == [20, 10])
        #expect(try keys(store, from: .max, .backward, limit: 1) == [90])
        #expect(try keys(store, from: 9, .backward) == [])
    }

    @Test func `a scan by bytes follows their order`() throws {
        let store = try filled()
        func names(from: String?, _ direction: ScanDirection) throws -> [String] {
            try store.environment.read { transaction in
                var names: [String] = []
                let body: (RawSpan, RawSpan) throws -> ScanStep = { key, value in
                    #expect(key.copied() == value.copied())
                    names.append(String(decoding: key.copied(), as: UTF8.self))
                    return .next
                }
                if let from {
                    let bytes = Array(from.utf8)
                    try transaction.scan(store.names, from: bytes.span.bytes, direction: direction, body)
                } else {
                    try transaction.scan(store.names, from: nil, direction: direction, body)
                }
                return names
            }
        }
        #expect(try names(from: nil, .forward) == ["b", "d", "f"])
        #expect(try names(from: "c", .forward) == ["d", "f"])
        #expect(try names(from: "c", .backward) == ["b"])
        #expect(try names(from: "f", .backward) == ["f", "d", "b"])
        #expect(try names(from: "ff", .backward) == ["f", "d", "b"])
        #expect(try names(from: "a", .backward) == [])
    }

    @Test func `an empty database has no ends and nothing to scan`() throws {
        let store = try TemporaryStore()
        try store.environment.read { (transaction) throws in
            #expect(try transaction.firstKey(store.numbers) == nil)
            #expect(try transaction.lastKey(store.numbers) == nil)
        }
        #expect(try keys(store, from: nil, .backward) == [])
        #expect(try keys(store, from: 0) == [])
    }

    @Test func `a scan that throws ends and the transaction goes on`() throws {
        struct Stop: Error {}
        let store = try filled()
        try store.environment.read { transaction in
            #expect(throws: Stop.self) { try transaction.scan(store.numbers) { _, _ in throw Stop() } }
            let count = try transaction.count(store.numbers)
            #expect(count == 9)
        }
    }

    @Test(arguments: [ScanDirection.forward, .backward])
    func `a deleting scan visits every record once and deletes exactly those it is told to`(
        _ direction: ScanDirection
    ) throws {
        let store = try TemporaryStore()
        var generator = SystemRandomNumberGenerator()
        for round in 0..<30 {
            // From one page to many, deleting few, half or nearly all: pages merge under the cursor.
            let count = [5, 300, 3_000][round % 3]
            let keepOneIn = [2, 3, 50][(round / 3) % 3]
            var model: Set<UInt64> = []
            _ = try store.environment.write { transaction in
                try transaction.scanDeleting(store.numbers) { _, _ in .delete }
                #expect(try transaction.count(store.numbers) == 0)
                for _ in 0..<count {
                    let key = UInt64.random(in: 0...100_000, using: &generator)
                    model.insert(key)
                    try transaction.put(store.numbers, key, [UInt8](repeating: 1, count: 40))
                }
            }
            let doomed = model.filter { _ in Int.random(in: 0..<keepOneIn, using: &generator) != 0 }
            let start = round % 2 == 0 ? nil : UInt64.random(in: 0...100_000, using: &generator)
            var seen: [UInt64] = []
            let deleted = try store.environment.write { transaction in
                try transaction.scanDeleting(store.numbers, from: start, direction: direction) { key, _ in
                    seen.append(key)
                    return doomed.contains(key) ? .delete : .keep
                }
            }.value
            let inRange = model.filter { key in
                guard let start else { return true }
                return direction == .forward ? key >= start : key <= start
            }
            #expect(seen == (direction == .forward ? inRange.sorted() : inRange.sorted(by: >)))
            #expect(deleted == doomed.intersection(inRange).count)
            #expect(try Set(store.rows().keys) == model.subtracting(doomed.intersection(inRange)))
        }
    }

    @Test func `a deleting scan stops before or after the record it stands on`() throws {
        let store = try filled()
        let first = try store.environment.write { transaction in
            try transaction.scanDeleting(store.numbers) { key, _ in key < 30 ? .delete : .stop }
        }
        #expect(first.value == 2 && first.changed)
        let second = try store.environment.write { transaction in
            try transaction.scanDeleting(store.numbers) { key, _ in key < 40 ? .delete : .deleteAndStop }
        }
        #expect(second.value == 2)
        #expect(try keys(store, from: nil) == [50, 60, 70, 80, 90])
        let third = try store.environment.write { transaction in
            try transaction.scanDeleting(store.names, from: [UInt8(ascii: "c")].span.bytes) { _, _ in .delete }
        }
        #expect(third.value == 2)
        #expect(try store.environment.read { try $0.count(store.names) } == 1)
    }
}
