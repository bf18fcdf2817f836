import CredentialModel
import Foundation
import Issuance
import LMDB
import Synchronization
import TestSupport
import Testing

@testable import CredentialStore

/// What the log of a store does when its files fail it, while the store is open.
@Suite struct `A log whose files fail` {
    /// A fixture whose log refuses to be written while there is a code.
    private func failing(_ fileBytesMax: Int = 64 << 20) throws -> (fixture: Fixture, code: Box) {
        let box = Box()
        var options = Fixture.smallOptions
        options.log.fileBytesMax = fileBytesMax
        options.log.fault = { () throws(FileError) in
            if let code = box.code.withLock({ $0 }) { throw .system(path: "log", code: code) }
        }
        return (try Fixture(options: options), box)
    }

    private final class Box: Sendable {
        let code = Mutex<Int32?>(nil)
        func set(_ new: Int32?) { code.withLock { $0 = new } }
    }

    @Test(arguments: [28, 5, 24] as [Int32])
    func `that cannot be written refuses everything, and verification continues`(
        code: Int32
    ) async throws {
        let (fixture, box) = try failing()
        let key = try await fixture.key()
        let entries = try #require(fixture.store.log?.entries)
        box.set(code)
        await #expect(throws: IssuanceError.self) {
            _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        }
        #expect(try fixture.verdict(key.secret).isActive)
        #expect(!fixture.store.hasFailed && fixture.store.log?.entries == entries)
        box.set(nil)
        _ = try await fixture.issuer.revoke([key.summary.id], chain: false)
        #expect(try fixture.verdict(key.secret).reason == .revoked)
        #expect(fixture.store.log?.entries == entries + 1)
        let again = try fixture.reopened()
        #expect(try again.verdict(key.secret).reason == .revoked)
        #expect(try again.check().isEmpty)
    }

    @Test func `goes on in another file when one is large, also after a failure just there, and is read across them`()
        async throws
    {
        let (fixture, box) = try failing(2_000)
        for number in 0..<30 {
            if number.isMultiple(of: 7) {
                box.set(28)
                _ = try? await fixture.key()
                box.set(nil)
            }
            _ = try await fixture.key()
        }
        #expect(try fixture.logFiles().count > 3)
        let contents = try StoreContents(fixture.store)
        fixture.close()
        try fixture.putBackCopy()
        let again = try fixture.reopened()
        #expect(try StoreContents(again.store).differences(from: contents).isEmpty)
        #expect(again.store.log?.entriesTakenAtOpening == 30)
        // An empty last file, as a failure at its beginning may leave it.
        _ = try await again.key()
        let number = try #require(again.store.log?.number)
        again.close()
        let path = try #require(fixture.logFiles().last)
        let last = try #require(LogFolder.File(name: String(path.split(separator: "/").last ?? "")))
        let empty = LogFolder.File(epoch: last.epoch, first: number + 1)
        try Data().write(to: URL(fileURLWithPath: fixture.logged.log + "/" + empty.name))
        let third = try again.reopened()
        _ = try await third.key()
        #expect(third.store.log?.number == number + 1)
        #expect(try third.removeLogFiles(before: UnixSeconds(Int64(Date().timeIntervalSince1970) + 10)) ?? 0 > 2)
        #expect(try fixture.logFiles().count == 1)
        third.store.noteTampering()
    }

    @Test func `whose file is removed under the store ends all writing: no copy of it would have what follows`()
        async throws
    {
        let fixture = try Fixture()
        let key = try await fixture.key()
        fixture.store.noteTampering()
        let file = try #require(fixture.logFiles().last)
        try FileManager.default.removeItem(atPath: file)
        await #expect(throws: (any Error).self) { _ = try await fixture.key() }
        #expect(fixture.store.hasFailed)
        #expect(try fixture.verdict(key.secret).isActive)
    }

    @Test func `whose file is shortened under the store ends all writing, and has no hole`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.key()
        fixture.store.noteTampering()
        let file = try #require(fixture.logFiles().last)
        try Data().write(to: URL(fileURLWithPath: file))
        await #expect(throws: (any Error).self) { _ = try await fixture.key() }
        #expect(fixture.store.hasFailed)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)).isEmpty)
    }

    @Test func `keeps blocks behind its end, from the start on and after each entry`() async throws {
        let fixture = try Fixture()
        func blockBytes() throws -> Int {
            var info = stat()
            let file = try #require(fixture.logFiles().last)
            try #require(stat(file, &info) == 0)
            return Int(info.st_blocks) * 512
        }
        let reserve = 8 << 20
        #expect(try blockBytes() > reserve)
        for _ in 0..<3 {
            _ = try await fixture.key()
            #expect(try blockBytes() > reserve)
        }
        let again = try fixture.reopened()
        #expect(try blockBytes() > reserve)
        again.close()
    }
}
