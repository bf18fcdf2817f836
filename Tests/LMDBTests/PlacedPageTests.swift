import Foundation
import Testing

@testable import LMDB

/// The file keeps earlier states of rows, on pages that nothing leads to. In a newer page's place such a page would make
/// a revoked credential valid again.
@Suite struct PlacedPageTests {
    private static let rows: UInt64 = 600
    private static let old = [UInt8](repeating: 1, count: 150)
    private static let new = [UInt8](repeating: 2, count: 150)

    /// A store whose rows were all changed after they had been written, in several commits.
    private func changedStore() throws -> TemporaryFolder {
        let store = try TemporaryStore()
        _ = try store.environment.write { transaction in
            for key in 0..<Self.rows { try transaction.put(store.numbers, key, Self.old) }
        }
        for first in stride(from: 0, to: Self.rows, by: 100) {
            _ = try store.environment.write { transaction in
                for key in first..<first + 100 { try transaction.put(store.numbers, key, Self.new) }
            }
        }
        try store.environment.close()
        return store.folder
    }

    @Test func `a page in another page's place never answers with an earlier state`() throws {
        let folder = try changedStore()
        let file = URL(fileURLWithPath: folder.path + "/data.mdb")
        let content = try Data(contentsOf: file)
        let pageBytes = 4_096
        func kind(_ page: Int) -> UInt8 { content[page * pageBytes + 10] & 0x0F }
        var refused = 0
        var unread = 0
        for place in 2..<content.count / pageBytes {
            for other in 2..<content.count / pageBytes where other != place && kind(other) == kind(place) {
                var copy = content
                copy.replaceSubrange(
                    place * pageBytes..<(place + 1) * pageBytes,
                    with: content[other * pageBytes..<(other + 1) * pageBytes])
                try copy.write(to: file)
                do throws(LMDBError) {
                    unread += try Self.unreadRows(folder.path)
                } catch {
                    #expect(error == .misplacedPage || error == .corrupted)
                    refused += 1
                }
            }
        }
        // Branches are found at the opening, leaves when their rows are read.
        #expect(refused > 0)
        #expect(unread > 0)
    }

    /// The rows that cannot be read.
    private static func unreadRows(_ path: String) throws(LMDBError) -> Int {
        let environment = try Environment(directory: path, options: Environment.Options(mapBytes: 0, readOnly: true))
        let numbers = try environment.openDatabase("numbers", keys: .integer)
        let reader = try environment.makeReader()
        var unread = 0
        for key in 0..<rows {
            do throws(LMDBError) {
                let isNew = try reader.read { transaction throws(LMDBError) in
                    try transaction.get(numbers, key: key) { $0.copied() == new }
                }
                #expect(isNew != false)
            } catch {
                #expect(error == .misplacedPage || error == .corrupted || error == .cursorFull)
                unread += 1
            }
        }
        try environment.close()
        return unread
    }

    @Test func `rows are checked in a new store too, and after a resize`() throws {
        let store = try TemporaryStore()
        #expect(store.environment.pages.value.start != 0)
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        try store.environment.resize(mapBytes: 128 << 20)
        #expect(try store.rows() == [1: [1]])
        #expect(store.environment.pages.value.bytes == 128 << 20)
    }
}
