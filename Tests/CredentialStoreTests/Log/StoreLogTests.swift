import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import LMDB
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `The log of a store` {
    /// What opening the closed store of a fixture throws.
    private func refusal(_ fixture: Fixture, _ change: (inout StoreOptions) -> Void = { _ in }) throws -> StoreFailure?
    {
        var options = fixture.options
        change(&options)
        do throws(StoreFailure) {
            close(
                try CredentialStore.open(in: fixture.directory, peppers: try peppersOrFail(fixture), options: options))
            return nil
        } catch {
            return error
        }
    }

    private func peppersOrFail(_ fixture: Fixture) throws(StoreFailure) -> PepperFile {
        try PepperFile.read(path: fixture.pepperPath)
    }

    @Test func `gives the store back what it lacks, when it is opened`() async throws {
        let fixture = try Fixture()
        let (key, revoked) = (try await fixture.key(), try await fixture.key())
        _ = try await fixture.issuer.revoke([revoked.summary.id], chain: false)
        let contents = try StoreContents(fixture.store)
        fixture.close()
        try fixture.putBackCopy()
        let again = try fixture.reopened()
        #expect(again.store.log?.entriesTakenAtOpening == 3 && again.store.log?.isNew == false)
        #expect(try StoreContents(again.store).differences(from: contents).isEmpty)
        #expect(try again.verdict(key.secret).isActive)
        #expect(try again.verdict(revoked.secret).reason == .revoked)
        #expect(try again.check().isEmpty)
        // And it goes on from there.
        _ = try await again.key()
        #expect(again.store.log?.entries == 1)
    }

    @Test func `may end in the middle of an entry, which counts as not written`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.key()
        let file = try #require(fixture.logFiles().last)
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        let key = try await fixture.key()
        let both = try Data(contentsOf: URL(fileURLWithPath: file))
        fixture.close()
        // Nobody was told of the second key: the store lacks it, and so does the log.
        try fixture.putBackCopy()
        for length in [whole.count + 1, whole.count + 100, both.count - 1] {
            try both.prefix(length).write(to: URL(fileURLWithPath: file))
            let again = try fixture.reopened()
            #expect(try again.row(key.summary.id) == nil)
            #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == whole)
            again.close()
        }
        let again = try fixture.reopened()
        _ = try await again.key()
        #expect(try again.reopened().check().isEmpty)
    }

    @Test func `is refused if an entry is damaged or missing, or is another one than the store has`() async throws {
        let fixture = try Fixture()
        for _ in 0..<3 { _ = try await fixture.key() }
        let file = try #require(fixture.logFiles().last)
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        fixture.close()
        fixture.store.noteTampering()
        func put(_ change: (inout Data) -> Void) throws -> StoreFailure? {
            var data = whole
            change(&data)
            try data.write(to: URL(fileURLWithPath: file))
            return try refusal(fixture)
        }
        // The length of the second entry says that the file ends in it, but the third one follows.
        let first = try #require(LogEntry.byteCount(header: Array(whole.prefix(LogEntry.headerBytes))))
        #expect(try put { $0[first + 102] = 1 } == .log(.damaged(file: file)))
        #expect(try put { $0[first] = 0 } == .log(.damaged(file: file)))
        // Entries before the store's position are not read, those at it are compared.
        #expect(try put { $0[$0.count - 1] ^= 1 } == .log(.otherBranch(number: 5)))
        #expect(try put { $0 = $0.prefix(first) } == .log(.missing(number: 2, folder: fixture.logged.log)))
        #expect(try put { $0 = Data() } == .log(.missing(number: 1, folder: fixture.logged.log)))
        try fixture.putBackCopy()
        #expect(try put { $0[first + 120] ^= 1 } == .log(.otherBranch(number: 2)))
        #expect(try put { $0[$0.count - 1] ^= 1 } == .log(.notGenuine(number: 5)))
        try FileManager.default.removeItem(atPath: file)
        #expect(try refusal(fixture) == .log(.missing(number: 4, folder: fixture.logged.log)))
    }

    @Test func `consists of files, of which old ones are removed, but never the one that is written to`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.key()
        let file = try #require(fixture.logFiles().last)
        fixture.close()
        let again = try fixture.reopened()
        let folder = LogFolder(path: fixture.logged.log)
        let known = try #require(LogFolder.File(name: String(file.split(separator: "/").last ?? "")))
        #expect(known.first == 1 && LogFolder.File(epoch: known.epoch, first: 1) == known)
        for name in [
            "1-1.log", "0000000000000001-0000000000000000.log", "\(known.name).old", "x-\(known.name)", "", ".log",
            "-.log",
        ] {
            #expect(LogFolder.File(name: name) == nil, "\(name)")
        }
        let other = folder.path + "/" + LogFolder.File(epoch: known.epoch &+ 1, first: 1).name
        try Data([1]).write(to: URL(fileURLWithPath: other))
        func remove(before time: Int64) throws -> Int? { try again.removeLogFiles(before: UnixSeconds(time)) }
        #expect(try remove(before: 1_000) == 0)
        #expect(try remove(before: Int64(Date().timeIntervalSince1970) + 10) == 1)
        #expect(try fixture.logFiles() == [file])
    }

    @Test func `is written by one process at a time`() throws {
        let fixture = try Fixture()
        let error = #expect(throws: StoreFailure.self) {
            var options = Fixture.smallOptions
            options.logDirectory = fixture.logged.log
            _ = try CredentialStore.create(
                in: fixture.folder("other"), vendor: .iiniit, peppers: try PepperFile.read(path: fixture.pepperPath),
                options: options)
        }
        guard case .log(.held(fixture.logged.log, .heldBy)) = error else {
            Issue.record("\(error.map(\.description) ?? "")")
            return
        }
    }

    @Test func `ends when the store is changed without it, which commands refuse`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.key()
        fixture.close()
        fixture.store.noteTampering()
        #expect(
            try refusal(fixture) {
                $0.logDirectory = nil
                $0.mayLeaveLog = false
            } == .log(.needed))
        // Opening alone ends nothing.
        #expect(try refusal(fixture) { $0.logDirectory = nil } == nil)
        let epoch = try #require(try fixture.logFiles().last)
        var options = fixture.options
        options.logDirectory = nil
        let without = try CredentialStore.open(in: fixture.directory, peppers: try fixture.peppers(), options: options)
        #expect(without.leavesLog && without.log == nil)
        _ = try await Issuer(store: without).createKeys(KeyRequest(owner: "alice"))
        close(without)
        let again = try fixture.reopened()
        #expect(again.store.log?.isNew == true)
        _ = try await again.key()
        #expect(try fixture.logFiles().filter { $0 != epoch }.count == 1)
        // The old log no longer leads to what the store is.
        try again.logged.replay(peppers: try fixture.peppers())
        #expect(
            try !StoreContents(again.store).differences(
                from: StoreContents(directory: again.logged.copy, peppers: try fixture.peppers())
            ).isEmpty)
    }

    @Test func `brings a restored backup up to date: nothing that was acknowledged is lost`() async throws {
        let fixture = try Fixture()
        let before = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("backup"))
        let after = try await fixture.key()
        _ = try await fixture.issuer.revoke([before.summary.id], chain: false)
        fixture.close()
        let replacement = try Replacing.restore(
            fixture.folder("backup"), fixture, try fixture.peppers(), nil, log: fixture.logged.log)
        #expect(replacement.replayed?.entries == 2 && replacement.replayed?.number == 5)
        let again = try fixture.reopened()
        #expect(try again.verdict(before.secret).reason == .revoked)
        #expect(try again.verdict(after.secret).isActive)
        #expect(again.store.incarnation != fixture.store.incarnation)
        #expect(try again.check().isEmpty)
    }

    @Test func `does not fit a backup from before it, or of another store`() async throws {
        let (fixture, other) = (try Fixture(), try Fixture())
        _ = try await fixture.key()
        fixture.close()
        fixture.store.noteTampering()
        var options = fixture.options
        options.logDirectory = nil
        let without = try CredentialStore.open(in: fixture.directory, peppers: try fixture.peppers(), options: options)
        _ = try await Issuer(store: without).createKeys(KeyRequest(owner: "alice"))
        try backUp(without, toFile: fixture.folder("backup"))
        close(without)
        func restore(_ log: String) throws -> StoreFailure? {
            do throws(StoreFailure) {
                _ = try Replacing.restore(
                    fixture.folder("backup"), fixture, try peppersOrFail(fixture), nil, log: log)
                return nil
            } catch {
                return error
            }
        }
        #expect(try restore(fixture.logged.log) == .log(.noPosition))
        try other.backup(toFile: other.folder("backup"))
        _ = try await other.key()
        #expect(throws: StoreFailure.lookupSecretDiffers) {
            _ = try Replacing.restore(
                other.folder("backup"), fixture, try fixture.peppers(), nil, log: other.logged.log)
        }
    }

    private func backUp(_ store: CredentialStore, toFile path: String) throws { try store.backup(toFile: path) }

    @Test func `does not take a change that no operation made, and nothing of it remains`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        await #expect(throws: StoreFailure.self) {
            try await fixture.store.write(creates: false) { writer, transaction in
                try fixture.store.schema.clients.put(7, [1, 2, 3], in: transaction)
            }
        }
        #expect(fixture.store.hasFailed)
        let again = try fixture.reopened()
        #expect(try again.verdict(key.secret).isActive)
        #expect(try again.check().isEmpty)
    }

    @Test func `has a transaction for as many mutations as an entry may have`() async throws {
        var options = Fixture.smallOptions
        options.log.entryBytes = 500
        let fixture = try Fixture(options: options)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 { group.addTask { _ = try? await fixture.key(owner: "owner \(number)") } }
        }
        #expect(try fixture.pages(limit: 1_000).joined().count == 200)
        // Each entry has five or six keys at most.
        #expect(fixture.store.log?.entries ?? 0 > 30)
    }

    @Test func `is replayed to a copy with a smaller map, which is enlarged`() async throws {
        let fixture = try Fixture()
        for number in 0..<40 {
            _ = try await fixture.issuer.createKeys(
                KeyRequest(owner: String(repeating: "o", count: 200), scope: ["scope:\(number)"], count: 100))
        }
        let report = try fixture.logged.replay(peppers: try fixture.peppers(), mapBytes: 1 << 20)
        #expect(report.entries == 40)
        #expect(
            try StoreContents(fixture.store).differences(
                from: StoreContents(directory: fixture.logged.copy, peppers: try fixture.peppers())
            ).isEmpty)
    }

    @Test func `says what replaced a row that was damaged where the change was decided`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let table = fixture.store.schema.credentials.database
        try await fixture.store.tamper { _, transaction in
            _ = try transaction.put(table, key: key.summary.id.rawValue, value: [1, 2, 3].octets)
        }
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        try fixture.logged.replay(peppers: try fixture.peppers())
        #expect(
            try StoreContents(fixture.store).differences(
                from: StoreContents(directory: fixture.logged.copy, peppers: try fixture.peppers())
            ).isEmpty)
    }

    @Test func `whose last entry is whole in length only is cut before it, if the store lacks just that one`()
        async throws
    {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let file = try #require(fixture.logFiles().last)
        fixture.close()
        fixture.store.noteTampering()
        try fixture.putBackCopy()
        var data = try Data(contentsOf: URL(fileURLWithPath: file))
        data[data.count - 30] ^= 1
        try data.write(to: URL(fileURLWithPath: file))
        let again = try fixture.reopened()
        #expect(try again.row(key.summary.id) == nil && again.store.log?.entriesTakenAtOpening == 0)
        let cut = try #require(again.store.log?.cutAtOpening)
        #expect(cut.hasPrefix(file + ".cut-"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: cut)).count > 100)
        _ = try await again.key()
        #expect(try again.reopened().check().isEmpty)
    }

    @Test func `cannot be replayed to before where the copy is`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.key()
        try fixture.logged.replay(peppers: try fixture.peppers())
        for limit in [ReplayLimit(through: 2), ReplayLimit(until: UnixSeconds(1_000))] {
            #expect(throws: StoreFailure.log(.alreadyBeyond(number: 3))) {
                try fixture.logged.replay(peppers: try fixture.peppers(), limit: limit)
            }
        }
    }

    @Test func `that ended while the store went on with another one is not enough for a restore`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("backup"))
        fixture.close()
        fixture.store.noteTampering()
        var options = fixture.options
        options.logDirectory = nil
        let without = try CredentialStore.open(in: fixture.directory, peppers: try fixture.peppers(), options: options)
        _ = try await Issuer(store: without).createKeys(KeyRequest(owner: "alice"))
        close(without)
        let again = try fixture.reopened()
        _ = try await again.issuer.revoke([key.summary.id], chain: false)
        again.close()
        func restore(_ limit: ReplayLimit?) throws -> StoreFailure? {
            do throws(StoreFailure) {
                _ = try Replacing.restore(
                    fixture.folder("backup"), fixture, try peppersOrFail(fixture), nil, log: fixture.logged.log,
                    limit: limit)
                return nil
            } catch {
                return error
            }
        }
        guard case .log(.continuedElsewhere) = try restore(nil) else {
            Issue.record("restored without what was revoked")
            return
        }
        // Up to a time before the other log began, what that has is not wanted.
        #expect(try restore(ReplayLimit(until: .never)) != nil)
        #expect(try restore(ReplayLimit(until: key.summary.issuedAt)) == nil)
    }
}

extension Fixture {
    /// The files of the log, the last one last.
    func logFiles() throws -> [String] {
        try RegularFile.names(in: logged.log).filter { $0.hasSuffix(".log") }.map { logged.log + "/" + $0 }
    }

    func peppers() throws -> PepperFile { try PepperFileOnDisk.read(pepperPath) }

    /// Replaces the closed store by the copy from its beginning.
    func putBackCopy() throws {
        let data = "/data.mdb"
        try FileManager.default.removeItem(atPath: directory + data)
        try FileManager.default.copyItem(atPath: logged.copy + data, toPath: directory + data)
    }

    func removeLogFiles(before time: UnixSeconds) throws -> Int? {
        try store.log?.removeFiles(before: time)
    }
}
