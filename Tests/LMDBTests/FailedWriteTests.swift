import Foundation
import LMDB
import Testing

@Suite struct `A commit that the disk refuses` {
    /// In separate processes, because file size limit and descriptors belong to the whole process.
    @Test func `leaves nothing, and the next one may succeed`() async {
        await #expect(processExitsWith: .success) { try RefusedCommits.byTheLimitOnFiles() }
    }

    @Test func `with its meta page unwritten has an unknown outcome, and ends all transactions`() async {
        await #expect(processExitsWith: .success) { try RefusedCommits.inTheMetaPage() }
    }

    @Test func `allocates blocks in advance without making the file longer`() throws {
        let store = try TemporaryStore()
        func information() throws -> stat {
            var info = stat()
            #expect(stat(store.path + "/data.mdb", &info) == 0)
            return info
        }
        let before = try information()
        try store.environment.allocate(bytes: 4 << 20)
        let after = try information()
        #expect(after.st_size == before.st_size)
        #expect(after.st_blocks * 512 >= 4 << 20)
        #expect(try store.environment.diskSpace().availableBytes > 0)
        #expect(throws: LMDBError.self) { try store.environment.allocate(bytes: 1 << 60) }
    }
}

/// The code that runs in the processes. Each step that fails ends them with a different exit code.
private enum RefusedCommits {
    static func byTheLimitOnFiles() throws {
        signal(SIGXFSZ, SIG_IGN)
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        let id = try store.environment.lastTransactionID()
        let size = try FileManager.default.attributesOfItem(atPath: store.path + "/data.mdb")[.size] as? Int ?? 0
        setrlimit(__rlimit_resource_t(1), [rlimit(rlim_cur: rlim_t(size), rlim_max: rlim_t.max)])
        for _ in 0..<3 {
            do {
                _ = try store.environment.write { transaction in
                    for key in UInt64(2)..<5_000 {
                        try transaction.put(store.numbers, key, [UInt8](repeating: 7, count: 100))
                    }
                }
                exit(2)
            } catch is CommitFailure {
                exit(3)
            } catch let error as LMDBError {
                guard error.isRefusedWrite else { exit(4) }
            }
            guard try store.rows() == [1: [1]], try store.environment.lastTransactionID() == id else { exit(5) }
        }
        setrlimit(__rlimit_resource_t(1), [rlimit(rlim_cur: rlim_t.max, rlim_max: rlim_t.max)])
        _ = try store.environment.write { try $0.put(store.numbers, 2, [2]) }
        guard try store.rows() == [1: [1], 2: [2]] else { exit(6) }
    }

    static func inTheMetaPage() throws {
        let store = try TemporaryStore()
        _ = try store.environment.write { try $0.put(store.numbers, 1, [1]) }
        guard makeMetaPagesUnwritable(in: store.path) else { exit(2) }
        do {
            _ = try store.environment.write { try $0.put(store.numbers, 2, [2]) }
            exit(3)
        } catch is CommitFailure {
        }
        do {
            _ = try store.environment.write { try $0.put(store.numbers, 3, [3]) }
            exit(4)
        } catch LMDBError.panic {
        }
    }

    /// LMDB writes meta pages through a separate descriptor, which is opened with O_DSYNC. Replaces it by one that
    /// rejects writes.
    private static func makeMetaPagesUnwritable(in folder: String) -> Bool {
        var file = stat()
        guard stat(folder + "/data.mdb", &file) == 0 else { return false }
        let nothing = open("/dev/null", O_RDONLY)
        for number in Int32(3)..<1_024 {
            var info = stat()
            guard fstat(number, &info) == 0, info.st_ino == file.st_ino, info.st_dev == file.st_dev else { continue }
            if fcntl(number, F_GETFL) & O_DSYNC != 0 { return dup2(nothing, number) == number }
        }
        return false
    }
}
