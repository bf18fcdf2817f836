import Foundation
import LMDB
import Synchronization
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `A commit that the disk refuses` {
    /// In separate processes, because file size limit and descriptors belong to the whole process.
    @Test(arguments: [true, false])
    func `changes nothing: reads continue, the batch fails, and the next one may succeed`(isLogged: Bool) async {
        await #expect(processExitsWith: .success) { [isLogged] in
            signal(SIGXFSZ, SIG_IGN)
            let told = Mutex<[StoreFailure]>([])
            let options = StoreOptions(mapBytes: 64 << 20, cacheBytes: 1 << 20, readersMax: 8) { failure in
                told.withLock { $0.append(failure) }
            }
            let fixture = try Fixture(options: options, isLogged: isLogged)
            let (id, secret) = try await fixture.plant()
            let size = try FileManager.default.attributesOfItem(atPath: fixture.directory + "/data.mdb")[.size] as? Int
            setrlimit(__rlimit_resource_t(1), [rlimit(rlim_cur: rlim_t(size ?? 0), rlim_max: rlim_t.max)])
            let outcomes = await withTaskGroup(of: StoreFailure?.self) { group in
                for number in 0..<2_000 {
                    group.addTask {
                        do {
                            _ = try await fixture.store.write(creates: false) { writer, transaction in
                                try writer.raiseWatermark(
                                    of: .owner(Array("owner \(number)".utf8)), issuedBefore: nil, in: transaction)
                            }
                            return nil
                        } catch {
                            return error as? StoreFailure
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            // Small commits fit into free pages; at some point one does not.
            let refused = outcomes.filter { if case .writeFailed = $0 { true } else { false } }.count
            guard refused > 0, outcomes.filter({ $0 == nil }).count + refused == 2_000 else { exit(3) }
            guard !fixture.store.hasFailed, told.withLock({ $0.isEmpty }) else { exit(4) }
            guard fixture.store.commits.failedWrites > 0 else { exit(5) }
            do {
                // More than the free pages of the file can hold.
                _ = try await fixture.plant(count: 2_000) { "owner \($0)" }
                exit(6)
            } catch StoreFailure.writeFailed, StoreFailure.diskFull {
            }
            guard try fixture.verdict(secret).isActive else { exit(7) }
            setrlimit(__rlimit_resource_t(1), [rlimit(rlim_cur: rlim_t.max, rlim_max: rlim_t.max)])
            try await fixture.plant()
            _ = try await fixture.issuer.revoke([id], chain: false)
            guard try fixture.verdict(secret).reason == .revoked else { exit(8) }
            let again = try fixture.reopened()
            let watermarks = try again.statistic("watermarks") ?? 0
            guard Int(watermarks) == 2_000 - refused, try again.check().isEmpty else { exit(9) }
        }
    }

    @Test func `has an unknown outcome if its meta page could not be written, and ends all writing`() async {
        await #expect(processExitsWith: .success) {
            let told = Mutex<[StoreFailure]>([])
            let options = StoreOptions(mapBytes: 64 << 20, cacheBytes: 1 << 20, readersMax: 8) { failure in
                told.withLock { $0.append(failure) }
            }
            let fixture = try Fixture(options: options)
            let (id, _) = try await fixture.plant()
            // LMDB writes meta pages through a separate descriptor, which is opened with O_DSYNC.
            var store = stat()
            guard stat(fixture.directory + "/data.mdb", &store) == 0 else { exit(2) }
            for number in Int32(3)..<1_024 {
                var info = stat()
                guard fstat(number, &info) == 0, info.st_ino == store.st_ino else { continue }
                if fcntl(number, F_GETFL) & O_DSYNC != 0 { dup2(open("/dev/null", O_RDONLY), number) }
            }
            do {
                _ = try await fixture.plant()
                exit(3)
            } catch StoreFailure.outcomeUnknown {
            }
            guard fixture.store.hasFailed, told.withLock({ $0.count }) == 1 else { exit(4) }
            // No later write may be acknowledged.
            do {
                try await fixture.plant()
                exit(5)
            } catch StoreFailure.closed {
            }
            let again = try fixture.reopened()
            guard try again.row(id) != nil, try again.check().isEmpty else { exit(7) }
        }
    }
}

@Suite struct `A store whose folder is moved away` {
    @Test func `acknowledges nothing more and reports a fatal failure once`() async throws {
        let told = Mutex<[StoreFailure]>([])
        let options = StoreOptions(mapBytes: 64 << 20, cacheBytes: 1 << 20, readersMax: 8) { failure in
            told.withLock { $0.append(failure) }
        }
        let fixture = try Fixture(options: options)
        // The log has what the file that was moved away has.
        fixture.store.noteTampering()
        try await fixture.plant()
        fixture.store.requireInPlace()
        #expect(!fixture.store.hasFailed)
        try FileManager.default.moveItem(atPath: fixture.directory, toPath: fixture.directory + ".aside")
        // Another store in its place counts as displaced, too.
        try FileManager.default.copyItem(atPath: fixture.directory + ".aside", toPath: fixture.directory)
        await #expect(throws: StoreFailure.displaced(directory: fixture.directory)) { try await fixture.plant() }
        fixture.store.requireInPlace()
        #expect(fixture.store.hasFailed)
        #expect(told.withLock { $0 } == [.displaced(directory: fixture.directory)])
        await #expect(throws: StoreFailure.closed) { try await fixture.plant() }
    }

    @Test func `is noticed without a write, too`() async throws {
        let fixture = try Fixture()
        try FileManager.default.removeItem(atPath: fixture.directory + "/data.mdb")
        fixture.store.requireInPlace()
        #expect(fixture.store.hasFailed)
    }
}
