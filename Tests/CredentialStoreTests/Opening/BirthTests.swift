import Foundation
import Issuance
import LMDB
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `A store whose birth was cut short` {
    /// What a kill between making the file and the first commit leaves: LMDB's two first pages, or nothing at all.
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

    @Test(arguments: [0, 8_192]) func `is no store, and is made anew`(bytes: Int) throws {
        let fixture = try Fixture()
        let directory = try leave(fixture, bytes: bytes)
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        #expect(throws: StoreFailure.self) {
            _ = try CredentialStore.open(in: directory, peppers: peppers, options: fixture.options)
        }
        let store = try CredentialStore.create(
            in: directory, vendor: .iiniit, peppers: peppers, options: fixture.options)
        close(store)
        // Once it is born, it is never made anew.
        #expect(throws: StoreFailure.storeExists(directory: directory)) {
            _ = try CredentialStore.create(
                in: directory, vendor: .iiniit, peppers: peppers, options: fixture.options)
        }
    }
}
