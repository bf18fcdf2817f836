import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `Opening a store` {
    private func failure(
        _ fixture: Fixture, directory: String? = nil, vendor: Vendor? = nil, peppers: PepperFile? = nil
    ) throws -> StoreFailure? {
        let peppers = try peppers ?? PepperFileOnDisk.read(fixture.pepperPath)
        do throws(StoreFailure) {
            let store = try CredentialStore.open(
                in: directory ?? fixture.directory, vendor: vendor, peppers: peppers, options: fixture.options)
            close(store)
            return nil
        } catch {
            #expect(!error.description.isEmpty)
            return error
        }
    }

    /// The lines of a pepper file, for changing them.
    private func lines(_ fixture: Fixture) throws -> [String] {
        let text = String(decoding: try PepperFileOnDisk.read(fixture.pepperPath).serialized(), as: UTF8.self)
        return text.split(separator: "\n").map(String.init)
    }

    private func file(_ lines: [String]) throws -> PepperFile {
        try PepperFile(parsing: Array(lines.joined(separator: "\n").utf8))
    }

    private func set(_ name: MetaName, _ value: UInt64, _ fixture: Fixture) async throws {
        try await fixture.store.tamper { writer, transaction in
            try writer.setNumber(name, value, in: transaction)
        }
    }

    @Test func `finds what was stored`() async throws {
        let fixture = try Fixture(vendor: try #require(Vendor("ac")))
        let (id, secret) = try await fixture.plant()
        let again = try fixture.reopened()
        #expect(again.store.vendor.description == "ac")
        #expect(again.store.incarnation == fixture.store.incarnation && again.store.incarnation != 0)
        #expect(try again.row(id) != nil)
        #expect(try again.verdict(secret).isActive)
    }

    @Test func `fails where there is no store, and creating fails where there is one`() throws {
        let fixture = try Fixture()
        #expect(
            try failure(fixture, directory: fixture.folder("nothing")) == .noStore(directory: fixture.folder("nothing"))
        )
        #expect(!CredentialStore.exists(in: fixture.folder("nothing")))
        #expect(throws: StoreFailure.storeExists(directory: fixture.directory)) {
            _ = try CredentialStore.create(
                in: fixture.directory, vendor: .iiniit, peppers: PepperFileOnDisk.read(fixture.pepperPath))
        }
    }

    @Test func `fails while another owner has the lock`() throws {
        let fixture = try Fixture()
        guard case .held(.heldBy(let pid)) = try failure(fixture) else {
            Issue.record("a second owner was let in")
            return
        }
        #expect(pid == ProcessInfo.processInfo.processIdentifier)
        fixture.close()
        #expect(try failure(fixture) == nil)
    }

    @Test func `fails for a newer schema, and for an older one names the upgrade command`() async throws {
        let newer = try Fixture()
        try await set(.schema, Schema.version + 1, newer)
        newer.close()
        #expect(try failure(newer) == .schemaTooNew(found: Schema.version + 1, known: Schema.version))
        let older = try Fixture()
        try await set(.schema, Schema.version - 1, older)
        older.close()
        let refusal = try failure(older)
        #expect(refusal == .schemaTooOld(found: Schema.version - 1, known: Schema.version))
        #expect(refusal?.description.contains("store upgrade") == true)
    }

    @Test func `a store whose log has a newer level is not opened, not followed and not replayed`() async throws {
        let fixture = try Fixture()
        _ = try await fixture.plant()
        try await set(.logLevel, UInt64(LogLevel.newest) + 1, fixture)
        fixture.close()
        #expect(try failure(fixture) == .log(.formatTooNew))
        #expect(throws: StoreFailure.log(.formatTooNew)) { try Self.follow(fixture) }
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        let environment = try Environment(
            directory: fixture.directory,
            options: Environment.Options(
                mapBytes: fixture.options.mapBytes, databasesMax: Schema.tableCount, readersMax: 8))
        #expect(throws: StoreFailure.log(.formatTooNew)) { _ = try Replay(environment, peppers.lookup) }
    }

    private static func follow(_ fixture: Fixture) throws {
        _ = try FollowedStore.open(in: fixture.directory, pepperPath: fixture.pepperPath)
    }

    @Test func `fails for a vendor that differs from the store's`() throws {
        let fixture = try Fixture()
        fixture.close()
        #expect(try failure(fixture, vendor: Vendor("zz")) == .otherVendor(found: "ii", expected: "zz"))
        #expect(try failure(fixture, vendor: .iiniit) == nil)
        #expect(try failure(fixture, vendor: nil) == nil)
    }

    @Test func `fails for a wrong or missing pepper or a wrong lookup secret, and releases the folder`() throws {
        let fixture = try Fixture()
        fixture.close()
        let right = try lines(fixture)
        let other = String(repeating: "5a", count: 32)
        #expect(try failure(fixture, peppers: file([right[1], "1 " + other])) == .pepperDiffers(number: 1))
        #expect(try failure(fixture, peppers: file([right[1], "2 " + other])) == .pepperMissing(number: 1))
        #expect(try failure(fixture, peppers: file(["lookup " + other, right[2]])) == .lookupSecretDiffers)
        for failure in [StoreFailure.pepperDiffers(number: 1), .pepperMissing(number: 1), .lookupSecretDiffers] {
            #expect(failure.description.contains("pepper file") && !failure.description.contains("5a5a"))
        }
        #expect(try failure(fixture) == nil)
    }

    @Test func `with a wrong pepper changes nothing`() throws {
        let fixture = try Fixture()
        fixture.close()
        let right = try lines(fixture)
        let other = String(repeating: "5a", count: 32)
        // The newer pepper in this file must not be adopted together with a wrong one.
        #expect(
            try failure(fixture, peppers: file([right[1], "1 " + other, "2 " + other])) == .pepperDiffers(number: 1))
        #expect(try failure(fixture, peppers: file(right)) == nil)
    }

    @Test func `adopts a newer pepper from the file and requires it from then on`() async throws {
        let fixture = try Fixture()
        let (_, old) = try await fixture.plant()
        fixture.close()
        let right = try lines(fixture)
        let longer = try file(right + ["5 " + String(repeating: "5a", count: 32)])
        let store = try CredentialStore.open(in: fixture.directory, peppers: longer, options: fixture.options)
        #expect(store.peppers.numbers == [1, 5] && store.peppers.newest.number == 5)
        let verifier = try Verifier(store: store)
        #expect(try verifier.verdict(old.revealBytes(), at: store.clock.now()).isActive)
        close(store)
        #expect(try failure(fixture, peppers: file(right)) == .pepperMissing(number: 5))
    }

    @Test func `ignores a pepper that the store has retired or never used`() throws {
        let fixture = try Fixture()
        fixture.close()
        let right = try lines(fixture)
        let other = String(repeating: "5a", count: 32)
        let withFive = try file(right + ["5 " + other])
        close(try CredentialStore.open(in: fixture.directory, peppers: withFive, options: fixture.options))
        let withThree = try file(right + ["3 " + other, "5 " + other])
        let store = try CredentialStore.open(in: fixture.directory, peppers: withThree, options: fixture.options)
        #expect(store.peppers.numbers == [1, 5])
        close(store)
    }

    @Test func `fails for a folder with a file of another format`() throws {
        let fixture = try Fixture()
        let folder = fixture.folder("foreign")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(repeating: 0x41, count: 100_000).write(to: URL(fileURLWithPath: folder + "/data.mdb"))
        #expect(try failure(fixture, directory: folder) == .lmdb(.notAStore))
    }
}

@Suite struct `A store whose creation was interrupted` {
    /// What remains if the process is killed between creating the file and the first commit: LMDB's meta pages, or
    /// nothing.
    private func leave(_ fixture: Fixture, bytes: Int) throws -> String {
        let directory = fixture.folder("unborn")
        _ = try DurableDirectory.create(path: directory)
        let empty = try Environment(
            directory: directory, options: Environment.Options(mapBytes: 1 << 20, create: true))
        try empty.close()
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: directory + "/data.mdb"))
        try file.truncate(atOffset: UInt64(bytes))
        try file.close()
        return directory
    }

    @Test(arguments: [0, 8_192]) func `is not opened, and can be created again`(bytes: Int) throws {
        let fixture = try Fixture()
        let directory = try leave(fixture, bytes: bytes)
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        #expect(throws: StoreFailure.self) {
            _ = try CredentialStore.open(in: directory, peppers: peppers, options: Fixture.smallOptions)
        }
        let store = try CredentialStore.create(
            in: directory, vendor: .iiniit, peppers: peppers, options: Fixture.smallOptions)
        close(store)
        // Once it is complete, it is never created again.
        #expect(throws: StoreFailure.storeExists(directory: directory)) {
            _ = try CredentialStore.create(
                in: directory, vendor: .iiniit, peppers: peppers, options: Fixture.smallOptions)
        }
    }
}
