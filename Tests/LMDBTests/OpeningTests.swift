import CLMDB
import Foundation
import Testing

@testable import LMDB

@Suite struct OpeningTests {
    @Test func `a store is created only when asked to`() throws {
        let folder = TemporaryFolder()
        #expect(throws: LMDBError.storeAbsent) {
            try Environment(directory: folder.path, options: Environment.Options(mapBytes: 1 << 20))
        }
        #expect(throws: LMDBError.storeAbsent) {
            try Environment(directory: folder.path + "/none", options: Environment.Options(mapBytes: 1 << 20))
        }
        #expect(throws: LMDBError.storeAbsent) {
            try Environment(
                directory: folder.path, options: Environment.Options(mapBytes: 1 << 20, readOnly: true, create: true))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
        #expect(!Environment.exists(in: folder.path))
    }

    @Test func `a new store's folder and files are for the owner alone`() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/store"
        let environment = try Environment(
            directory: path, options: Environment.Options(mapBytes: 1 << 20, create: true))
        #expect(try mode(path) == 0o700)
        #expect(try mode(path + "/data.mdb") == 0o600)
        #expect(try mode(path + "/lock.mdb") == 0o600)
        #expect(Environment.exists(in: path))
        try environment.close()
    }

    @Test func `a second open in this process is refused, by whatever path`() throws {
        let store = try TemporaryStore()
        let link = store.path + "-link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: store.path)
        defer { try? FileManager.default.removeItem(atPath: link) }
        for path in [store.path, store.path + "/", link] {
            #expect(throws: LMDBError.alreadyOpen) {
                try Environment(directory: path, options: Environment.Options(mapBytes: 0))
            }
        }
        try store.environment.close()
        let again = try Environment(directory: link, options: Environment.Options(mapBytes: 0))
        try again.close()
    }

    @Test func `a store that was released can be opened again`() throws {
        let folder = TemporaryFolder()
        func open() throws -> Environment {
            try Environment(directory: folder.path, options: Environment.Options(mapBytes: 1 << 20, create: true))
        }
        var environment: Environment? = try open()
        #expect(throws: LMDBError.alreadyOpen) { try open() }
        withExtendedLifetime(environment) {}
        environment = nil
        #expect(throws: Never.self) { try open() }
    }

    @Test func `a failed open leaves no trace in the table of open stores`() throws {
        let folder = TemporaryFolder()
        try Data(repeating: 7, count: 8_192).write(to: URL(fileURLWithPath: folder.path + "/data.mdb"))
        for _ in 0..<2 {
            #expect(throws: LMDBError.notAStore) {
                try Environment(directory: folder.path, options: Environment.Options(mapBytes: 1 << 20))
            }
        }
    }

    @Test func `network and FUSE file systems are recognised by their magic numbers`() throws {
        for magic: UInt32 in [0x6969, 0xFF53_4D42, 0xFE53_4D42, 0x6573_5546, 0x0102_1997, 0x00C3_6400] {
            #expect(FileSystemKind.isRemote(magic: magic))
        }
        // ext, xfs, btrfs, tmpfs, overlay, zfs
        for magic: UInt32 in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1] {
            #expect(!FileSystemKind.isRemote(magic: magic))
        }
        try FileSystemKind.requireLocal(NSTemporaryDirectory())
    }

    @Test func `a closed store answers with its own error and frees its readers`() throws {
        let store = try TemporaryStore()
        let reader = try store.environment.makeReader()
        try store.environment.close()
        try store.environment.close()
        #expect(throws: LMDBError.closed) { try reader.read { $0.id } }
        #expect(throws: LMDBError.closed) { try store.environment.read { $0.id } }
        #expect(throws: LMDBError.closed) { try store.environment.write { $0.id } }
        #expect(throws: LMDBError.closed) { try store.environment.makeReader() }
        #expect(throws: LMDBError.closed) { try store.environment.statistics() }
        #expect(throws: LMDBError.closed) { try store.environment.usage() }
        #expect(throws: LMDBError.closed) { try store.environment.resize(mapBytes: 1 << 20) }
    }

    @Test func `closing and resizing wait for nothing and refuse while transactions run`() throws {
        let store = try TemporaryStore()
        let reader = try store.environment.makeReader()
        let idle = try store.environment.makeReader()
        func expectRefusal() {
            #expect(throws: LMDBError.transactionsActive) { try store.environment.close() }
            #expect(throws: LMDBError.transactionsActive) { try store.environment.resize(mapBytes: 128 << 20) }
        }
        try reader.read { _ in expectRefusal() }
        try store.environment.read { _ in expectRefusal() }
        _ = try store.environment.write { _ in expectRefusal() }
        _ = try idle.read { $0.id }
        try store.environment.resize(mapBytes: 128 << 20)
        _ = try reader.read { $0.id }
        #expect(try store.environment.usage().mapBytes == 128 << 20)
    }

    @Test func `a full map accepts more after a resize, and keeps the new size`() throws {
        let store = try TemporaryStore(mapBytes: 1 << 20)
        let value = [UInt8](repeating: 1, count: 2_000)
        #expect(throws: LMDBError.mapFull) {
            try store.environment.write { for key in 0..<1_000 { try $0.put(store.numbers, UInt64(key), value) } }
        }
        try store.environment.resize(mapBytes: 8 << 20)
        _ = try store.environment.write { for key in 0..<1_000 { try $0.put(store.numbers, UInt64(key), value) } }
        try store.environment.close()
        let again = try Environment(directory: store.path, options: Environment.Options(mapBytes: 0, readOnly: true))
        #expect(try again.usage().mapBytes == 8 << 20)
        let numbers = try again.openDatabase("numbers", keys: .integer)
        #expect(try again.read { try $0.count(numbers) } == 1_000)
    }

    @Test func `a store opened for reading reads and does not write`() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 7, [1, 2]) }
        try store.environment.close()
        let reading = try Environment(
            directory: store.path, options: Environment.Options(mapBytes: 0, readOnly: true))
        let numbers = try reading.openDatabase("numbers", keys: .integer)
        let names = try reading.openDatabase("names", keys: .bytes)
        #expect(try reading.read { try $0.value(numbers, 7) } == [1, 2])
        #expect(try reading.makeReader().read { try $0.count(names) } == 0)
        #expect(throws: LMDBError.notFound) { try reading.openDatabase("none", keys: .bytes) }
        #expect(throws: LMDBError.readOnly) { try reading.write { $0.id } }
    }

    @Test func `the key limit is that of this build of LMDB`() throws {
        var handle: OpaquePointer?
        #expect(mdb_env_create(&handle) == 0)
        #expect(Int(mdb_env_get_maxkeysize(handle)) == Environment.keyBytesMax)
        mdb_env_close(handle)
    }

    @Test func `every code of LMDB has an error, and every message says what to do`() {
        let codes = Array(MDB_KEYEXIST...MDB_LAST_ERRCODE) + [ENOSPC, EDQUOT, EIO, EACCES, EPERM]
        // MDB_TLS_FULL cannot come with MDB_NOTLS.
        for code in codes where code != MDB_TLS_FULL {
            #expect(LMDBError(code: code) != .system(code))
            #expect(LMDBError(code: code).description.count > 10)
        }
        #expect(LMDBError(code: EINVAL) == .system(EINVAL))
        #expect(LMDBError.mapFull.description.contains("store.map-bytes"))
    }

    private func mode(_ path: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int ?? -1
    }

    @Test func `a truncated data file is refused before a page of it is read`() throws {
        let folder = TemporaryFolder()
        let options = Environment.Options(mapBytes: 64 << 20, create: true)
        func fill() throws {
            let environment = try Environment(directory: folder.path, options: options)
            _ = try environment.write { transaction in
                let numbers = try environment.openDatabase("numbers", keys: .integer, in: transaction, create: true)
                for key in UInt64(0)..<2_000 {
                    try transaction.put(numbers, key, [UInt8](repeating: UInt8(truncatingIfNeeded: key), count: 200))
                }
            }
            try environment.close()
        }
        try fill()
        let path = folder.path + "/data.mdb"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for bytes in [whole.count - 1, whole.count - 4_096, whole.count / 2, 3 * 4_096, 2 * 4_096] {
            try whole.prefix(bytes).write(to: URL(fileURLWithPath: path))
            #expect(throws: LMDBError.truncated(path: path, bytes: bytes, neededBytes: whole.count)) {
                try Environment(directory: folder.path, options: options)
            }
        }
        try whole.write(to: URL(fileURLWithPath: path))
        try Environment(directory: folder.path, options: options).close()
    }

    @Test func `a data file without its last page is complete if that page is free`() throws {
        let folder = TemporaryFolder()
        let options = Environment.Options(mapBytes: 64 << 20, create: true)
        let environment = try Environment(directory: folder.path, options: options)
        let numbers = try environment.write { transaction in
            let numbers = try environment.openDatabase("numbers", keys: .integer, in: transaction, create: true)
            for key in UInt64(0)..<2_000 { try transaction.put(numbers, key, [UInt8](repeating: 1, count: 200)) }
            return numbers
        }.value
        // All but the first rows are deleted; later commits use the lowest free pages, so the last ones stay free.
        _ = try environment.write { transaction in
            for key in UInt64(10)..<2_000 { try transaction.delete(numbers, key: key) }
        }
        for round in 0..<10 {
            _ = try environment.write { try $0.put(numbers, 5, [UInt8(round)]) }
        }
        try environment.close()
        let path = folder.path + "/data.mdb"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        try whole.prefix(whole.count - 4_096).write(to: URL(fileURLWithPath: path))
        let again = try Environment(directory: folder.path, options: options)
        let rows = try again.write { transaction in
            let numbers = try again.openDatabase("numbers", keys: .integer, in: transaction, create: false)
            return try transaction.rows(numbers)
        }.value
        #expect(rows.count == 10 && rows[5] == [9])
    }

    @Test func `a free list at an impossible offset does not excuse a truncated data file`() throws {
        // With this page size the content of the page with the highest possible number would begin beyond the largest
        // integer.
        let pageBytes = 3_577
        #expect(Int.max % pageBytes == 0)
        var file = [UInt8](repeating: 0, count: 3 * pageBytes)
        func put(_ number: UInt64, _ bytes: Int, at offset: Int) {
            for index in 0..<bytes { file[offset + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index)) }
        }
        // Two meta pages: their flag, the magic number, page size, root of the free list and last page.
        for meta in [0, pageBytes] {
            put(0x08, 2, at: meta + 10)
            put(0xBEEF_C0DE, 4, at: meta + 16)
            put(UInt64(pageBytes), 4, at: meta + 40)
            put(2, 8, at: meta + 80)
            put(3, 8, at: meta + 136)
        }
        // A leaf with one node, whose value of 16 bytes is on another page.
        let leaf = 2 * pageBytes
        put(0x02, 2, at: leaf + 10)
        put(18, 2, at: leaf + 12)
        put(100, 2, at: leaf + 16)
        put(16, 2, at: leaf + 100)
        put(0x01, 2, at: leaf + 104)
        put(8, 2, at: leaf + 106)
        put(UInt64(Int.max / pageBytes), 8, at: leaf + 116)
        let folder = TemporaryFolder()
        let path = folder.path + "/data.mdb"
        try Data(file).write(to: URL(fileURLWithPath: path))
        #expect(throws: LMDBError.truncated(path: path, bytes: file.count, neededBytes: 4 * pageBytes)) {
            try FileLength.require(path)
        }
    }
}
