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
        try await fixture.store.write(creates: false) { writer, transaction in
            try writer.setNumber(name, value, in: transaction)
        }
    }

    @Test func `finds what was there`() async throws {
        let fixture = try Fixture(vendor: try #require(Vendor("ac")))
        let (id, secret) = try await fixture.plant()
        let again = try fixture.reopened()
        #expect(again.store.vendor.description == "ac")
        #expect(again.store.incarnation == fixture.store.incarnation && again.store.incarnation != 0)
        #expect(try again.row(id) != nil)
        #expect(try again.verdict(secret).isActive)
    }

    @Test func `says when there is none, and creating says when there is one`() throws {
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

    @Test func `is refused while another owner holds it`() throws {
        let fixture = try Fixture()
        guard case .held(.heldBy(let pid)) = try failure(fixture) else {
            Issue.record("a second owner was let in")
            return
        }
        #expect(pid == ProcessInfo.processInfo.processIdentifier)
        fixture.close()
        #expect(try failure(fixture) == nil)
    }

    @Test func `is refused to an older program, and an older store asks for the upgrade`() async throws {
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

    @Test func `is refused for another vendor than the store's`() throws {
        let fixture = try Fixture()
        fixture.close()
        #expect(try failure(fixture, vendor: Vendor("zz")) == .otherVendor(found: "ii", asked: "zz"))
        #expect(try failure(fixture, vendor: .iiniit) == nil)
        #expect(try failure(fixture, vendor: nil) == nil)
    }

    @Test func `is refused with another pepper, none or another lookup secret, and then lets the folder go`() throws {
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

    @Test func `a refused start with another pepper has changed nothing`() throws {
        let fixture = try Fixture()
        fixture.close()
        let right = try lines(fixture)
        let other = String(repeating: "5a", count: 32)
        // The newer one in this file must not be adopted with a wrong one beside it.
        #expect(
            try failure(fixture, peppers: file([right[1], "1 " + other, "2 " + other])) == .pepperDiffers(number: 1))
        #expect(try failure(fixture, peppers: file(right)) == nil)
    }

    @Test func `takes up a newer pepper from the file and needs it from then on`() async throws {
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

    @Test func `leaves out a pepper that the store has retired or never knew`() throws {
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

    @Test func `a folder with a foreign file is no store`() throws {
        let fixture = try Fixture()
        let folder = fixture.folder("foreign")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(repeating: 0x41, count: 100_000).write(to: URL(fileURLWithPath: folder + "/data.mdb"))
        #expect(try failure(fixture, directory: folder) == .lmdb(.notAStore))
    }
}
